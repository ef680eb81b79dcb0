// A topic as the router knows it: its settings, its account, its partitions, and what waits for them.
import type { TopicSettings } from "../config/settings.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { Account } from "../observe/ledger.ts";
import { BatchQueue, type BatchSurroundings } from "./batchQueue.ts";
import { HeldFrames } from "./heldFrames.ts";

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
  readonly keyed: BatchQueue;

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
  settings: TopicSettings;
  standing: Standing = { kind: "asking" };
  /** Those that Kafka named last, in ascending id order; empty until it has. */
  partitions: readonly Partition[] = [];
  /** Batches that may go to any partition. */
  readonly any: BatchQueue;
  /** Frames that came while the topic was not live, or behind such. */
  readonly waiting: HeldFrames;
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
    );
    this.waiting = new HeldFrames(around.pool, around.memory);
  }

  /** Takes over what Kafka says of its partitions. `leaders` in ascending id order. */
  setPartitions(leaders: readonly { id: number; leader: number }[]): void {
    for (const partition of this.#known.values()) partition.leader = -1;
    this.partitions = leaders.map(({ id, leader }) => {
      const partition = this.ensurePartition(id);
      partition.leader = leader;
      return partition;
    });
    this.#placeMemory();
  }

  /** The partition of that id, also before Kafka has named it: something may have been sent to it before a restart. */
  ensurePartition(id: number): Partition {
    return this.#known.get(id) ?? this.#newPartition(id);
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
    return this.standing.kind === "asking" || this.standing.kind === "held";
  }

  setStanding(standing: Standing): void {
    this.standing = standing;
    this.#placeMemory();
  }

  /** Its partitions are known, and none has a leader. */
  get leaderless(): boolean {
    return this.#leaderless;
  }

  /** Bytes of memory that its messages take. */
  get memory(): number {
    let sum = this.any.memory.used + this.waiting.memory.used;
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
    );
    const partition = new Partition(this, id, -1, keyed);
    this.#known.set(id, partition);
    return partition;
  }

  /** What cannot be delivered now counts as held, so that it takes no room from what can. */
  #placeMemory(): void {
    const { memory, heldMemory } = this.#around;
    const held = this.standing.kind === "held";
    const mine = held ? heldMemory : memory;
    this.#leaderless = this.partitions.length > 0 && this.partitions.every((partition) => partition.leader < 0);
    this.any.memory.moveTo(this.#leaderless ? heldMemory : mine);
    this.waiting.memory.moveTo(mine);
    for (const { keyed, leader } of this.#known.values()) keyed.memory.moveTo(leader < 0 ? heldMemory : mine);
  }
}
