// Reads the records of a RecordBatch v2, unpacked.
import { RecordBatchError } from "./recordBatchError.ts";

// Source: as for the batch, see recordBatchReader.ts.
//
//   Record => Length Attributes TimestampDelta OffsetDelta KeyLength Key ValueLength Value HeaderCount [Header]
//     Length, OffsetDelta          varint   (zigzag); Length counts the bytes after itself
//     Attributes                   int8     unused
//     TimestampDelta               varlong
//     KeyLength, ValueLength       varint   -1: null
//   Header => KeyLength Key ValueLength Value, lengths as varint, only the value may be null

export interface DecodedRecord {
  offset: number;
  /** Milliseconds since the epoch. */
  timestamp: bigint;
  key: Buffer | null;
  value: Buffer | null;
  headers: { key: string; value: Buffer | null }[];
}

/** Where the records are. */
export interface RecordSection {
  bytes: Buffer;
  at: number;
  end: number;
}

/** What the header says that the records depend on. */
export interface BatchOfRecords {
  baseOffset: number;
  lastOffsetDelta: number;
  recordCount: number;
  baseTimestamp: bigint;
  maxTimestamp: bigint;
  timestampType: "create" | "append";
}

/** All records of a batch, as views over its bytes. Throws a RecordBatchError. */
export function readRecords(section: RecordSection, batch: BatchOfRecords): DecodedRecord[] {
  return new RecordReader(section, batch).all();
}

/** Reads the records of one batch. */
class RecordReader {
  readonly #bytes: Buffer;
  readonly #batch: BatchOfRecords;
  readonly #end: number;
  #at: number;

  constructor(section: RecordSection, batch: BatchOfRecords) {
    this.#bytes = section.bytes;
    this.#at = section.at;
    this.#end = section.end;
    this.#batch = batch;
  }

  all(): DecodedRecord[] {
    const records: DecodedRecord[] = [];
    for (let i = 0; i < this.#batch.recordCount; i++) records.push(this.#record(i));
    if (this.#at !== this.#end) throw this.#malformed(`${this.#end - this.#at} bytes follow the last record`);
    return records;
  }

  #record(index: number): DecodedRecord {
    const length = this.#varint();
    const start = this.#at;
    if (length < 0 || length > this.#end - start) throw this.#malformed(`record ${index} has a length of ${length}`);
    this.#at += 1; // attributes, unused
    const timestampDelta = this.#varlong();
    const offsetDelta = this.#varint();
    if (offsetDelta < 0 || offsetDelta > this.#batch.lastOffsetDelta) {
      throw this.#malformed(`record ${index} has an offset delta of ${offsetDelta}`);
    }
    const key = this.#nullableBytes();
    const value = this.#nullableBytes();
    const headerCount = this.#varint();
    if (headerCount < 0) throw this.#malformed(`record ${index} has ${headerCount} headers`);
    const headers: DecodedRecord["headers"] = [];
    for (let i = 0; i < headerCount; i++) {
      const name = this.#nullableBytes();
      if (name === null) throw this.#malformed(`header ${i} of record ${index} has no key`);
      headers.push({ key: name.toString("utf8"), value: this.#nullableBytes() });
    }
    if (this.#at !== start + length) {
      throw this.#malformed(`record ${index} says it has ${length} bytes, its fields have ${this.#at - start}`);
    }
    const { baseOffset, baseTimestamp, maxTimestamp, timestampType } = this.#batch;
    // Kafka adds in 64 bits that wrap.
    const timestamp = timestampType === "append" ? maxTimestamp : BigInt.asIntN(64, baseTimestamp + timestampDelta);
    return { offset: baseOffset + offsetDelta, timestamp, key, value, headers };
  }

  #nullableBytes(): Buffer | null {
    const length = this.#varint();
    if (length === -1) return null;
    if (length < -1 || length > this.#end - this.#at) throw this.#malformed(`a field has a length of ${length}`);
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** At most 5 bytes: 32 bits. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw this.#malformed("a varint has more than 5 bytes");
  }

  /** At most 10 bytes: 64 bits. */
  #varlong(): bigint {
    const start = this.#at;
    const first = this.#byte();
    // Nearly all: records of one batch are of nearly the same time.
    if (first < 0x80) return BigInt((first >>> 1) ^ -(first & 1));
    this.#at = start;
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n));
    }
    throw this.#malformed("a varlong has more than 10 bytes");
  }

  #byte(): number {
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
    if (byte === undefined) throw this.#malformed("the records end inside a field");
    this.#at += 1;
    return byte;
  }

  #malformed(message: string): RecordBatchError {
    return new RecordBatchError("malformed", this.#at, message);
  }
}
