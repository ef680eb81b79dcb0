// A batch: records of one topic, closed, in the form in which they go to Kafka; and how it is closed.
import { crc32 } from "node:zlib";
import { type Codec, codecIds, compress } from "../kafka/codecs.ts";
import { RECORDS_AT, type TimestampHalves, writeBatchHeader } from "../kafka/recordBatch.ts";
import type { MessageNumbers } from "../spool/numbers.ts";
import type { BufferPool } from "./bufferPool.ts";
import type { MemoryUse } from "./memoryBudget.ts";

/** Records on their way. Its memory is given back by `dispose`, its messages are settled by whoever delivers it. */
export interface Batch {
  /** The whole RecordBatch, header included; producer, sequence and CRC are stamped when it is sent. */
  readonly bytes: Buffer;
  /** How large it was before it was compressed, header included. */
  readonly plainBytes: number;
  /** The messages in it, by number, in the order of the records. */
  readonly numbers: MessageNumbers;
  readonly count: number;
  /** CRC-32 (zlib's) of the records before compression: whether a batch made again from its messages is this one. */
  readonly checksum: number;
  /** When its first message was routed, in ms of the monotonic clock. */
  readonly openedAt: number;
  /** When the youngest of its messages was received, in ms since the epoch; 0: nobody knows. */
  readonly receivedAt: number;
  /** It was counted as possible duplicates, and the journal does not say so yet. */
  untold: boolean;
  /** What its memory is counted in, until `dispose`. */
  readonly memory: MemoryUse;
  dispose(): void;
}

/** What of a topic's settings closing a batch needs. */
export interface CompressionSettings {
  codec: Codec;
  level: number;
  minSize: number;
  maxRatio: number;
}

/** What an open batch hands over to be closed. */
export interface OpenRecords {
  /** Room for the header, then the records. From `pool`, counted in `memory` with its whole length. */
  buffer: Buffer;
  length: number;
  numbers: MessageNumbers;
  base: TimestampHalves;
  max: TimestampHalves;
  openedAt: number;
  receivedAt: number;
}

/** Above this share of unused bytes, a closed batch moves to a buffer of its own size. */
const WASTE_TOLERATED = 0.5;

/** Compresses if that pays, writes the header, and returns the batch. `records.buffer` belongs to the batch from here on. */
export function closeBatch(
  records: OpenRecords,
  compression: CompressionSettings,
  pool: BufferPool,
  memory: MemoryUse,
): Batch {
  const { buffer, length, numbers, openedAt, receivedAt } = records;
  const plain = buffer.subarray(RECORDS_AT, length);
  const checksum = crc32(plain);
  const compressed = tryCompress(plain, compression);
  const finalLength = compressed === undefined ? length : RECORDS_AT + compressed.length;
  const codecId = compressed === undefined ? codecIds.none : codecIds[compression.codec];

  const moves = compressed !== undefined || finalLength < buffer.length * WASTE_TOLERATED;
  const home = moves ? Buffer.allocUnsafeSlow(finalLength) : buffer;
  if (compressed !== undefined) home.set(compressed, RECORDS_AT);
  else if (moves) buffer.copy(home, RECORDS_AT, RECORDS_AT, length);
  if (moves) {
    memory.add(home.length - buffer.length);
    pool.give(buffer);
  }
  writeBatchHeader(home, finalLength, codecId, numbers.count, records.base, records.max);

  const held = home.length;
  let disposed = false;
  return {
    bytes: home.subarray(0, finalLength),
    plainBytes: length,
    numbers,
    count: numbers.count,
    checksum,
    openedAt,
    receivedAt,
    untold: false,
    memory,
    dispose() {
      if (disposed) throw new Error("a batch was disposed of twice");
      disposed = true;
      memory.add(-held);
      if (!moves) pool.give(home);
    },
  };
}

/** The compressed records, or nothing when the codec, their size or the gain says that they go as they are. */
function tryCompress(records: Buffer, compression: CompressionSettings): Uint8Array | undefined {
  if (compression.codec === "none" || records.length < compression.minSize) return undefined;
  try {
    const compressed = compress(compression.codec, compression.level, records);
    return compressed.length <= records.length * compression.maxRatio ? compressed : undefined;
  } catch {
    // The codec was there at the start, so it is short of memory, say. The batch can be delivered all the same.
    return undefined;
  }
}
