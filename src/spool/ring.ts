// A FIFO of variable-size blocks in memory shared by two threads: one writes, one reads, neither ever waits.
//
// What holds:
// - Positions only grow; where a position lies is `position mod capacity`. The writer alone moves WRITTEN and RESTART, the
//   reader alone RELEASED. Each side keeps its own position whole and shares its low 32 bits, counted in eights: the two are
//   never further apart than twice the capacity, so each can tell the other's. (64-bit words would have to be bigints,
//   which made a small block cost the two threads 1.6 instead of 0.6 µs together.)
// - A block is contiguous: what is left of the end of the memory when a block does not fit there is skipped, and counts
//   as used until the reader is past it.
// - When all is released, the writer starts again at offset 0, so that a ring that stays nearly empty touches, and
//   keeps in the caches, only the little it needs. RESTART says where that is: nothing lies between the block before and
//   it, not even a mark, because the block at offset 0 may need all the space.
// - PROMISED is set by a reader that will look again in a moment by itself, GATHERING by a writer that relies on this and waits
//   with what it has, for more. The reader takes its promise back before it looks whether there is somebody to wake; the
//   writer looks for the promise after saying that it waits. So one of the two sees the other.
// - A writer that keeps (see `keep`) has what it wrote since, whether the reader has released it or not, as long as nothing newer
//   needs its room: a block that is released is not changed before it is written over. It does not start again at offset 0
//   then for as long as a block fits behind the last.
// - IDLE is set by a reader that found nothing and sleeps, and cleared by the one append that must wake it. WANTED is
//   set by a writer that found no room, and cleared by the one release that must wake it. Each looks again after setting
//   its flag, so no wake-up is lost. One that finds room after all leaves the flag to whoever waited before it.
import { type Block, emptyBlock } from "./block.ts";

// Indexes of the 32-bit words; the writer's and the reader's are in cache lines of their own.
const WRITTEN = 0;
const WANTED = 1;
const GATHERING = 3;
const RESTART = 2;
const RELEASED = 16;
const IDLE = 17;
const PROMISED = 18;
// Indexes of the 64-bit counters, which the writer alone writes.
const MESSAGES = 4;
const PAYLOAD = 5;
/** WRITTEN, RESTART and RELEASED, whole: only for a side that is opened anew. */
const WHOLE_WRITTEN = 6;
const WHOLE_RESTART = 7;
const WHOLE_RELEASED = 9;
const CONTROL_BYTES = 128;

/** Positions are multiples of this. */
const UNIT = 8;
/** RESTART is moved up when it is that far behind, before its low bits could be taken for those of a new position. */
const RESTART_AGE = 2 ** 33;
/** The low bits of a position have to tell apart all that lie within twice the capacity. */
const MAX_CAPACITY = 2 ** 31;

// A block in the ring: size:uint32 (of the whole entry; 0: skip to the end), length:uint32, count:uint32, segment:uint32,
// firstNumber, receivedAt, source and offset: float64, then the payload, then padding to a multiple of UNIT.
const HEADER = 48;

/**
 * The memory for a ring with room for `capacity` bytes (rounded up to a multiple of eight), at most 2 GiB. Positions
 * begin at the last multiple of the capacity that is not beyond `origin`, which only tests need.
 */
export function createRingMemory(capacity: number, origin = 0): SharedArrayBuffer {
  if (capacity > MAX_CAPACITY) throw new RangeError(`a ring of ${capacity} bytes is too large`);
  const size = roundUp(Math.max(capacity, HEADER + UNIT));
  const memory = new SharedArrayBuffer(CONTROL_BYTES + size);
  const first = Math.floor(origin / size) * size;
  new Int32Array(memory)[WRITTEN] = lowBits(first);
  new Int32Array(memory)[RESTART] = lowBits(first);
  new Int32Array(memory)[RELEASED] = lowBits(first);
  new Float64Array(memory)[WHOLE_WRITTEN] = first;
  new Float64Array(memory)[WHOLE_RESTART] = first;
  new Float64Array(memory)[WHOLE_RELEASED] = first;
  return memory;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / UNIT) * UNIT;
}

class Ring {
  /** For Atomics. */
  protected readonly control: Int32Array;
  /** Counts are plain doubles: read by the other thread, they may be a little old. */
  protected readonly counters: Float64Array;
  /** Where blocks are. */
  readonly bytes: Buffer;
  protected readonly words: Uint32Array;
  protected readonly doubles: Float64Array;
  /** Bytes that blocks and their headers may take. */
  readonly capacity: number;

  constructor(memory: SharedArrayBuffer) {
    this.capacity = memory.byteLength - CONTROL_BYTES;
    this.control = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.counters = new Float64Array(memory, 0, CONTROL_BYTES / 8);
    this.bytes = Buffer.from(memory as unknown as ArrayBuffer, CONTROL_BYTES, this.capacity);
    this.words = new Uint32Array(memory, CONTROL_BYTES, this.capacity / 4);
    this.doubles = new Float64Array(memory, CONTROL_BYTES, this.capacity / 8);
  }

  /** How far `position` is ahead of the one shared at `index`, which is not ahead of it. */
  protected ahead(position: number, index: number): number {
    return ((lowBits(position) - Atomics.load(this.control, index)) >>> 0) * UNIT;
  }

  /** How far the position shared at `index` is ahead of `position`, which is not ahead of it. */
  protected behind(position: number, index: number): number {
    return ((Atomics.load(this.control, index) - lowBits(position)) >>> 0) * UNIT;
  }

  protected share(index: number, wholeIndex: number, position: number): void {
    this.counters[wholeIndex] = position;
    Atomics.store(this.control, index, lowBits(position));
  }

  /** Messages written since the start. */
  get writtenMessages(): number {
    return this.counters[MESSAGES] as number;
  }

  /** Bytes of frames written since the start. */
  get writtenBytes(): number {
    return this.counters[PAYLOAD] as number;
  }
}

function lowBits(position: number): number {
  return (position / UNIT) | 0;
}

/** A block that the writer has kept. */
export interface KeptBlock {
  firstNumber: number;
  count: number;
  /** In the ring's `bytes`. */
  start: number;
  end: number;
}

/** One at a time for each ring; one opened later goes on where the last has stopped. */
export class RingWriter extends Ring {
  #written: number;
  #restart: number;
  /** Where the oldest block is that is kept; -1 when none are. */
  #kept = -1;
  #missed = 0;
  #messages: number;
  #payload: number;
  readonly #wake: () => void;

  /** `wake` is called when the reader must be told that something came. */
  constructor(memory: SharedArrayBuffer, wake: () => void) {
    super(memory);
    this.#wake = wake;
    this.#written = this.counters[WHOLE_WRITTEN] as number;
    this.#restart = this.counters[WHOLE_RESTART] as number;
    this.#messages = this.writtenMessages;
    this.#payload = this.writtenBytes;
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
    const at = this.reserveOrWait(end - start);
    if (at < 0) return false;
    bytes.copy(this.bytes, at, start, end);
    this.publish(end - start, firstNumber, count, source, receivedAt, 0, 0);
    this.wakeReader();
    return true;
  }

  /**
   * Finds room for a block of `length` bytes. Answers where in `bytes` it is to be written, or -1 when it does not fit, or
   * when more than `most` bytes would then lie in the ring; a block that finds it empty always may. Nothing is taken
   * before `publish`.
   */
  reserve(length: number, most: number = this.capacity): number {
    const size = HEADER + roundUp(length);
    return this.#reserve(size, most) ? (this.#written % this.capacity) + HEADER : -1;
  }

  /** The same; when there is no room, a release will wake this thread. */
  reserveOrWait(length: number): number {
    const size = HEADER + roundUp(length);
    if (!this.#reserve(size, this.capacity)) {
      const before = Atomics.exchange(this.control, WANTED, size);
      if (!this.#reserve(size, this.capacity)) return -1;
      // Another input may wait still.
      if (before === 0) Atomics.store(this.control, WANTED, 0);
    }
    return (this.#written % this.capacity) + HEADER;
  }

  /** Hands on the block of `length` bytes that was written where `reserve` said. `segment` and `offset`: see Block. */
  publish(
    length: number,
    firstNumber: number,
    count: number,
    source: number,
    receivedAt: number,
    segment: number,
    offset: number,
  ): void {
    const size = HEADER + roundUp(length);
    const at = this.#written % this.capacity;
    const word = at / 4;
    const double = at / 8 + 2;
    this.words[word] = size;
    this.words[word + 1] = length;
    this.words[word + 2] = count;
    this.words[word + 3] = segment;
    this.doubles[double] = firstNumber;
    this.doubles[double + 1] = receivedAt;
    this.doubles[double + 2] = source;
    this.doubles[double + 3] = offset;
    this.#messages += count;
    this.#payload += length;
    this.#written += size;
    this.counters[MESSAGES] = this.#messages;
    this.counters[PAYLOAD] = this.#payload;
    this.share(WRITTEN, WHOLE_WRITTEN, this.#written);
    // Twice the capacity behind is behind the reader in any case.
    if (this.#written - this.#restart > RESTART_AGE) this.#restartAt(this.#written - 2 * this.capacity);
  }

  /** From the next block on they are kept, each until its room is needed. */
  keep(): void {
    this.#kept = this.#written;
  }

  /** None is kept any more. */
  keepNone(): void {
    this.#kept = -1;
  }

  /** The last message whose block was kept no longer because its room was needed; 0: none. */
  get missed(): number {
    return this.#missed;
  }

  /** The oldest block that is kept, if there is any. */
  get oldestKept(): KeptBlock | undefined {
    const at = this.#kept < 0 ? this.#written : this.#pastEnd(this.#kept);
    if (at >= this.#written) return undefined;
    const offset = at % this.capacity;
    const start = offset + HEADER;
    return {
      firstNumber: this.doubles[offset / 8 + 2] as number,
      count: this.words[offset / 4 + 2] as number,
      start,
      end: start + (this.words[offset / 4 + 1] as number),
    };
  }

  /** The oldest is kept no longer. There is one. */
  dropOldestKept(): void {
    const at = this.#pastEnd(this.#kept);
    this.#kept = at + (this.words[(at % this.capacity) / 4] as number);
  }

  /** Whether what there is may wait for more: the reader wakes this thread in a moment. False: hand it on now. */
  gather(): boolean {
    Atomics.store(this.control, GATHERING, 1);
    if (Atomics.load(this.control, PROMISED) !== 0) return true;
    Atomics.store(this.control, GATHERING, 0);
    return false;
  }

  /** Nothing waits any more. */
  gathered(): void {
    Atomics.store(this.control, GATHERING, 0);
  }

  /** Wakes the reader if it sleeps. To be called after each block that it can have, wherever that is. */
  wakeReader(): void {
    if (Atomics.load(this.control, IDLE) !== 0 && Atomics.exchange(this.control, IDLE, 0) !== 0) this.#wake();
  }

  /** Moves to where `size` bytes fit in one piece, or answers false and moves nothing. */
  #reserve(size: number, most: number): boolean {
    if (size > this.capacity) return false;
    const unreleased = this.ahead(this.#written, RELEASED);
    const offset = this.#written % this.capacity;
    const tail = this.capacity - offset;
    if (unreleased === 0) {
      if (this.#kept >= 0 && size <= tail) return this.#yield(0, size);
      if (offset === 0) return true;
      this.#yield(tail, size);
      this.#written += tail;
      this.#restartAt(this.#written);
      return true;
    }
    const used = Math.min(unreleased, this.#written - this.#restart);
    if (used + size > most) return false;
    const free = this.capacity - used;
    if (size <= tail) return size <= free && this.#yield(0, size);
    if (tail + size > free) return false;
    this.#yield(tail, size);
    this.words[offset / 4] = 0;
    this.#written += tail;
    return true;
  }

  /** A block of `size` bytes will be written behind `skipped` bytes: keeps none of what lies there. True. */
  #yield(skipped: number, size: number): true {
    if (this.#kept < 0) return true;
    const begin = this.#written + skipped;
    const lost = begin + size - this.capacity;
    while (this.#kept < lost) {
      const block = this.oldestKept;
      if (block === undefined) break;
      this.#missed = block.firstNumber + block.count - 1;
      this.dropOldestKept();
    }
    // A mark, also where the reader needs none. With nothing kept before it, it may be written over.
    if (skipped > 0) this.words[(this.#written % this.capacity) / 4] = 0;
    if (this.#kept >= this.#written) this.#kept = begin;
    return true;
  }

  /** Where the block is that begins at `position`, or behind what was skipped there. */
  #pastEnd(position: number): number {
    const offset = position % this.capacity;
    const skipped = position < this.#written && this.words[offset / 4] === 0;
    return skipped ? position + this.capacity - offset : position;
  }

  #restartAt(position: number): void {
    this.#restart = position;
    this.share(RESTART, WHOLE_RESTART, position);
  }
}

/** One for each ring. */
export class RingReader extends Ring {
  #position: number;
  #end = 0;
  #length = 0;
  #payload = 0;
  readonly #onRoom: () => void;
  readonly #block: Block;

  /** `onRoom` is called by a release when the writer waits for room and there is some. */
  constructor(memory: SharedArrayBuffer, onRoom: () => void) {
    super(memory);
    this.#onRoom = onRoom;
    this.#position = this.counters[WHOLE_RELEASED] as number;
    this.#block = emptyBlock(this.bytes);
  }

  /** Bytes of frames written and not yet released. */
  get bytesWaiting(): number {
    return this.writtenBytes - this.#payload;
  }

  /** The writer waits for room. */
  get waitedFor(): boolean {
    return Atomics.load(this.control, WANTED) !== 0;
  }

  /** The number of the next block's first message; 0 when there is none. */
  peek(): number {
    const unread = this.behind(this.#position, WRITTEN);
    if (unread === 0) return 0;
    const position = this.#locate(unread);
    return this.doubles[(position % this.capacity) / 8 + 2] as number;
  }

  /** The next block, or nothing. The object is reused. */
  read(): Block | undefined {
    if (this.#end !== 0) throw new Error("the block read last was not released");
    const unread = this.behind(this.#position, WRITTEN);
    if (unread === 0) return undefined;
    const position = this.#locate(unread);
    const offset = position % this.capacity;
    const word = offset / 4;
    const double = offset / 8 + 2;
    const block = this.#block;
    this.#length = this.words[word + 1] as number;
    block.count = this.words[word + 2] as number;
    block.live = block.count;
    block.segment = this.words[word + 3] as number;
    block.firstNumber = this.doubles[double] as number;
    block.receivedAt = this.doubles[double + 1] as number;
    block.source = this.doubles[double + 2] as number;
    block.offset = this.doubles[double + 3] as number;
    block.start = offset + HEADER;
    block.end = block.start + this.#length;
    this.#end = position + (this.words[word] as number);
    return block;
  }

  /** Where the next block is. */
  #locate(unread: number): number {
    let position = this.#position;
    const restart = this.behind(position, RESTART);
    if (restart < unread) position += restart;
    const offset = position % this.capacity;
    return this.words[offset / 4] === 0 ? position + this.capacity - offset : position;
  }

  /** This thread will look again in a moment (see `lookAgain`): until then a writer may gather. */
  promise(): void {
    Atomics.store(this.control, PROMISED, 1);
  }

  /** The moment is over. Answers as `nudge`. */
  lookAgain(): boolean {
    Atomics.store(this.control, PROMISED, 0);
    return this.nudge();
  }

  /** True: the writer has gathered something, and was woken to append it. */
  nudge(): boolean {
    if (Atomics.exchange(this.control, GATHERING, 0) === 0) return false;
    this.#onRoom();
    return true;
  }

  get empty(): boolean {
    return this.behind(this.#position, WRITTEN) === 0;
  }

  /** Has the writer wake this thread once when it appends. False when there is a block already. */
  sleep(): boolean {
    Atomics.store(this.control, IDLE, 1);
    if (this.behind(this.#position, WRITTEN) === 0) return true;
    Atomics.store(this.control, IDLE, 0);
    return false;
  }

  /** It does not sleep after all. */
  stayAwake(): void {
    Atomics.store(this.control, IDLE, 0);
  }

  /** Gives back the memory of the block read last. */
  release(): void {
    if (this.#end === 0) throw new Error("no block was read");
    this.#payload += this.#length;
    this.#position = this.#end;
    this.#end = 0;
    this.share(RELEASED, WHOLE_RELEASED, this.#position);
    const wanted = Atomics.load(this.control, WANTED);
    if (wanted === 0) return;
    // Not for each little block: a writer that waits gets a quarter of the ring at once, or all of it.
    const used = this.behind(this.#position, WRITTEN);
    if (used !== 0 && this.capacity - used < Math.max(wanted, this.capacity / 4)) return;
    if (Atomics.exchange(this.control, WANTED, 0) !== 0) this.#onRoom();
  }
}
