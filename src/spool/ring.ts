// A FIFO of variable-size blocks in memory shared by two threads: one writes, one reads, neither ever waits.
//
// What holds:
// - Positions are absolute and only grow; where a position lies is `position mod capacity`. The writer alone moves
//   WRITTEN and RESTART, the reader alone RELEASED. A block is contiguous: what is left of the end of the memory when a
//   block does not fit there is skipped, and counts as used until the reader is past it.
// - When all is released, the writer starts again at offset 0, so that a ring that stays nearly empty touches, and
//   keeps in the caches, only the little it needs. That skip is not used space: RESTART says where it ends.
// - IDLE is set by a reader that found nothing and sleeps, and cleared by the one append that must wake it. WANTED is set by a
//   writer that found no room, and cleared by the one release that must wake it. Each looks again after setting its
//   flag, so no wake-up is lost.
import type { Block } from "./block.ts";

// Indexes into the control words; each in a cache line of its own, since they have different owners.
const WRITTEN = 0;
const RESTART = 1;
const WRITTEN_MESSAGES = 2;
const WRITTEN_BYTES = 3;
const RELEASED = 8;
const IDLE = 32; // of 32-bit words from here on
const WANTED = 48;
const CONTROL_BYTES = 256;

// A block in the ring: size:uint32 (of the whole entry, 0: skip to the end), length:uint32, count:uint32, unused:uint32,
// firstNumber, receivedAt and source: float64, then the frames, then padding to a multiple of eight.
const HEADER = 40;

/** The memory for a ring with room for `capacity` bytes (rounded up to a multiple of eight). */
export function createRingMemory(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_BYTES + roundUp(Math.max(capacity, HEADER + 8)));
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

class Ring {
  protected readonly control: BigInt64Array;
  protected readonly flags: Int32Array;
  protected readonly bytes: Buffer;
  protected readonly words: Uint32Array;
  protected readonly doubles: Float64Array;
  /** Bytes that blocks and their headers may take. */
  readonly capacity: number;

  constructor(memory: SharedArrayBuffer) {
    this.capacity = memory.byteLength - CONTROL_BYTES;
    this.control = new BigInt64Array(memory, 0, CONTROL_BYTES / 8);
    this.flags = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.bytes = Buffer.from(memory as unknown as ArrayBuffer, CONTROL_BYTES, this.capacity);
    this.words = new Uint32Array(memory, CONTROL_BYTES, this.capacity / 4);
    this.doubles = new Float64Array(memory, CONTROL_BYTES, this.capacity / 8);
  }

  protected load(index: number): number {
    return Number(Atomics.load(this.control, index));
  }

  protected store(index: number, value: number): void {
    Atomics.store(this.control, index, BigInt(value));
  }

  /** Messages written since the start. */
  get writtenMessages(): number {
    return this.load(WRITTEN_MESSAGES);
  }

  /** Bytes of frames written since the start. */
  get writtenBytes(): number {
    return this.load(WRITTEN_BYTES);
  }
}

export class RingWriter extends Ring {
  #written: number;
  #restart: number;
  #messages: number;
  #payload: number;
  readonly #wake: () => void;

  /** `wake` is called when the reader must be told that something came. */
  constructor(memory: SharedArrayBuffer, wake: () => void) {
    super(memory);
    this.#written = this.load(WRITTEN);
    this.#restart = this.load(RESTART);
    this.#messages = this.writtenMessages;
    this.#payload = this.writtenBytes;
    this.#wake = wake;
  }

  /** The largest block that fits when the ring is empty. */
  get largest(): number {
    return this.capacity - HEADER;
  }

  /** Copies bytes[start, end) in as one block. False: there is no room now, and a release will wake this thread. */
  append(
    firstNumber: number,
    count: number,
    source: number,
    receivedAt: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): boolean {
    const size = HEADER + roundUp(end - start);
    if (!this.#reserve(size)) {
      Atomics.store(this.flags, WANTED, size);
      if (!this.#reserve(size)) return false;
      Atomics.store(this.flags, WANTED, 0);
    }
    const offset = this.#written % this.capacity;
    const word = offset / 4;
    const double = offset / 8 + 2;
    this.words[word] = size;
    this.words[word + 1] = end - start;
    this.words[word + 2] = count;
    this.doubles[double] = firstNumber;
    this.doubles[double + 1] = receivedAt;
    this.doubles[double + 2] = source;
    bytes.copy(this.bytes, offset + HEADER, start, end);
    this.#messages += count;
    this.#payload += end - start;
    this.#written += size;
    this.store(WRITTEN_MESSAGES, this.#messages);
    this.store(WRITTEN_BYTES, this.#payload);
    this.store(WRITTEN, this.#written);
    if (Atomics.load(this.flags, IDLE) !== 0 && Atomics.exchange(this.flags, IDLE, 0) !== 0) this.#wake();
    return true;
  }

  /** Moves to where `size` bytes fit in one piece, or answers false and moves nothing. */
  #reserve(size: number): boolean {
    if (size > this.capacity) return false;
    const released = this.load(RELEASED);
    const offset = this.#written % this.capacity;
    const tail = this.capacity - offset;
    if (released === this.#written) {
      if (offset === 0) return true;
      this.#written += tail;
      this.#restart = this.#written;
      this.store(RESTART, this.#restart);
      return true;
    }
    const free = this.capacity - (this.#written - Math.max(released, this.#restart));
    if (size <= tail) return size <= free;
    if (tail + size > free) return false;
    this.words[offset / 4] = 0;
    this.#written += tail;
    return true;
  }
}

export class RingReader extends Ring {
  #position: number;
  #end = 0;
  #payload = 0;
  readonly #onRoom: () => void;
  readonly #block: Block;

  /** `onRoom` is called by a release when the writer waits for room and there is some. */
  constructor(memory: SharedArrayBuffer, onRoom: () => void) {
    super(memory);
    this.#position = this.load(RELEASED);
    this.#onRoom = onRoom;
    this.#block = { firstNumber: 0, count: 0, source: 0, receivedAt: 0, bytes: this.bytes, start: 0, end: 0 };
  }

  /** Bytes of frames written and not yet released. */
  get bytesWaiting(): number {
    return this.writtenBytes - this.#payload;
  }

  /** The next block, or nothing. The object is reused. */
  read(): Block | undefined {
    if (this.#end !== 0) throw new Error("the block read last was not released");
    if (this.load(WRITTEN) === this.#position) return undefined;
    let position = Math.max(this.#position, this.load(RESTART));
    let offset = position % this.capacity;
    if (this.words[offset / 4] === 0) {
      position += this.capacity - offset;
      offset = 0;
    }
    const word = offset / 4;
    const double = offset / 8 + 2;
    const block = this.#block;
    block.count = this.words[word + 2] as number;
    block.firstNumber = this.doubles[double] as number;
    block.receivedAt = this.doubles[double + 1] as number;
    block.source = this.doubles[double + 2] as number;
    block.start = offset + HEADER;
    block.end = block.start + (this.words[word + 1] as number);
    this.#end = position + (this.words[word] as number);
    return block;
  }

  /** Has the writer wake this thread once when it appends. False when there is a block already. */
  sleep(): boolean {
    Atomics.store(this.flags, IDLE, 1);
    if (this.load(WRITTEN) === this.#position) return true;
    Atomics.store(this.flags, IDLE, 0);
    return false;
  }

  /** Gives back the memory of the block read last. */
  release(): void {
    if (this.#end === 0) throw new Error("no block was read");
    this.#payload += this.#block.end - this.#block.start;
    this.#position = this.#end;
    this.#end = 0;
    this.store(RELEASED, this.#position);
    const wanted = Atomics.load(this.flags, WANTED);
    if (wanted === 0) return;
    // Not for each little block: a writer that waits gets a quarter of the ring at once, or all of it.
    const used = this.load(WRITTEN) - this.#position;
    if (used !== 0 && this.capacity - used < Math.max(wanted, this.capacity / 4)) return;
    if (Atomics.exchange(this.flags, WANTED, 0) !== 0) this.#onRoom();
  }
}
