// Takes batches apart that were not sent: frames again, in the order of their numbers, whatever batches they were in.
import { NO_PRODUCER, stampBatch } from "../kafka/recordBatch.ts";
import { type DecodedRecord, readRecordBatch } from "../kafka/recordBatchReader.ts";
import type { Batch } from "../route/batch.ts";
import { encodeAnyPartition, encodePartitionKey } from "../wire/frame.ts";

/** Batches of one destination, in order: mostly, the numbers go up from each to the next. */
export interface Unsent {
  batches: Batch[];
  /**
   * Of the frames, so that they come to the same partition again: its index, while the topic has as many. undefined: they
   * may go to any.
   */
  partitionKey: number | undefined;
}

/** The frame is `frame`, valid for as long as it is wanted; `receivedAt`: when it came, or one of its batch after it. */
export type TakenBack = (number: number, frame: Buffer, receivedAt: number) => void;

const NOTHING = Buffer.alloc(0);

/** What came from a partition that is out of reach has lower numbers than what was there: each rise for itself. */
function ascending({ batches, partitionKey }: Unsent): Unsent[] {
  const rises: Unsent[] = [];
  let last = Number.POSITIVE_INFINITY;
  for (const batch of batches) {
    if (batch.numbers.first < last) rises.push({ batches: [], partitionKey });
    rises.at(-1)?.batches.push(batch);
    last = batch.numbers.last;
  }
  return rises;
}

/** Batches whose numbers go up from each to the next, one of which is unpacked at a time. */
class Source {
  /** The number of the next frame; Infinity behind the last. */
  number = Number.POSITIVE_INFINITY;
  readonly #topic: string;
  readonly #unsent: Unsent;
  #numbers: number[] = [];
  #records: DecodedRecord[] = [];
  #at = 0;
  #batch: Batch | undefined;

  constructor(topic: string, unsent: Unsent) {
    this.#topic = topic;
    this.#unsent = unsent;
    this.#open();
  }

  /** When the youngest message of its batch was received. */
  get receivedAt(): number {
    return this.#batch?.receivedAt ?? 0;
  }

  /** The next frame; moves on to the one behind it. */
  take(): Buffer {
    const { timestamp, key, value } = this.#records[this.#at++] as DecodedRecord;
    const { partitionKey } = this.#unsent;
    const message = { topic: this.#topic, timestamp, key: key ?? NOTHING, value: value ?? NOTHING };
    const frame =
      partitionKey === undefined ? encodeAnyPartition(message) : encodePartitionKey({ ...message, partitionKey });
    if (this.#at < this.#records.length) this.number = this.#numbers[this.#at] as number;
    else {
      // Not before: records may lie in the batch's own memory, which goes back to the pool.
      this.#batch?.dispose();
      this.#open();
    }
    return frame;
  }

  #open(): void {
    const batch = this.#unsent.batches.shift();
    this.#batch = batch;
    this.number = batch?.numbers.first ?? Number.POSITIVE_INFINITY;
    if (batch === undefined) return;
    // A batch that was never sent has no checksum yet.
    stampBatch(batch.bytes, NO_PRODUCER);
    this.#records = readRecordBatch(batch.bytes).records;
    this.#numbers = [];
    batch.numbers.forEach((number) => {
      this.#numbers.push(number);
    });
    this.#at = 0;
  }
}

/** Takes all of it apart; the batches are disposed of. */
export function takeBack(topic: string, unsent: Unsent[], visit: TakenBack): void {
  const sources = unsent.flatMap(ascending).map((each) => new Source(topic, each));
  for (;;) {
    let lowest: Source | undefined;
    let next = Number.POSITIVE_INFINITY;
    for (const source of sources) {
      const { number } = source;
      if (lowest === undefined || number < lowest.number) {
        next = lowest?.number ?? next;
        lowest = source;
      } else if (number < next) next = number;
    }
    if (lowest === undefined || lowest.number === Number.POSITIVE_INFINITY) return;
    do {
      const { number, receivedAt } = lowest;
      visit(number, lowest.take(), receivedAt);
    } while (lowest.number < next);
  }
}
