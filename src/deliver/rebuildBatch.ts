// Makes other batches of a batch's records: halves of one that was too large, or what is left without the bad records.
import { NO_PRODUCER, RECORD_OVERHEAD, RECORDS_AT, stampBatch } from "../kafka/recordBatch.ts";
import { type DecodedRecord, readRecordBatch } from "../kafka/recordBatchReader.ts";
import type { Batch, CompressionSettings } from "../route/batch.ts";
import { BatchBuilder } from "../route/batchBuilder.ts";
import type { BufferPool } from "../route/bufferPool.ts";
import { MessageNumbers } from "../spool/numbers.ts";

/** How a batch is rebuilt: its compression and where memory comes from. */
export interface Rebuilding {
  compression: CompressionSettings;
  pool: BufferPool;
}

/** The two halves of a batch of at least two records, in order. The batch is disposed of. */
export function splitBatch(batch: Batch, how: Rebuilding): Batch[] {
  const middle = batch.count >> 1;
  return rebuild(batch, how, (index) => (index < middle ? 0 : 1));
}

/**
 * A batch of at least two records as several, in order, of `most` bytes before compression, and of half of its own at most;
 * a record that is larger is alone in one. The batch is disposed of.
 */
export function cutBatch(batch: Batch, most: number, how: Rebuilding): Batch[] {
  const room = Math.min(most, batch.plainBytes / 2);
  let part = 0;
  let length = RECORDS_AT;
  return rebuild(batch, how, (index, { key, value }) => {
    const size = (key?.length ?? 0) + (value?.length ?? 0) + RECORD_OVERHEAD;
    if (index > 0 && length + size > room) {
      part++;
      length = RECORDS_AT;
    }
    length += size;
    return part;
  });
}

/** A batch as several, in order: at each of these indexes, which ascend, another begins. The batch is disposed of. */
export function cutAt(batch: Batch, indexes: readonly number[], how: Rebuilding): Batch[] {
  let part = 0;
  return rebuild(batch, how, (index) => {
    if (index === indexes[part]) part++;
    return part;
  });
}

/** Takes the records at `indexes` out. Returns their numbers and the batch of the others. The batch is disposed of. */
export function withoutRecords(
  batch: Batch,
  indexes: ReadonlySet<number>,
  how: Rebuilding,
): { removed: MessageNumbers; rest: Batch | undefined } {
  const removed = new MessageNumbers();
  batch.numbers.forEach((number, index) => {
    if (indexes.has(index)) removed.append(number);
  });
  const [rest] = rebuild(batch, how, (index) => (indexes.has(index) ? NO_PART : 0));
  return { removed, rest };
}

const NO_PART = -1;

/** One batch for each part that any record falls into: `partOf` goes up, but for those that fall into none. */
function rebuild(batch: Batch, how: Rebuilding, partOf: (index: number, record: DecodedRecord) => number): Batch[] {
  const numbers: number[] = [];
  batch.numbers.forEach((number) => {
    numbers.push(number);
  });
  // One that was never sent has no checksum yet.
  stampBatch(batch.bytes, NO_PRODUCER);
  const { records } = readRecordBatch(batch.bytes);
  const result: Batch[] = [];
  const close = (part: BatchBuilder) => {
    const closed = part.close(how.compression);
    closed.untold = batch.untold;
    result.push(closed);
  };
  let builder: BatchBuilder | undefined;
  let building = NO_PART;
  for (const [index, record] of records.entries()) {
    const part = partOf(index, record);
    if (part === NO_PART) continue;
    if (builder === undefined || part !== building) {
      // Each is closed before the next begins: an open one takes more memory, and there may be thousands.
      if (builder !== undefined) close(builder);
      builder = new BatchBuilder(how.pool, batch.memory, batch.openedAt);
      builder.receivedAt = batch.receivedAt;
      building = part;
    }
    const key = record.key ?? Buffer.alloc(0);
    const value = record.value ?? Buffer.alloc(0);
    const parcel = Buffer.alloc(8 + key.length + value.length);
    parcel.writeBigInt64BE(record.timestamp);
    parcel.set(key, 8);
    parcel.set(value, 8 + key.length);
    builder.append(numbers[index] as number, parcel, {
      timestampAt: 0,
      keyStart: 8,
      keyEnd: 8 + key.length,
      valueStart: 8 + key.length,
      valueEnd: parcel.length,
    });
  }
  if (builder !== undefined) close(builder);
  batch.dispose();
  return result;
}
