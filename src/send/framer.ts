// Lines into frames: a pure core that knows no files and no sockets. Bytes stay bytes, nothing becomes a string.
import { ANY_PARTITION, PARTITION_KEY } from "../wire/frame.ts";
import { Filled } from "./filled.ts";
import type { Outbox } from "./outbox.ts";

/** What a line becomes. Strings are sent as UTF-8. */
export interface LineFormat {
  topic: string;
  /** The key of every message. */
  key?: Uint8Array;
  /** A line is key, this, value; a line without it has no key. Not together with `key`. */
  keyDelimiter?: Uint8Array;
  /** Any int32: PartitionKey messages instead of AnyPartition ones. */
  partitionKey?: number;
  /** What ends a line; at least one byte. */
  delimiter: Uint8Array;
  /** Bytes of the largest frame. */
  maxMessage: number;
}

/** How much is read at once, at most; a line that is longer makes the buffer grow. */
const INPUT_SIZE = 256 * 1024;
/** Room that a read finds at least. */
const READ_SIZE = 64 * 1024;
/** Below this a loop in JavaScript copies faster than a call does. */
const SHORT = 64;

/**
 * Cuts what is read into lines and writes their frames. The reader asks for `space`, reads to `bytes` from `end` on,
 * says so by `filled`, and calls `encode` until it answers true; at the end of an input, `finish` likewise.
 */
export class Framer {
  /** Long-lived memory that the C library may see. Replaced when a line needs more. */
  bytes: Buffer = Buffer.from(new ArrayBuffer(INPUT_SIZE));
  end = 0;
  /** The line being read, from 1, of this input. */
  line = 1;
  /** Bytes of the lines (without what ends them) that were framed, ever. */
  framedBytes = 0;
  /** Called with the number of a line that does not fit into a frame; it is left out. */
  onTooLong: (line: number) => void = () => {};

  readonly #format: LineFormat;
  readonly #longest: number;
  /** Everything before the length of the value; or, with a key delimiter, before the length of the key. */
  readonly #head: Buffer;
  readonly #timestampAt: number;
  #start = 0;
  /** No delimiter begins before this. */
  #scanned = 0;
  /** What `encode` looks at, and where in it the next key ends. */
  #filled = new Filled(this.bytes, 0);
  #keyEnd = -1;
  /** Inside a line that is too long: its bytes are dropped as they come. */
  #skipping = false;

  constructor(format: LineFormat) {
    this.#format = format;
    const fixed = format.partitionKey === undefined ? 10 : 14;
    const topic = Buffer.from(format.topic);
    const key = format.keyDelimiter === undefined ? (format.key ?? new Uint8Array(0)) : undefined;
    this.#timestampAt = fixed + 2 + topic.length;
    this.#head = Buffer.alloc(this.#timestampAt + 8 + (key === undefined ? 0 : 4 + key.length));
    this.#head.writeInt16BE(format.partitionKey === undefined ? ANY_PARTITION : PARTITION_KEY, 4);
    if (format.partitionKey !== undefined) this.#head.writeInt32BE(format.partitionKey, 10);
    this.#head.writeInt16BE(topic.length, fixed);
    this.#head.set(topic, fixed + 2);
    if (key !== undefined) {
      this.#head.writeInt32BE(key.length, this.#timestampAt + 8);
      this.#head.set(key, this.#timestampAt + 12);
    }
    const lengths = key === undefined ? 8 : 4;
    this.#longest = format.maxMessage - this.#head.length - lengths + (format.keyDelimiter?.length ?? 0);
  }

  /** Whether an input may end here without a last line. */
  get betweenLines(): boolean {
    return this.#start === this.end && !this.#skipping;
  }

  /** Makes room for a read at `end`: how many bytes there are. Nothing whole may be waiting (`encode` answered true). */
  space(): number {
    if (this.end - this.#start > this.#longest + this.#format.delimiter.length - 1) {
      // Too long already, whatever follows; what may be the beginning of its end is kept.
      this.#skipping = true;
      this.#start = Math.max(this.#start, this.#scanned);
    }
    if (this.#start === this.end) this.#start = this.end = this.#scanned = 0;
    if (this.bytes.length - this.end < READ_SIZE && this.#start > 0) {
      this.bytes.copyWithin(0, this.#start, this.end);
      this.end -= this.#start;
      this.#scanned -= this.#start;
      this.#start = 0;
    }
    if (this.bytes.length - this.end < READ_SIZE) {
      const larger = Buffer.from(new ArrayBuffer(this.bytes.length * 2));
      this.bytes.copy(larger, 0, 0, this.end);
      this.bytes = larger;
    }
    return this.bytes.length - this.end;
  }

  /** Notes that `count` bytes were read. */
  filled(count: number): void {
    this.end += count;
  }

  /** Frames all whole lines, stamped with `now` (ms since the epoch). False: the outbox is full, call again. */
  encode(out: Outbox, now: number): boolean {
    this.#head.writeBigInt64BE(BigInt(now), this.#timestampAt);
    const { delimiter } = this.#format;
    const filled = new Filled(this.bytes, this.end);
    this.#filled = filled;
    this.#keyEnd = -1;
    for (;;) {
      const at = filled.find(delimiter, this.#scanned);
      if (at < 0) {
        this.#scanned = Math.max(this.#scanned, this.end - delimiter.length + 1);
        return true;
      }
      if (!this.#take(out, this.#start, at)) {
        this.#scanned = at;
        return false;
      }
      this.#start = this.#scanned = at + delimiter.length;
    }
  }

  /** At the end of an input: frames the line that nothing ended, if there is one. False: the outbox is full, call again. */
  finish(out: Outbox): boolean {
    if (!this.betweenLines && !this.#take(out, this.#start, this.end)) return false;
    this.abandon();
    return true;
  }

  /** Forgets an unfinished line and is ready for the next input. */
  abandon(): void {
    this.#start = this.end = this.#scanned = 0;
    this.#skipping = false;
    this.line = 1;
  }

  /** Frames one line, bytes [start, end). False: no room for it. */
  #take(out: Outbox, start: number, end: number): boolean {
    if (this.#skipping || end - start > this.#longest) return this.#leaveOut();
    const head = this.#head;
    const { keyDelimiter } = this.#format;
    if (keyDelimiter !== undefined) return this.#takeKeyed(out, start, end, keyDelimiter);
    const length = end - start;
    const size = head.length + 4 + length;
    if (!out.reserve(size)) return false;
    const to = out.bytes;
    const valueAt = writeHead(to, out.end, head, size);
    writeInt32(to, valueAt, length);
    this.bytes.copy(to, valueAt + 4, start, end);
    this.#written(out, size, length);
    return true;
  }

  #takeKeyed(out: Outbox, start: number, end: number, keyDelimiter: Uint8Array): boolean {
    // Found ahead of a line without one, it is kept for the line it is in.
    if (this.#keyEnd < start) {
      const at = this.#filled.find(keyDelimiter, start);
      this.#keyEnd = at < 0 ? this.end : at;
    }
    const keyed = this.#keyEnd + keyDelimiter.length <= end;
    const keyLength = keyed ? this.#keyEnd - start : 0;
    const valueStart = keyed ? this.#keyEnd + keyDelimiter.length : start;
    const size = this.#head.length + 4 + keyLength + 4 + (end - valueStart);
    if (size > this.#format.maxMessage) return this.#leaveOut();
    if (!out.reserve(size)) return false;
    const to = out.bytes;
    const keyAt = writeHead(to, out.end, this.#head, size);
    writeInt32(to, keyAt, keyLength);
    this.bytes.copy(to, keyAt + 4, start, start + keyLength);
    writeInt32(to, keyAt + 4 + keyLength, end - valueStart);
    this.bytes.copy(to, keyAt + 8 + keyLength, valueStart, end);
    this.#written(out, size, end - start);
    return true;
  }

  #leaveOut(): true {
    this.#skipping = false;
    this.onTooLong(this.line++);
    return true;
  }

  #written(out: Outbox, size: number, length: number): void {
    out.end += size;
    out.written++;
    this.line++;
    this.framedBytes += length;
  }
}

/** Writes the beginning of a frame; where it ends. */
function writeHead(to: Buffer, at: number, head: Buffer, size: number): number {
  const length = head.length;
  if (length > SHORT) to.set(head, at);
  else for (let i = 4; i < length; i++) to[at + i] = head[i] as number;
  writeInt32(to, at, size);
  return at + length;
}

function writeInt32(to: Buffer, at: number, value: number): void {
  to[at] = value >>> 24;
  to[at + 1] = value >>> 16;
  to[at + 2] = value >>> 8;
  to[at + 3] = value;
}
