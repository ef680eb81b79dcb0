// A broker as delivery sees it: its address and its two lanes. Kafka answers one connection strictly in order, so what
// failed or is slow goes by a connection of its own and delays nothing else.
import type { Partition } from "../route/topic.ts";
import type { After } from "./after.ts";
import { AnswerTime } from "./answerTime.ts";
import { Lane, type LaneParts } from "./lane.ts";
import type { Outbox } from "./outbox.ts";
import { type Pace, ReplicaSet } from "./replicaSet.ts";
import { StallWatch, type StallWatchParts } from "./stallWatch.ts";
import { Throttle } from "./throttle.ts";
import type { Wire } from "./wire.ts";

/** Partitions that were slow, and of which nothing was sent for so long, are taken for quick again. Milliseconds. */
const FORGIVEN_AFTER = 5_000;

export interface BrokerParts extends Omit<LaneParts, "patience" | "onOpen">, StallWatchParts {
  settings: StallWatchParts["settings"];
  after?: After;
}

export class Broker {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly fast: Lane;
  readonly slow: Lane;
  readonly answerTime = new AnswerTime();
  readonly throttle = new Throttle();
  readonly stalls: StallWatch;
  readonly #now: () => number;
  readonly #sets = new Map<string, ReplicaSet>();
  /** Not all of them are quick. */
  #troubled = false;

  constructor(id: number, host: string, port: number, parts: BrokerParts) {
    this.id = id;
    this.host = host;
    this.port = port;
    const onOpen = (wire: Wire) => {
      wire.heardAt = parts.now();
      this.stalls.heard();
    };
    const laneParts = { ...parts, onOpen, patience: () => this.answerTime.patience };
    this.fast = new Lane(laneParts);
    this.slow = new Lane(laneParts);
    this.stalls = new StallWatch(this, parts);
    this.#now = parts.now;
  }

  get lanes(): readonly [Lane, Lane] {
    return [this.fast, this.slow];
  }

  /** The replica sets of what it leads. */
  sets(): Iterable<ReplicaSet> {
    return this.#sets.values();
  }

  /** Those of them that keep it waiting. */
  slowSets(): ReplicaSet[] {
    return [...this.#sets.values()].filter((set) => set.pace !== "quick" && !this.#isForgiven(set));
  }

  setOf({ replicas }: Partition): ReplicaSet {
    let set = this.#sets.get(replicas);
    if (set === undefined) {
      set = new ReplicaSet(this.id, replicas);
      this.#sets.set(replicas, set);
    }
    return set;
  }

  /** Whether the partition, by what is known of its replica set, would be answered at once. */
  isQuick(partition: Partition): boolean {
    if (!this.#troubled) return true;
    const set = this.setOf(partition);
    if (set.pace === "quick") return true;
    if (!this.#isForgiven(set)) return false;
    this.judge(set, "quick");
    return true;
  }

  judge(set: ReplicaSet, pace: Pace): void {
    set.pace = pace;
    set.judgedAt = this.#now();
    this.#troubled = false;
    for (const each of this.#sets.values()) if (each.pace !== "quick") this.#troubled = true;
  }

  laneFor(outbox: Outbox): Lane {
    const quick = this.isQuick(outbox.partition);
    // A failure comes at once: no reason to wait behind what is stuck.
    const [its, other] = quick && (!outbox.slow || this.slow.late) ? [this.fast, this.slow] : [this.slow, this.fast];
    // A broker may let in only so many connections: better together than not at all. What could delay all waits for a while.
    const instead = quick ? its.unreachable : its.hopeless;
    return instead && other.state.kind === "open" && !other.late ? other : its;
  }

  /** Closes both lanes; returns the partitions that stood in their lines. */
  stop(): Outbox[] {
    this.stalls.stop();
    for (const lane of this.lanes) lane.stop();
    return this.lanes.flatMap(({ line }) => line.splice(0));
  }

  #isForgiven(set: ReplicaSet): boolean {
    return this.#now() - set.judgedAt >= FORGIVEN_AFTER && !this.#isUnderWay(set);
  }

  #isUnderWay(set: ReplicaSet): boolean {
    if (this.slow.line.some(({ partition }) => this.setOf(partition) === set)) return true;
    return this.lanes.some(({ wire }) => wire?.flights.some(({ sets }) => sets.has(set)));
  }
}
