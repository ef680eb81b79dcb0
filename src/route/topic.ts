// A topic as the router knows it: its settings, its account, its partitions, and what waits for them.
import type { TopicSettings } from "../config/settings.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { Account } from "../observe/ledger.ts";
import { BatchQueue, type BatchSurroundings } from "./batchQueue.ts";
import { RateLimit } from "./rateLimit.ts";
import { SizeLimit } from "./sizeLimit.ts";
import { Waiting } from "./waiting.ts";

/** Whether a topic's messages can go their way. */
export type Standing =
  /** Kafka has not said yet which partitions there are; its messages wait, and count as on their way. */
  | { kind: "asking" }
  | { kind: "live" }
  /** It cannot be written for now; its messages wait apart, and delay no other topic. */
  | { kind: "held"; by: "metadata" | "produce"; reason: string }
  /** It cannot be written, and its settings say that its messages are given up. */
  | { kind: "refused"; discard: DiscardReason };

/** One partition of a topic, with the batches that can go nowhere else. */
export class Partition {
  readonly topic: Topic;
  readonly id: number;
  /** Node id of the broker that leads it, -1 for none. */
  leader: number;
  /** Which brokers have a copy of it, as `TopicPartition.replicas` says; "" while that is not known. */
  replicas = "";
  /** Batches that can go nowhere else. */
  readonly keyed: BatchQueue;
  /** Frames that can go nowhere else, while it cannot be reached, or behind such; made when that happens first. */
  waiting: Waiting | undefined;
  /** Why what is for it waits apart; see hold.ts. */
  parked: string | undefined;

  constructor(topic: Topic, id: number, leader: number, keyed: BatchQueue) {
    this.topic = topic;
    this.id = id;
    this.leader = leader;
    this.keyed = keyed;
  }
}

/** Who is told when a queue has a batch to take. */
export interface DueListener {
  anyDue(topic: Topic): void;
  keyedDue(partition: Partition): void;
}

export class Topic {
  readonly name: string;
  readonly account: Account;
  /** What of its `rate_limit` is used up. */
  readonly rate = new RateLimit();
  /** May be replaced at any time: to be read where it is used. */
  settings: TopicSettings;
  standing: Standing = { kind: "asking" };
  /** Those that Kafka named last, in ascending id order; empty until it has. */
  partitions: readonly Partition[] = [];
  /** Of its batches, as learned from the brokers. */
  readonly limit = new SizeLimit();
  /** Batches that may go to any partition. */
  readonly any: BatchQueue;
  /** Frames that came while the topic was not live, or behind such. */
  readonly waiting: Waiting;
  /** Why what is for any of its partitions waits apart, though Kafka would take it: none can be reached. See hold.ts. */
  parked: string | undefined;
  /** It has come to be held. */
  onHeld: (topic: Topic) => void = () => {};
  /**
   * Every partition that was ever named, by id. One that an answer leaves out (the topic was made again, or a broker lags
   * behind) may return, and must then go on where it was: with what waits for it, and with its sequence.
   */
  readonly #known = new Map<number, Partition>();
  readonly #around: BatchSurroundings;
  readonly #listener: DueListener;
  #leaderless = false;

  constructor(
    name: string,
    settings: TopicSettings,
    account: Account,
    around: BatchSurroundings,
    listener: DueListener,
  ) {
    this.name = name;
    this.settings = settings;
    this.account = account;
    this.#around = around;
    this.#listener = listener;
    this.any = new BatchQueue(
      around,
      () => this.settings,
      () => listener.anyDue(this),
      this.limit,
    );
    this.waiting = this.#newWaiting(undefined);
  }

  /** Takes over what Kafka says of its partitions. `leaders` in ascending id order. */
  setPartitions(leaders: readonly { id: number; leader: number; replicas?: string | undefined }[]): void {
    for (const partition of this.#known.values()) partition.leader = -1;
    this.partitions = leaders.map(({ id, leader, replicas = "" }) => {
      const partition = this.ensurePartition(id);
      partition.leader = leader;
      partition.replicas = replicas;
      return partition;
    });
    this.#placeMemory();
  }

  /** The partition of that id, also before Kafka has named it: something may have been sent to it before a restart. */
  ensurePartition(id: number): Partition {
    return this.#known.get(id) ?? this.#newPartition(id);
  }

  /** Opens what waits for one partition apart. */
  waitingOf(partition: Partition): Waiting {
    partition.waiting ??= this.#newWaiting(partition.id);
    return partition.waiting;
  }

  /** A run before this one left messages on disk that wait for it, or for one of its partitions. */
  restoreWaiting(partition: number | undefined): void {
    const disk = this.#around.openHeld?.(this.name, partition);
    if (disk === undefined) return;
    const waiting = partition === undefined ? this.waiting : this.waitingOf(this.ensurePartition(partition));
    waiting.restore(disk);
    this.#placeMemory();
  }

  /** What waits for the topic, and for its partitions apart. */
  *allWaiting(): Generator<Waiting> {
    yield this.waiting;
    for (const { waiting } of this.#known.values()) if (waiting !== undefined) yield waiting;
  }

  /** Also those that Kafka no longer names, for which something may wait. */
  allPartitions(): IterableIterator<Partition> {
    return this.#known.values();
  }

  /** All that its messages may be batched in. */
  *queues(): Generator<BatchQueue> {
    yield this.any;
    for (const { keyed } of this.#known.values()) yield keyed;
  }

  /** Its messages wait as frames: they cannot be batched, or must not be yet. */
  get waits(): boolean {
    return this.standing.kind === "asking" || this.held;
  }

  /** It cannot be delivered for now, and what comes for it waits where it delays no other topic. */
  get held(): boolean {
    return this.standing.kind === "held" || this.parked !== undefined;
  }

  /** Why what is for it, or for that partition of it, waits apart; undefined: it does not. */
  whyApart(partition: number | undefined): string | undefined {
    if (this.standing.kind === "held") return this.standing.reason;
    return this.parked ?? (partition === undefined ? undefined : this.#known.get(partition)?.parked);
  }

  setStanding(standing: Standing): void {
    const before = this.standing.kind;
    this.standing = standing;
    this.#placeMemory();
    if (standing.kind === "held" && before !== "held") this.onHeld(this);
  }

  /** With a reason: what is for the topic, or for that partition of it, waits apart from now on; without: no more. */
  park(what: Topic | Partition, reason: string | undefined): void {
    what.parked = reason;
    this.#placeMemory();
  }

  /** Its partitions are known, and none has a leader. */
  get leaderless(): boolean {
    return this.#leaderless;
  }

  /** Bytes of memory that its messages take. */
  get memory(): number {
    let sum = this.batchMemory;
    for (const waiting of this.allWaiting()) sum += waiting.memory.used;
    return sum;
  }

  /** Bytes of memory that its batches take. */
  get batchMemory(): number {
    let sum = this.any.memory.used;
    for (const { keyed } of this.#known.values()) sum += keyed.memory.used;
    return sum;
  }

  /** Makes every open batch due: for a stop. */
  hurry(): void {
    for (const queue of this.queues()) queue.hurry();
  }

  #newPartition(id: number): Partition {
    const keyed = new BatchQueue(
      this.#around,
      () => this.settings,
      () => this.#listener.keyedDue(partition),
      this.limit,
    );
    const partition = new Partition(this, id, -1, keyed);
    this.#known.set(id, partition);
    return partition;
  }

  #newWaiting(partition: number | undefined): Waiting {
    const { pool, memory, openHeld } = this.#around;
    const open = openHeld === undefined ? undefined : () => openHeld(this.name, partition);
    return new Waiting({ pool, budget: memory, open });
  }

  /** What cannot be delivered now counts as held, so that it takes no room from what can. */
  #placeMemory(): void {
    const { memory, heldMemory } = this.#around;
    const mine = this.held ? heldMemory : memory;
    this.#leaderless = this.partitions.length > 0 && this.partitions.every((partition) => partition.leader < 0);
    this.any.memory.moveTo(mine);
    this.waiting.memory.moveTo(this.waiting.onDisk > 0 ? heldMemory : mine);
    for (const { keyed, waiting, parked } of this.#known.values()) {
      keyed.memory.moveTo(parked !== undefined ? heldMemory : mine);
      waiting?.memory.moveTo(heldMemory);
    }
  }
}
