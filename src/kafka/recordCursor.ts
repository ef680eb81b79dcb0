// Goes over the records of one of our own batches without making an object of each: a backlog has millions of them.
import type { TimestampHalves } from "./recordBatch.ts";
import { RecordBatchError } from "./recordBatchError.ts";
import { readRecordBatchHeader, unpack } from "./recordBatchReader.ts";

/**
 * The fields are of the record that `next` went to, and overwritten by the next one. The batch is one that BatchBuilder made:
 * neither its checksum is looked at (one that was never sent has none) nor headers, of which it writes none.
 */
export class RecordCursor {
  /** Where key and value lie: the batch's own bytes, or what was unpacked. */
  readonly bytes: Buffer;
  /** A null key is an empty one. */
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  /** Milliseconds since the epoch. */
  readonly timestamp: TimestampHalves = { high: 0, low: 0 };
  readonly #base: bigint;
  readonly #baseHigh: number;
  readonly #baseLow: number;
  readonly #end: number;
  #left: number;
  #at: number;

  /** Throws a RecordBatchError when it is no whole batch, or cannot be unpacked. */
  constructor(batch: Buffer) {
    const header = readRecordBatchHeader(batch);
    const { bytes, at, end } = unpack(batch, header);
    this.bytes = bytes;
    this.#at = at;
    this.#end = end;
    this.#left = header.recordCount;
    this.#base = header.baseTimestamp;
    this.#baseHigh = Number(header.baseTimestamp >> 32n);
    this.#baseLow = Number(header.baseTimestamp & 0xffffffffn);
  }

  /** Goes to the next record. False: there is none. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    const length = this.#varint();
    const end = this.#at + length;
    this.#at++; // attributes
    this.#readTimestamp();
    this.#varint(); // offset delta
    const keyLength = Math.max(0, this.#varint());
    this.keyStart = this.#at;
    this.#at = this.keyEnd = this.keyStart + keyLength;
    const valueLength = Math.max(0, this.#varint());
    this.valueStart = this.#at;
    this.valueEnd = this.valueStart + valueLength;
    if (length < 0 || this.valueEnd > end || end > this.#end) throw this.#malformed();
    this.#at = end;
    return true;
  }

  /** Timestamps of a batch are near each other: all but the strangest do without a BigInt. */
  #readTimestamp(): void {
    const start = this.#at;
    let value = 0;
    let scale = 1;
    for (let size = 0; size < 6; size++, scale *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      const delta = value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      const low = this.#baseLow + delta;
      this.timestamp.high = (this.#baseHigh + Math.floor(low / 0x100000000)) | 0;
      this.timestamp.low = low - Math.floor(low / 0x100000000) * 0x100000000;
      return;
    }
    this.#at = start;
    let zigzag = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      zigzag |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const stamp = BigInt.asUintN(64, this.#base + ((zigzag >> 1n) ^ -(zigzag & 1n)));
    this.timestamp.high = Number(stamp >> 32n) | 0;
    this.timestamp.low = Number(stamp & 0xffffffffn);
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw this.#malformed();
  }

  #byte(): number {
    if (this.#at >= this.#end) throw this.#malformed();
    return this.bytes[this.#at++] as number;
  }

  #malformed(): RecordBatchError {
    return new RecordBatchError("malformed", this.#at, "a record is not what its length says");
  }
}
