// The log of one partition: batches as they came, only the broker's fields filled in. Nothing is decoded here.
import { type RecordBatchHeader, readRecordBatch } from "../kafka/recordBatchReader.ts";
import { ProducerStates } from "./producerStates.ts";

interface StoredBatch {
  baseOffset: number;
  lastOffset: number;
  maxTimestamp: bigint;
  bytes: Buffer;
}

export class PartitionLog {
  readonly producers = new ProducerStates();
  /** Called after each append; a Fetch that waits listens here. */
  readonly listeners = new Set<() => void>();
  startOffset = 0;
  /** The offset that the next record gets. */
  endOffset = 0;
  /** Batches before `#first` have fallen away. */
  readonly #batches: (StoredBatch | undefined)[] = [];
  #first = 0;

  /** Appends a batch that was found good; writes its offset and leader epoch into it (its CRC does not cover them).
   * Takes over the bytes. Returns the offset of its first record. */
  append(bytes: Buffer, header: RecordBatchHeader, leaderEpoch: number): number {
    const baseOffset = this.endOffset;
    bytes.writeBigInt64BE(BigInt(baseOffset), 0);
    bytes.writeInt32BE(leaderEpoch, 12);
    const lastOffset = baseOffset + header.lastOffsetDelta;
    this.#batches.push({ baseOffset, lastOffset, maxTimestamp: header.maxTimestamp, bytes });
    this.endOffset = lastOffset + 1;
    this.producers.remember(header, baseOffset);
    for (const listener of this.listeners) listener();
    return baseOffset;
  }

  /** Whole batches from the one that holds `offset`, up to `maxBytes`, but at least one. */
  read(offset: number, maxBytes: number): Buffer[] {
    const found: Buffer[] = [];
    let bytes = 0;
    for (let i = this.#indexOf(offset); i < this.#batches.length; i++) {
      const batch = this.#batches[i];
      if (batch === undefined || (found.length > 0 && bytes + batch.bytes.length > maxBytes)) break;
      found.push(batch.bytes);
      bytes += batch.bytes.length;
    }
    return found;
  }

  /** Every batch still there, oldest first. */
  batches(): Buffer[] {
    return this.read(this.startOffset, Number.POSITIVE_INFINITY);
  }

  /** The first record at or after `timestamp`, as ListOffsets wants it. */
  findByTimestamp(timestamp: bigint): { offset: number; timestamp: bigint } | undefined {
    for (let i = this.#first; i < this.#batches.length; i++) {
      const batch = this.#batches[i];
      if (batch === undefined || batch.maxTimestamp < timestamp) continue;
      const record = readRecordBatch(batch.bytes).records.find((r) => r.timestamp >= timestamp);
      if (record !== undefined) return { offset: record.offset, timestamp: record.timestamp };
    }
    return undefined;
  }

  /** Lets the oldest batch fall away. Returns the bytes that became free, 0 when there was none. */
  dropOldest(): number {
    const batch = this.#batches[this.#first];
    if (batch === undefined) return 0;
    this.#batches[this.#first] = undefined;
    this.#first += 1;
    this.startOffset = batch.lastOffset + 1;
    if (this.#first > 1024 && this.#first * 2 > this.#batches.length) {
      this.#batches.splice(0, this.#first);
      this.#first = 0;
    }
    return batch.bytes.length;
  }

  /** Index of the batch that holds `offset`, or of the first behind it. */
  #indexOf(offset: number): number {
    let low = this.#first;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const batch = this.#batches[middle];
      if (batch === undefined || batch.lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
