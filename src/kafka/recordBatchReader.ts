// Reads Kafka's RecordBatch v2 back into records: for the embedded broker, for tests, for looking at what was sent.
import { decompress } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";
import { RecordBatchError } from "./recordBatchError.ts";
import { type DecodedRecord, type RecordSection, readRecords } from "./recordSectionReader.ts";

export { type DecodedRecord, RecordBatchError };

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
//   Record is in recordSectionReader.ts

/** Bytes of a batch before its records. */
const RECORD_BATCH_HEADER_SIZE = 61;

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

export interface DecodedBatch extends RecordBatchHeader {
  records: DecodedRecord[];
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
  const records = readRecords(unpack(bytes, header, start), header);
  return { ...header, records };
}

/** Where the records of the batch at `start` are: in `bytes`, or unpacked. Throws a RecordBatchError. */
export function unpack(bytes: Buffer, header: RecordBatchHeader, start = 0): RecordSection {
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

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
