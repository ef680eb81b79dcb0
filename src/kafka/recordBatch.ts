// Kafka's RecordBatch v2 as bruce writes it: where each field of the header lies, and the last touches before sending.
//
//   RecordBatch => BaseOffset BatchLength PartitionLeaderEpoch Magic CRC Attributes LastOffsetDelta BaseTimestamp
//                  MaxTimestamp ProducerId ProducerEpoch BaseSequence RecordCount [Record]
//   Record      => Length(varint) Attributes(int8) TimestampDelta(varlong) OffsetDelta(varint)
//                  KeyLength(varint, -1 null) Key ValueLength(varint) Value HeaderCount(varint)
//
// Source: Kafka's protocol documentation, "Record Batch". Lengths and deltas are zigzag varints. A compressed batch has
// its records, and nothing else, compressed as one piece. The CRC32C covers everything from Attributes on.
import { crc32c } from "./crc32c.ts";

const BATCH_LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const RECORD_COUNT_AT = 57;

/** Bytes of the header; the records begin here. */
export const RECORDS_AT = 61;

/** Bytes a record takes at most beyond its key and value: length 5, attributes 1, timestamp 10, offset 5, lengths 10, headers 1. */
export const RECORD_OVERHEAD = 32;

/** Who sends a batch, and which of its records it begins with: what the broker tells a repetition by. */
export interface ProducerStamp {
  /** -1n without idempotence. */
  producerId: bigint;
  producerEpoch: number;
  baseSequence: number;
}

/** Kafka's mark for a batch that claims no exactly-once treatment. */
export const NO_PRODUCER: ProducerStamp = { producerId: -1n, producerEpoch: -1, baseSequence: -1 };

/** A timestamp's 64 bits, as two halves: no message may cost a BigInt. */
export interface TimestampHalves {
  high: number;
  low: number;
}

/** Writes all of the header that is known when a batch is closed. `length` counts header and (compressed) records. */
export function writeBatchHeader(
  batch: Buffer,
  length: number,
  codecId: number,
  recordCount: number,
  base: TimestampHalves,
  max: TimestampHalves,
): void {
  batch.fill(0, 0, BATCH_LENGTH_AT); // the broker gives the offset
  batch.writeInt32BE(length - LEADER_EPOCH_AT, BATCH_LENGTH_AT);
  batch.writeInt32BE(-1, LEADER_EPOCH_AT);
  batch.writeInt8(2, MAGIC_AT);
  batch.writeInt16BE(codecId, ATTRIBUTES_AT);
  batch.writeInt32BE(recordCount - 1, LAST_OFFSET_DELTA_AT);
  batch.writeInt32BE(base.high, BASE_TIMESTAMP_AT);
  batch.writeUInt32BE(base.low, BASE_TIMESTAMP_AT + 4);
  batch.writeInt32BE(max.high, MAX_TIMESTAMP_AT);
  batch.writeUInt32BE(max.low, MAX_TIMESTAMP_AT + 4);
  batch.writeInt32BE(recordCount, RECORD_COUNT_AT);
}

/** Gives a closed batch its producer and sequence, and the CRC over all of it. `batch` is exactly the batch. */
export function stampBatch(batch: Buffer, stamp: ProducerStamp): void {
  batch.writeBigInt64BE(stamp.producerId, PRODUCER_ID_AT);
  batch.writeInt16BE(stamp.producerEpoch, PRODUCER_EPOCH_AT);
  batch.writeInt32BE(stamp.baseSequence, BASE_SEQUENCE_AT);
  batch.writeUInt32BE(crc32c(batch, ATTRIBUTES_AT, batch.length), CRC_AT);
}
