// Batches of one destination in order: closed ones, and at the end the open one that grows until it is taken.
import type { TopicSettings } from "../config/settings.ts";
import { RECORD_OVERHEAD } from "../kafka/recordBatch.ts";
import type { Batch } from "./batch.ts";
import { BatchBuilder, type MessageParts } from "./batchBuilder.ts";
import type { BufferPool } from "./bufferPool.ts";
import type { LingerClock, Lingering } from "./lingerClock.ts";
import { type MemoryBudget, MemoryUse } from "./memoryBudget.ts";
import { SizeLimit } from "./sizeLimit.ts";
import type { HeldDisk } from "./waiting.ts";

/**
 * A batch is given up as a whole, when the youngest of its messages has its max_age: so its messages must not have come further
 * apart than this part of max_age.
 */
const AGES_TOGETHER = 1 / 16;
/** The part of max_age that a batch may linger at most. */
const AGE_TO_LINGER = 1 / 2;

/** What all batch queues share. */
export interface BatchSurroundings {
  pool: BufferPool;
  /** Memory of messages on their way. */
  memory: MemoryBudget;
  /** Memory of messages that cannot be delivered now: of missing, forbidden or leaderless topics. */
  heldMemory: MemoryBudget;
  linger: LingerClock;
  /** Opens the log on disk for what waits for a topic, or for one partition of it; left out: memory only. */
  openHeld?: (topic: string, partition: number | undefined) => HeldDisk | undefined;
}

/**
 * A batch is due on linger, bytes or count, whichever is first. A batch that is due but not taken, because its partition
 * is busy, grows on up to `requestBytes`, or what the brokers take if that is less; then it is closed and the next one
 * begins. Becoming due is announced once.
 */
export class BatchQueue implements Lingering {
  readonly memory: MemoryUse;
  readonly #around: BatchSurroundings;
  readonly #settings: () => TopicSettings;
  readonly #onDue: () => void;
  readonly #limit: SizeLimit;
  readonly #closed: Batch[] = [];
  #open: BatchBuilder | undefined;
  #openIsDue = false;

  constructor(
    around: BatchSurroundings,
    settings: () => TopicSettings,
    onDue: () => void,
    limit: SizeLimit = new SizeLimit(),
  ) {
    this.#around = around;
    this.#settings = settings;
    this.#onDue = onDue;
    this.#limit = limit;
    this.memory = new MemoryUse(around.memory);
  }

  /** `receivedAt`: in milliseconds since the epoch; 0: nobody knows. */
  append(now: number, number: number, bytes: Buffer, parts: MessageParts, receivedAt: number): void {
    const settings = this.#settings();
    let open = this.#open;
    if (open !== undefined) {
      const size = parts.keyEnd - parts.keyStart + parts.valueEnd - parts.valueStart + RECORD_OVERHEAD;
      const { maxAge } = settings;
      if (
        open.length + size > settings.requestBytes ||
        open.length + size > this.#limit.most ||
        // It waited for another partition, for which it is of no use any more.
        number < open.numbers.last ||
        (maxAge > 0 && receivedAt - open.since > maxAge * AGES_TOGETHER)
      ) {
        this.#closed.push(this.#closeOpen(settings));
        this.#onDue();
        open = undefined;
      }
    }
    if (open === undefined) {
      open = new BatchBuilder(this.#around.pool, this.memory, now);
      this.#open = open;
      this.#openIsDue = false;
      open.since = receivedAt;
      this.#around.linger.add(this, now, lingerOf(settings));
    }
    if (receivedAt > open.receivedAt) open.receivedAt = receivedAt;
    open.append(number, bytes, parts);
    if (this.#openIsDue) return;
    if (open.length >= settings.bytes || (settings.messages > 0 && open.count >= settings.messages)) this.#becomeDue();
  }

  /** Is there a batch to take? */
  get due(): boolean {
    return this.#closed.length > 0 || this.#openIsDue;
  }

  get empty(): boolean {
    return this.#closed.length === 0 && this.#open === undefined;
  }

  /** When the first message of the first batch was routed; Infinity when there is none. */
  get oldest(): number {
    return this.#closed[0]?.openedAt ?? this.#open?.openedAt ?? Number.POSITIVE_INFINITY;
  }

  /** Memory of an open batch that is not due yet, in bytes. */
  get waitingMemory(): number {
    return this.#openIsDue ? 0 : (this.#open?.memory ?? 0);
  }

  /** The first batch, when one is due. It keeps counting in `memory` until it is disposed of. */
  take(): Batch | undefined {
    const closed = this.#closed.shift();
    if (closed !== undefined || !this.#openIsDue) return closed;
    return this.#closeOpen(this.#settings());
  }

  /** Takes out all batches, in order. The open one is closed as it is, since it is going to be taken apart. */
  takeBack(): Batch[] {
    const batches = this.#closed.splice(0);
    if (this.#open !== undefined) batches.push(this.#closeOpen({ ...this.#settings(), codec: "none" }));
    return batches;
  }

  /** Takes out the oldest batches, due or not, as long as `isOver` says of the time at which a batch's youngest message came. */
  takeOver(isOver: (receivedAt: number) => boolean): Batch[] {
    const batches: Batch[] = [];
    for (;;) {
      const first = this.#closed[0] ?? this.#open;
      if (first === undefined || !isOver(first.receivedAt)) return batches;
      batches.push(this.takeOldest() as Batch);
    }
  }

  /** Takes out the newest batch. */
  takeNewest(): Batch | undefined {
    if (this.#open !== undefined) return this.#closeOpen({ ...this.#settings(), codec: "none" });
    return this.#closed.pop();
  }

  /** Takes out the oldest batch, due or not. */
  takeOldest(): Batch | undefined {
    return this.#closed.shift() ?? this.takeNewest();
  }

  /** The number of the first message of the first batch; Infinity when there is none. */
  get first(): number {
    return this.#closed[0]?.numbers.first ?? this.#open?.numbers.first ?? Number.POSITIVE_INFINITY;
  }

  /** Makes the open batch due, whatever its age: for a flush, or to free memory. */
  hurry(): void {
    if (this.#open !== undefined && !this.#openIsDue) this.#becomeDue();
  }

  lingered(): void {
    this.hurry();
  }

  #becomeDue(): void {
    this.#openIsDue = true;
    this.#onDue();
  }

  #closeOpen(settings: TopicSettings): Batch {
    const open = this.#open as BatchBuilder;
    this.#open = undefined;
    this.#openIsDue = false;
    return open.close(settings);
  }
}

function lingerOf({ linger, maxAge }: TopicSettings): number {
  return maxAge > 0 ? Math.min(linger, maxAge * AGE_TO_LINGER) : linger;
}
