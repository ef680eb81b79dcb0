// Gives up what waited longer than its topic's max_age and was never sent: when it is to be sent, and now and then before.

import { MessageNumbers } from "../spool/numbers.ts";
import type { Batch } from "./batch.ts";
import type { MessageAge } from "./messageAge.ts";
import type { Settle } from "./router.ts";
import type { Topic } from "./topic.ts";
import type { Waiting } from "./waiting.ts";

/** How often to look for what need not wait any more. Milliseconds. */
const EVERY = 1000;
/** Bytes given up, and held logs read, before the event loop gets its turn. */
const BYTES_PER_TURN = 1 << 20;
const READS_PER_TURN = 64;
/**
 * What is held apart is looked at when it is older by this part of max_age, or by so many ms: one look reads a block from the
 * disk, so it should find some to give up. No message is sent for that: it is looked at again on its way.
 */
const LATE = 1 / 64;
const LATE_AT_LEAST = 1000;
/** Messages settled at once. */
const AT_ONCE = 10_000;

export interface ExpiryParts {
  topics: () => Iterable<Topic>;
  settle: Settle;
  age: MessageAge;
}

export class Expiry {
  readonly #parts: ExpiryParts;
  #timer: ReturnType<typeof setInterval> | undefined;
  #immediate: ReturnType<typeof setImmediate> | undefined;
  /** Topics that are to be looked at before the next time comes. */
  #todo: Topic[] = [];

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => this.sweep(), EVERY);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#immediate);
  }

  /** Whether a batch that was never sent is not to be sent any more. */
  isOver(topic: Topic, { receivedAt }: Batch): boolean {
    const { maxAge } = topic.settings;
    return maxAge > 0 && this.#parts.age.of(receivedAt) > maxAge;
  }

  /** Gives up what is too old, some of it in this turn and the rest in the next ones. */
  sweep(): void {
    const { topics, age } = this.#parts;
    age.look();
    if (this.#todo.length > 0) return;
    for (const topic of topics()) if (topic.settings.maxAge > 0) this.#todo.push(topic);
    this.#turn();
  }

  #turn(): void {
    let bytes = 0;
    let reads = 0;
    for (let topic = this.#todo.pop(); topic !== undefined; topic = this.#todo.pop()) {
      bytes += this.#dropBatches(topic);
      for (const waiting of topic.allWaiting()) {
        if (waiting.onDisk > 0) reads++;
        bytes += this.#dropWaiting(topic, waiting, BYTES_PER_TURN - bytes);
      }
      if (bytes < BYTES_PER_TURN && reads < READS_PER_TURN) continue;
      if (bytes >= BYTES_PER_TURN) this.#todo.push(topic);
      this.#immediate = setImmediate(() => this.#turn());
      return;
    }
  }

  #dropBatches(topic: Topic): number {
    const { settle, age } = this.#parts;
    const { maxAge } = topic.settings;
    let bytes = 0;
    for (const queue of topic.queues()) {
      for (const batch of queue.takeOver((receivedAt) => age.of(receivedAt) > maxAge)) {
        bytes += batch.bytes.length;
        settle.discarded(topic, batch.numbers, "expired");
        batch.dispose();
      }
    }
    return bytes;
  }

  #dropWaiting(topic: Topic, waiting: Waiting, most: number): number {
    const { settle, age } = this.#parts;
    const { maxAge } = topic.settings;
    const late = waiting.onDisk > 0 ? Math.max(LATE_AT_LEAST, maxAge * LATE) : 0;
    let bytes = 0;
    let limit = maxAge + late;
    const numbers = new MessageNumbers();
    const isOver = (receivedAt: number) => age.of(receivedAt) > limit;
    const settleAll = () => {
      if (numbers.count > 0) settle.discarded(topic, numbers, "expired");
      numbers.clear();
    };
    waiting.takeOver(
      isOver,
      () => bytes < most,
      (number, _bytes, start, end) => {
        // Now that it is read, all that is over goes.
        limit = maxAge;
        bytes += end - start;
        numbers.append(number);
        if (numbers.count === AT_ONCE) settleAll();
        return true;
      },
    );
    settleAll();
    return bytes;
  }
}
