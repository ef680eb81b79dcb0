// The queue in memory alone: a ring between the threads, message numbers, and settlement by spans of them.
import type { Block } from "./block.ts";
import type { MessageNumbers } from "./numbers.ts";
import type { QueueHooks, QueueLink, QueueOrder, QueueReader, QueueWriter, SettledHow } from "./queue.ts";
import { ReaderRest } from "./readerRest.ts";
import { createRingMemory, RingReader, RingWriter } from "./ring.ts";
import { Spans } from "./spans.ts";

/** The writing side, for the input thread. `wake` must reach `MemoryQueue.wake` on the other thread. */
export function openMemoryQueueWriter(memory: SharedArrayBuffer, wake: () => void): QueueWriter {
  const ring = new RingWriter(memory, wake);
  let next = ring.writtenMessages + 1;
  return {
    largest: ring.largest,
    append(source, receivedAt, bytes, start, end, count) {
      if (!ring.append(next, count, source, receivedAt, bytes, start, end)) return 0;
      const first = next;
      next += count;
      return first;
    },
    get lastNumber() {
      return next - 1;
    },
    synced: 0,
    aloneTo: Number.POSITIVE_INFINITY,
    state: "memory",
    refusedSync: (_from, to) => to,
    syncSoon: () => {},
    tend: () => {},
    gather: () => ring.gather(),
    gathered: () => ring.gathered(),
  };
}

/** The reading side. `capacity`: bytes that may wait between the two threads. */
export class MemoryQueue implements QueueReader, QueueLink {
  readonly memory: SharedArrayBuffer;
  readonly order: QueueOrder;
  readonly #ring: RingReader;
  readonly #spans = new Spans();
  #hooks: QueueHooks | undefined;
  #taken = 0;
  readonly #rest: ReaderRest;
  #onRoom: () => void = () => {};

  constructor(capacity: number) {
    this.memory = createRingMemory(capacity);
    this.order = { kind: "memory", memory: this.memory };
    this.#ring = new RingReader(this.memory, () => this.#onRoom());
    this.#rest = new ReaderRest(this.#ring, () => true);
  }

  /** Has the receipts told of what is taken and settled, from now on. */
  watch(hooks: QueueHooks): void {
    this.#hooks = hooks;
    this.#spans.hooks = hooks;
  }

  read(): Block | undefined {
    const block = this.#ring.read();
    if (block === undefined) {
      this.#rest.rest();
      return undefined;
    }
    this.#taken += block.count;
    block.receiptAccount = this.#hooks?.accountOf(block.source, undefined) ?? 0;
    this.#spans.take(block);
    return block;
  }

  release(): void {
    this.#ring.release();
  }

  onReadable(callback: () => void): void {
    this.#rest.onReadable = callback;
  }

  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  wake(): void {
    this.#rest.wake();
  }

  /** The writer of this queue has nothing to tell. */
  told(): void {}

  settle(numbers: MessageNumbers, how: SettledHow): void {
    this.#spans.settle(numbers, how);
  }

  /** None of them outlives a crash. */
  seams(): number[] {
    return [];
  }

  get written(): number {
    return this.#ring.writtenMessages;
  }

  get taken(): number {
    return this.#taken;
  }

  get settled(): number {
    return this.#spans.settled;
  }

  get unread(): number {
    return this.written - this.#taken;
  }

  get unsettled(): number {
    return this.written - this.settled;
  }

  get bytesWaiting(): number {
    return this.#ring.bytesWaiting;
  }

  get writerWaits(): boolean {
    return this.#ring.waitedFor;
  }
}
