// The messages of the fire: values that say who wrote them, which one it is and when, and are read back without a string.
import { encodeAnyPartition, encodePartitionKey } from "../../../src/wire/frame.ts";
import { seededRandom } from "../random.ts";

/** How a writer's messages find their partition: by a PartitionKey, by a key that is hashed, or any. */
export type Kind = "partition key" | "hashed key" | "any";

export interface Source {
  /** 0 to 99, its own. */
  id: number;
  topic: string;
  kind: Kind;
  /** Bytes of a value, at least 100. */
  size: number;
}

/** Keys of a writer: within each, the order of its messages must be kept. */
export const LANES = 16;

/** A value: id, index and the time it was sent at (ms since the epoch) as decimal digits, then text as logs have it. */
const INDEX_AT = 3;
const INDEX_DIGITS = 10;
const TIME_AT = 14;
const TIME_DIGITS = 13;
const TEXT_AT = 28;

/** Frames in one block. */
export const BLOCK = 512;

/** The same frames over and over, which only get new numbers: so a writer costs little beside what it loads. */
export class FrameBlock {
  readonly #frames: Buffer;
  readonly #frame: number;
  readonly #valueAt: number;
  readonly #kind: Kind;

  constructor({ id, topic, kind, size }: Source) {
    const random = seededRandom(id + 1);
    const frames = Array.from({ length: BLOCK }, () => {
      const value = Buffer.from(
        `${digits(id, 2)} ${" ".repeat(24)} ${logLine(random)}`.padEnd(size, ".").slice(0, size),
      );
      const key = Buffer.from(kind === "hashed key" ? keyOf(0) : "");
      const message = { topic, timestamp: 0, key, value };
      return kind === "partition key"
        ? encodePartitionKey({ ...message, partitionKey: 0 })
        : encodeAnyPartition(message);
    });
    this.#frames = Buffer.concat(frames);
    this.#frame = this.#frames.length / BLOCK;
    this.#valueAt = this.#frame - size;
    this.#kind = kind;
  }

  /** `count` messages from index `first` on, sent at `now`; valid until the next call. At most BLOCK. */
  fill(first: number, count: number, now: number): Buffer {
    const frames = this.#frames;
    const high = Math.floor(now / 2 ** 32);
    const low = now % 2 ** 32;
    const keyLength = this.#kind === "hashed key" ? KEY_LENGTH : 0;
    for (let slot = 0; slot < count; slot++) {
      const index = first + slot;
      const at = slot * this.#frame;
      const valueAt = at + this.#valueAt;
      writeDigits(frames, valueAt + INDEX_AT, INDEX_DIGITS, index);
      writeDigits(frames, valueAt + TIME_AT, TIME_DIGITS, now);
      const timestampAt = valueAt - 4 - keyLength - 4 - 8;
      frames.writeUInt32BE(high, timestampAt);
      frames.writeUInt32BE(low, timestampAt + 4);
      if (this.#kind === "partition key") frames.writeInt32BE(index % LANES, at + 10);
      else if (keyLength > 0) writeDigits(frames, valueAt - 4 - 2, 2, index % LANES);
    }
    return frames.subarray(0, count * this.#frame);
  }

  /** Message `slot` of the block filled last. */
  at(slot: number): Buffer {
    return this.#frames.subarray(slot * this.#frame, (slot + 1) * this.#frame);
  }
}

/** Reads values without allocating: one reader is kept, and its fields are overwritten. */
export class ValueReader {
  id = -1;
  index = -1;
  /** Milliseconds since the epoch. */
  sentAt = -1;

  /** Whether bytes[start, end) is a value of a FrameBlock. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < TEXT_AT) return false;
    this.id = readDigits(bytes, start, 2);
    this.index = readDigits(bytes, start + INDEX_AT, INDEX_DIGITS);
    this.sentAt = readDigits(bytes, start + TIME_AT, TIME_DIGITS);
    return this.id >= 0 && this.index >= 0 && this.sentAt >= 0;
  }
}

const KEY_LENGTH = 6;

function keyOf(lane: number): string {
  return `key-${digits(lane, 2)}`;
}

/** Of different lengths and content, so that compression has about as much to do as with real logs. */
function logLine(random: () => number): string {
  const any = (most: number) => Math.floor(random() * most);
  const method = ["GET", "POST", "PUT", "DELETE"][any(4)];
  const trace = `${any(2 ** 32).toString(16)}${any(2 ** 32).toString(16)}`;
  return `${method} /api/v1/items/${any(100_000)} status=${[200, 200, 204, 404, 500][any(5)]} took=${any(900)}ms trace=${trace} `;
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, "0");
}

function writeDigits(bytes: Buffer, at: number, count: number, value: number): void {
  let rest = value;
  for (let digit = at + count - 1; digit >= at; digit--) {
    const next = Math.floor(rest / 10);
    bytes[digit] = 48 + rest - next * 10;
    rest = next;
  }
}

/** -1 when it is no number. */
function readDigits(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let digit = at; digit < at + count; digit++) {
    const each = (bytes[digit] as number) - 48;
    if (each < 0 || each > 9) return -1;
    value = value * 10 + each;
  }
  return value;
}
