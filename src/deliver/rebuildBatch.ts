// Makes other batches of a batch's records: halves of one that was too large, or what is left without the bad records.
import { readRecordBatch } from "../kafka/recordBatchReader.ts";
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
  return rebuild(batch, how, [(index) => index < middle, (index) => index >= middle]);
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
  const [rest] = rebuild(batch, how, [(index) => !indexes.has(index)]);
  return { removed, rest };
}

/** One batch for each of `parts` that any record falls into. */
function rebuild(batch: Batch, how: Rebuilding, parts: ((index: number) => boolean)[]): Batch[] {
  const numbers: number[] = [];
  batch.numbers.forEach((number) => {
    numbers.push(number);
  });
  const { records } = readRecordBatch(batch.bytes);
  const result: Batch[] = [];
  for (const belongs of parts) {
    const builder = new BatchBuilder(how.pool, batch.memory, batch.openedAt);
    records.forEach((record, index) => {
      if (!belongs(index)) return;
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
    });
    if (builder.count === 0) builder.abandon();
    else result.push(builder.close(how.compression));
  }
  batch.dispose();
  return result;
}
