// Frames on their way to the daemon: what is not sent yet, and what was sent but may have to be sent again.
import { readInt32 } from "../wire/frame.ts";

export interface OutboxSizes {
  /** Bytes of a chunk; a frame that needs more gets a chunk of its own. */
  chunk: number;
  /** How many chunks may hold frames that were not sent: no more than the processor's caches do. */
  ahead: number;
  /** Bytes of all chunks together; a single frame may need more. */
  window: number;
}

const SIZES: OutboxSizes = { chunk: 512 * 1024, ahead: 2, window: 8 * 1024 * 1024 };

/** Whole frames, back to back, in long-lived memory that the C library may see. */
interface Chunk {
  bytes: Buffer;
  /** Where they end; of the newest chunk `Outbox.end` tells. */
  end: number;
  /** The number of the first frame; they count from 0. */
  first: number;
}

/**
 * The frames numbered [base, written), in chunks that are used again, the one freed last first, so that they stay in the
 * caches as long as the daemon keeps up. Invariants: base <= sent <= written; frames before `base` are needed no more; a
 * frame of which the kernel took only a part counts as not sent, since it must be sent again whole.
 */
export class Outbox {
  /** Of the newest chunk, into which frames are written at `end`. Whoever writes one moves `end` and counts it. */
  bytes: Buffer;
  end = 0;
  /** Frames written, ever. */
  written = 0;
  /** What was sent is kept until it is released; else it is forgotten at once. */
  keeping = false;

  readonly #sizes: OutboxSizes;
  /** Oldest first; never empty. */
  readonly #chunks: Chunk[];
  /** Memory to use again: that of chunks, and the largest other one. */
  readonly #free: Buffer[] = [];
  #large: Buffer | undefined;
  #base = 0;
  /** The chunk being sent, and how much of it the kernel took. */
  #at = 0;
  #start = 0;
  /** Where in it the first frame begins that is not known to have been taken whole, and the number of that frame. */
  #boundary = 0;
  #sent = 0;

  constructor(sizes: OutboxSizes = SIZES) {
    this.#sizes = sizes;
    this.bytes = this.#take(sizes.chunk);
    this.#chunks = [{ bytes: this.bytes, end: 0, first: 0 }];
  }

  /** All that was written is sent. */
  get empty(): boolean {
    return this.#start === this.end && this.#at === this.#chunks.length - 1;
  }

  /** The number of the first frame that is kept. */
  get base(): number {
    return this.#base;
  }

  /** What the kernel is to be given next: sending[start, stop). */
  get sending(): Buffer {
    return this.#current.bytes;
  }
  get start(): number {
    return this.#start;
  }
  get stop(): number {
    return this.#at === this.#chunks.length - 1 ? this.end : this.#current.end;
  }

  /** How many frames were sent, where that is known at no cost: between two chunks and when all were. Else -1. */
  get edge(): number {
    if (this.empty) return this.written;
    return this.#start === 0 ? this.#current.first : -1;
  }

  /** Notes that the kernel took `count` bytes of what it was given. */
  took(count: number): void {
    this.#start += count;
    if (this.#start < this.stop) return;
    if (this.#at === this.#chunks.length - 1) {
      this.#boundary = this.#start;
      this.#sent = this.written;
    } else this.#enter(this.#at + 1);
    if (!this.keeping) this.release(this.#sent);
  }

  /** Frames that the kernel took whole, but for those that were taken back by `rewind`. */
  sent(): number {
    // Counted only when asked: a walk costs as much per frame as all the other bookkeeping.
    const { bytes } = this.#current;
    while (this.#boundary < this.#start) {
      const next = this.#boundary + readInt32(bytes, this.#boundary);
      if (next > this.#start) break;
      this.#boundary = next;
      this.#sent++;
    }
    return this.#sent;
  }

  /** For a new connection: goes back to the first frame that was not taken whole, or to one before that is kept. */
  rewind(to: number = this.sent()): void {
    if (to < this.#base || to > this.sent()) throw new Error(`frame ${to} is not among those that are kept`);
    if (to < this.#sent) {
      this.#enter(this.#chunks.findLastIndex(({ first }) => first <= to));
      const { bytes } = this.#current;
      for (; this.#sent < to; this.#sent++) this.#boundary += readInt32(bytes, this.#boundary);
    }
    this.#start = this.#boundary;
  }

  /** Forgets the frames before number `to`: they were sent. */
  release(to: number): void {
    if (to <= this.#base) return;
    this.#base = to;
    let gone = 0;
    while (gone < this.#at && (this.#chunks[gone + 1] as Chunk).first <= to) {
      this.#giveBack((this.#chunks[gone++] as Chunk).bytes);
    }
    if (gone > 0) this.#chunks.splice(0, gone);
    this.#at -= gone;
    if (to === this.written && this.empty) this.#clear(this.#sizes.chunk);
  }

  /** Makes room for `size` more bytes at `end`; false when there is none before more has been sent, or released. */
  reserve(size: number): boolean {
    if (this.bytes.length - this.end >= size) return true;
    const length = Math.max(size, this.#sizes.chunk);
    if (this.#base === this.written) {
      this.#clear(length);
      return true;
    }
    if (this.#chunks.length - this.#at >= this.#sizes.ahead) return false;
    const held = this.#chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (held + length > this.#sizes.window) return false;
    const wasEmpty = this.empty;
    (this.#chunks[this.#chunks.length - 1] as Chunk).end = this.end;
    this.bytes = this.#take(length);
    this.end = 0;
    this.#chunks.push({ bytes: this.bytes, end: 0, first: this.written });
    if (wasEmpty) this.#enter(this.#at + 1);
    return true;
  }

  get #current(): Chunk {
    return this.#chunks[this.#at] as Chunk;
  }

  /** Sending goes on at the beginning of a chunk. */
  #enter(at: number): void {
    this.#at = at;
    this.#start = this.#boundary = 0;
    this.#sent = this.#current.first;
  }

  /** No frame is kept: begins anew with one chunk of `length` bytes at least. */
  #clear(length: number): void {
    const chunk = this.#chunks[0] as Chunk;
    if (length > chunk.bytes.length || chunk.bytes.length > this.#sizes.chunk) {
      this.#giveBack(chunk.bytes);
      chunk.bytes = this.bytes = this.#take(length);
    }
    chunk.first = this.written;
    this.end = 0;
    this.#enter(0);
  }

  #take(length: number): Buffer {
    if (length === this.#sizes.chunk) return this.#free.pop() ?? Buffer.from(new ArrayBuffer(length));
    const large = this.#large;
    this.#large = undefined;
    return large !== undefined && large.length >= length ? large : Buffer.from(new ArrayBuffer(length));
  }

  #giveBack(bytes: Buffer): void {
    if (bytes.length === this.#sizes.chunk) this.#free.push(bytes);
    else if (bytes.length > (this.#large?.length ?? 0)) this.#large = bytes;
  }
}
