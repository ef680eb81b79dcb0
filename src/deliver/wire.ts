// A connection to a broker with the produce requests that are on it. It belongs to a lane, and may pass on to another.
import type { KafkaConnection } from "../kafka/connection.ts";
import type { Lane } from "./lane.ts";
import type { Parcel } from "./parcel.ts";
import type { ReplicaSet } from "./replicaSet.ts";

/** What is needed of a KafkaConnection. */
export type LaneConnection = Pick<
  KafkaConnection,
  "broker" | "connect" | "destroy" | "onClose" | "open" | "request" | "sessionEndsAt" | "supports" | "throttledUntil"
>;

/** A produce request that waits for its answer. */
export interface Flight {
  readonly wire: Wire;
  readonly parcels: readonly Parcel[];
  readonly sets: ReadonlySet<ReplicaSet>;
  readonly sentAt: number;
  /** When it was seen to be late for the first time. Once is not enough: it may be us who did not look in time. */
  seemsLateSince: number | undefined;
  /** It is late. */
  late: boolean;
}

export class Wire {
  readonly connection: LaneConnection;
  /** Whose it is. */
  lane: Lane;
  /** In the order sent, in which they are answered. */
  readonly flights: Flight[] = [];
  /** Calls off what is to happen later: that it connects, or that it is renewed before its login expires. */
  cancelTimer = () => {};
  /** When the broker answered anything on it last, on the clock of `now`. */
  heardAt = Number.NEGATIVE_INFINITY;
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(connection: LaneConnection, lane: Lane) {
    this.connection = connection;
    this.lane = lane;
  }

  begin(parcels: readonly Parcel[], sets: ReadonlySet<ReplicaSet>, now: number): Flight {
    const flight = { wire: this, parcels, sets, sentAt: now, seemsLateSince: undefined, late: false };
    this.flights.push(flight);
    return flight;
  }

  /** It was answered. Returns how long that took, without the time that it waited for those before it; ms. */
  answered(flight: Flight, now: number): number {
    const took = this.#waited(flight, now);
    this.#answeredAt = this.heardAt = now;
    this.leave(flight);
    return took;
  }

  /** It is over, one way or another. */
  leave(flight: Flight): void {
    const at = this.flights.indexOf(flight);
    if (at >= 0) this.flights.splice(at, 1);
  }

  /** How long the oldest request has been waited for, ms; 0 when there is none. */
  waited(now: number): number {
    const [oldest] = this.flights;
    return oldest === undefined ? 0 : this.#waited(oldest, now);
  }

  /** Since when the oldest request is waited for. */
  waitsSince(now: number): number {
    return now - this.waited(now);
  }

  /** The replica sets of all that is in flight. */
  sets(): Set<ReplicaSet> {
    return new Set(this.flights.flatMap(({ sets }) => [...sets]));
  }

  /** Closes the connection at once; what is in flight fails. */
  end(): void {
    this.cancelTimer();
    this.connection.destroy();
  }

  #waited({ sentAt }: Flight, now: number): number {
    return now - Math.max(sentAt, this.#answeredAt);
  }
}
