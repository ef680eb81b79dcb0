// Reads Kafka's RecordBatch v2 back into records: for the embedded broker, for tests, for looking at what was sent.
import { decompress } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";

// Source: the protocol guide of Apache Kafka, "Message format" (https://kafka.apache.org/documentation/#recordbatch).
//
//   RecordBatch => BaseOffset BatchLength PartitionLeaderEpoch Magic CRC Attributes LastOffsetDelta BaseTimestamp
//                  MaxTimestamp ProducerId ProducerEpoch BaseSequence RecordCount [Record]
//     at  0  BaseOffset            int64    given by the broker
//     at  8  BatchLength           int32    bytes that follow this field
//     at 12  PartitionLeaderEpoch  int32    given by the broker
//     at 16  Magic                 int8     2
//     at 17  CRC                   uint32   CRC32C of everything from Attributes on
//     at 21  Attributes            int16    bits 0-2 codec, 3 timestamp is log append time, 4 transactional, 5 control
//     at 23  LastOffsetDelta       int32
//     at 27  BaseTimestamp         int64    milliseconds
//     at 35  MaxTimestamp          int64
//     at 43  ProducerId            int64    -1: none
//     at 51  ProducerEpoch         int16    -1: none
//     at 53  BaseSequence          int32    -1: none
//     at 57  RecordCount           int32
//     at 61  records, back to back; compressed as a whole when there is a codec
//   Record => Length Attributes TimestampDelta OffsetDelta KeyLength Key ValueLength Value HeaderCount [Header]
//     Length, OffsetDelta          varint   (zigzag); Length counts the bytes after itself
//     Attributes                   int8     unused
//     TimestampDelta               varlong
//     KeyLength, ValueLength       varint   -1: null
//   Header => KeyLength Key ValueLength Value, lengths as varint, only the value may be null

/** Bytes of a batch before its records. */
export const RECORD_BATCH_HEADER_SIZE = 61;

/** Bytes of BaseOffset and BatchLength, which BatchLength does not count. */
const LOG_OVERHEAD = 12;
const CRC_START = 21;
/** What a batch may unpack to: protects the reader from a small batch that unpacks to gigabytes. Bytes. */
const MAX_UNPACKED = 256 * 1024 * 1024;

export interface RecordBatchHeader {
  baseOffset: number;
  /** Bytes of the whole batch. */
  size: number;
  partitionLeaderEpoch: number;
  crc: number;
  /** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  codec: number;
  timestampType: "create" | "append";
  transactional: boolean;
  control: boolean;
  lastOffsetDelta: number;
  /** Milliseconds since the epoch. */
  baseTimestamp: bigint;
  maxTimestamp: bigint;
  producerId: bigint;
  producerEpoch: number;
  baseSequence: number;
  recordCount: number;
}

export interface DecodedRecord {
  offset: number;
  /** Milliseconds since the epoch. */
  timestamp: bigint;
  key: Buffer | null;
  value: Buffer | null;
  headers: { key: string; value: Buffer | null }[];
}

export interface DecodedBatch extends RecordBatchHeader {
  records: DecodedRecord[];
}

export type RecordBatchErrorKind = "truncated" | "magic" | "crc" | "codec" | "malformed";

/** What is wrong with a batch. `position` is the byte in the buffer given (behind the header of a compressed batch: in
 * the unpacked records). */
export class RecordBatchError extends Error {
  readonly kind: RecordBatchErrorKind;
  readonly position: number;
  constructor(kind: RecordBatchErrorKind, position: number, message: string) {
    super(`${message} (at byte ${position})`);
    this.name = "RecordBatchError";
    this.kind = kind;
    this.position = position;
  }
}

/** Reads the header of the batch at `start`; the batch must be whole before `end`. Neither CRC nor records are looked
 * at. Throws a RecordBatchError. */
export function readRecordBatchHeader(bytes: Buffer, start = 0, end = bytes.length): RecordBatchHeader {
  if (end - start < RECORD_BATCH_HEADER_SIZE) {
    throw new RecordBatchError(
      "truncated",
      start,
      `a record batch has at least ${RECORD_BATCH_HEADER_SIZE} bytes, there are ${end - start}`,
    );
  }
  const magic = bytes.readInt8(start + 16);
  if (magic !== 2) throw new RecordBatchError("magic", start + 16, `magic is ${magic}, only 2 can be read`);
  const size = LOG_OVERHEAD + bytes.readInt32BE(start + 8);
  if (size < RECORD_BATCH_HEADER_SIZE) {
    throw new RecordBatchError("malformed", start + 8, `the batch says it has ${size} bytes, less than its own header`);
  }
  if (size > end - start) {
    throw new RecordBatchError("truncated", start + 8, `the batch has ${size} bytes, there are ${end - start}`);
  }
  const attributes = bytes.readInt16BE(start + CRC_START);
  const recordCount = bytes.readInt32BE(start + 57);
  if (recordCount < 0) throw new RecordBatchError("malformed", start + 57, `record count is ${recordCount}`);
  return {
    baseOffset: Number(bytes.readBigInt64BE(start)),
    size,
    partitionLeaderEpoch: bytes.readInt32BE(start + 12),
    crc: bytes.readUInt32BE(start + 17),
    codec: attributes & 7,
    timestampType: (attributes & 8) === 0 ? "create" : "append",
    transactional: (attributes & 16) !== 0,
    control: (attributes & 32) !== 0,
    lastOffsetDelta: bytes.readInt32BE(start + 23),
    baseTimestamp: bytes.readBigInt64BE(start + 27),
    maxTimestamp: bytes.readBigInt64BE(start + 35),
    producerId: bytes.readBigInt64BE(start + 43),
    producerEpoch: bytes.readInt16BE(start + 51),
    baseSequence: bytes.readInt32BE(start + 53),
    recordCount,
  };
}

/** Throws a RecordBatchError when the batch at `start` is not what its CRC says. */
export function checkRecordBatchCrc(bytes: Buffer, header: RecordBatchHeader, start = 0): void {
  const found = crc32c(bytes, start + CRC_START, start + header.size);
  if (found !== header.crc) {
    throw new RecordBatchError("crc", start + 17, `CRC32C is ${hex(found)}, the batch says ${hex(header.crc)}`);
  }
}

/** Reads the batch at `start` with all its records, checking everything. The records are views over `bytes`, or over
 * what was unpacked. Throws a RecordBatchError. */
export function readRecordBatch(bytes: Buffer, start = 0, end = bytes.length): DecodedBatch {
  const header = readRecordBatchHeader(bytes, start, end);
  checkRecordBatchCrc(bytes, header, start);
  const records = new RecordReader(unpack(bytes, header, start), header).all();
  return { ...header, records };
}

interface Section {
  bytes: Buffer;
  at: number;
  end: number;
}

function unpack(bytes: Buffer, header: RecordBatchHeader, start: number): Section {
  const at = start + RECORD_BATCH_HEADER_SIZE;
  const end = start + header.size;
  if (header.codec === 0) return { bytes, at, end };
  if (header.codec > 4) throw new RecordBatchError("codec", start + CRC_START, `codec ${header.codec} is not known`);
  try {
    const unpacked = decompress(header.codec, bytes.subarray(at, end), MAX_UNPACKED);
    const view = Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength);
    return { bytes: view, at: 0, end: view.length };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RecordBatchError("codec", at, `the records cannot be unpacked: ${why}`);
  }
}

/** Reads the records of one batch. */
class RecordReader {
  readonly #bytes: Buffer;
  readonly #header: RecordBatchHeader;
  readonly #end: number;
  #at: number;

  constructor(section: Section, header: RecordBatchHeader) {
    this.#bytes = section.bytes;
    this.#at = section.at;
    this.#end = section.end;
    this.#header = header;
  }

  all(): DecodedRecord[] {
    const records: DecodedRecord[] = [];
    for (let i = 0; i < this.#header.recordCount; i++) records.push(this.#record(i));
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
    if (offsetDelta < 0 || offsetDelta > this.#header.lastOffsetDelta) {
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
    const { baseOffset, baseTimestamp, maxTimestamp, timestampType } = this.#header;
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

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
