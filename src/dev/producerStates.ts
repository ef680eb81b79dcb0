// What one partition remembers of idempotent producers, and the broker's verdict on the next batch of one.
//
// The rules are those of Kafka's ProducerAppendInfo and ProducerStateEntry:
// - the last 5 batches of a producer are known by their first and last sequence; one of them coming again is a
//   duplicate, answered with its original offset;
// - an unknown producer may begin with any sequence (the broker may have forgotten it);
// - an older epoch is refused; a newer epoch begins at sequence 0;
// - otherwise the batch must follow the last one; sequences wrap from 2^31 - 1 to 0.
import type { RecordBatchHeader } from "../kafka/recordBatchReader.ts";
import { ErrorCode } from "./protocol/errorCodes.ts";

const BATCHES_REMEMBERED = 5;
const MAX_SEQUENCE = 0x7fffffff;

interface RememberedBatch {
  firstSequence: number;
  lastSequence: number;
  baseOffset: number;
}

interface Producer {
  epoch: number;
  /** Oldest first, at least one. */
  batches: RememberedBatch[];
}

export type SequenceVerdict =
  | { kind: "append" }
  | { kind: "duplicate"; baseOffset: number }
  | { kind: "error"; code: number; message: string };

export class ProducerStates {
  readonly #producers = new Map<bigint, Producer>();

  check(batch: RecordBatchHeader): SequenceVerdict {
    const producer = this.#producers.get(batch.producerId);
    if (batch.producerId < 0n || producer === undefined) return { kind: "append" };
    const { producerEpoch, baseSequence } = batch;
    if (producerEpoch === producer.epoch) {
      const lastSequence = sequenceAfter(baseSequence, batch.recordCount - 1);
      const known = producer.batches.find((b) => b.firstSequence === baseSequence && b.lastSequence === lastSequence);
      if (known !== undefined) return { kind: "duplicate", baseOffset: known.baseOffset };
    }
    if (producerEpoch < producer.epoch) {
      return {
        kind: "error",
        code: ErrorCode.InvalidProducerEpoch,
        message: `epoch ${producerEpoch} of producer ${batch.producerId} is older than ${producer.epoch}`,
      };
    }
    const last = producer.batches.at(-1)?.lastSequence ?? -1;
    const expected = producerEpoch > producer.epoch ? 0 : sequenceAfter(last, 1);
    if (baseSequence === expected) return { kind: "append" };
    return {
      kind: "error",
      code: ErrorCode.OutOfOrderSequenceNumber,
      message: `sequence ${baseSequence} of producer ${batch.producerId}, expected ${expected}`,
    };
  }

  /** Remembers a batch that was appended. */
  remember(batch: RecordBatchHeader, baseOffset: number): void {
    if (batch.producerId < 0n) return;
    let producer = this.#producers.get(batch.producerId);
    if (producer === undefined || producer.epoch !== batch.producerEpoch) {
      producer = { epoch: batch.producerEpoch, batches: [] };
      this.#producers.set(batch.producerId, producer);
    }
    const firstSequence = batch.baseSequence;
    const lastSequence = sequenceAfter(firstSequence, batch.recordCount - 1);
    producer.batches.push({ firstSequence, lastSequence, baseOffset });
    if (producer.batches.length > BATCHES_REMEMBERED) producer.batches.shift();
  }

  /** What a restart of a real broker does: only the last batch of each producer is in its snapshot. */
  forgetAllButLast(): void {
    for (const producer of this.#producers.values()) producer.batches.splice(0, producer.batches.length - 1);
  }

  /** What producer.id.expiration.ms does, or the deletion of all of a producer's records. */
  forgetAll(): void {
    this.#producers.clear();
  }
}

function sequenceAfter(sequence: number, count: number): number {
  return sequence > MAX_SEQUENCE - count ? count - (MAX_SEQUENCE - sequence) - 1 : sequence + count;
}
