// The partitions of a broker that have their copies on the same brokers: with acks = all they share their fate, for the
// leader answers when all copies are made.

export type Pace =
  /** It is answered as the broker's other requests are. */
  | "quick"
  /** It was in a request that was late, with others perhaps: it is tried by itself. */
  | "suspect"
  /** It was late by itself. */
  | "stuck";

export class ReplicaSet {
  /** The brokers that copy from the leader. */
  readonly followers: readonly number[];
  pace: Pace = "quick";
  /** When it was judged last, on the clock of `now`. */
  judgedAt = Number.NEGATIVE_INFINITY;

  /** `replicas`: see `Partition.replicas`. */
  constructor(leader: number, replicas: string) {
    this.followers =
      replicas === ""
        ? []
        : replicas
            .split(",")
            .map(Number)
            .filter((id) => id !== leader);
  }
}
