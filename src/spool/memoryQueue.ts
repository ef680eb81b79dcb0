// The queue in memory alone: a ring between the threads, message numbers, and settlement by spans of them.
import type { Block } from "./block.ts";
import type { MessageNumbers } from "./numbers.ts";
import type { QueueLink, QueueReader, QueueWriter } from "./queue.ts";
import { createRingMemory, RingReader, RingWriter } from "./ring.ts";

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
  };
}

/** Messages that a span has at least, before the next is begun. */
const SPAN = 1000;

/** Messages with numbers that follow each other. */
interface Span {
  firstNumber: number;
  count: number;
  unsettled: number;
}

/**
 * How long a reader that has read everything waits until it looks again, before it asks to be woken. Milliseconds.
 * While messages keep coming it then looks a thousand times a second, and finds what has gathered: a message from
 * thread to thread for each few datagrams, or a timer in the writer's poll, costs more than the datagrams do.
 */
const LOOK_AGAIN = 1;

/** The reading side. `capacity`: bytes that may wait between the two threads. */
export class MemoryQueue implements QueueReader, QueueLink {
  readonly memory: SharedArrayBuffer;
  readonly #ring: RingReader;
  #taken = 0;
  #settled = 0;
  /** What was read and is not settled in full, ascending; and in between some that are, `#done` of them. */
  #spans: Span[] = [];
  #done = 0;
  /** "looking": it will look again by itself. "asleep": the writer has been asked to wake it. */
  #state: "awake" | "looking" | "asleep" = "awake";
  #onReadable: () => void = () => {};
  #onRoom: () => void = () => {};

  constructor(capacity: number) {
    this.memory = createRingMemory(capacity);
    this.#ring = new RingReader(this.memory, () => this.#onRoom());
  }

  read(): Block | undefined {
    const block = this.#ring.read();
    if (block === undefined) {
      this.#rest();
      return undefined;
    }
    this.#taken += block.count;
    this.#note(block.firstNumber, block.count);
    return block;
  }

  release(): void {
    this.#ring.release();
  }

  onReadable(callback: () => void): void {
    this.#onReadable = callback;
  }

  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  wake(): void {
    if (this.#state !== "asleep") return;
    this.#state = "awake";
    this.#onReadable();
  }

  settle(numbers: MessageNumbers): void {
    if (numbers.count === 0) return;
    const spans = this.#spans;
    let index = this.#spanOf(numbers.first);
    let span = spans[index];
    let end = span === undefined ? 0 : span.firstNumber + span.count;
    numbers.forEach((number) => {
      while (span !== undefined && number >= end) {
        span = spans[++index];
        end = span === undefined ? 0 : span.firstNumber + span.count;
      }
      // Only a defect gets here; going on would let the ledger drift in silence.
      if (span === undefined || number < span.firstNumber || span.unsettled === 0) {
        throw new RangeError(`message ${number} is settled twice, or was never read`);
      }
      if (--span.unsettled === 0) this.#done++;
    });
    this.#settled += numbers.count;
    // Also from behind those that wait for long: a message of a held topic must not keep the spans of all that follow it.
    if (this.#done === spans.length || (this.#done > 1024 && this.#done * 2 > spans.length)) {
      this.#spans = this.#done === spans.length ? [] : spans.filter(({ unsettled }) => unsettled > 0);
      this.#done = 0;
    }
  }

  get written(): number {
    return this.#ring.writtenMessages;
  }

  get taken(): number {
    return this.#taken;
  }

  get settled(): number {
    return this.#settled;
  }

  get unsettled(): number {
    return this.written - this.#settled;
  }

  get bytesWaiting(): number {
    return this.#ring.bytesWaiting;
  }

  /** Remembers that these are to be settled. Small blocks share a span: a span is an object, and weighs like ten messages. */
  #note(firstNumber: number, count: number): void {
    const last = this.#spans.at(-1);
    // The spans in between may have been dropped, and one that is done may be.
    const follows = last !== undefined && last.unsettled > 0 && last.firstNumber + last.count === firstNumber;
    if (follows && last.count < SPAN) {
      last.count += count;
      last.unsettled += count;
    } else {
      this.#spans.push({ firstNumber, count, unsettled: count });
    }
  }

  #rest(): void {
    if (this.#state !== "awake") return;
    this.#state = "looking";
    setTimeout(() => {
      if (this.#ring.sleep()) {
        this.#state = "asleep";
      } else {
        this.#state = "awake";
        this.#onReadable();
      }
    }, LOOK_AGAIN);
  }

  /** The index of the span that holds `number`, or where it would be. */
  #spanOf(number: number): number {
    let low = 0;
    let high = this.#spans.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#spans[middle] as Span).firstNumber <= number) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
