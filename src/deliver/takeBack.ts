// Takes batches apart that were not sent: frames again, in the order of their numbers, whatever batches they were in.
import { RecordCursor } from "../kafka/recordCursor.ts";
import type { Batch } from "../route/batch.ts";
import { FrameWriter } from "../wire/frameWriter.ts";

/** Batches of one destination, in order: mostly, the numbers go up from each to the next. */
export interface Unsent {
  batches: Batch[];
  /**
   * Of the frames, so that they come to the same partition again: its index, while the topic has as many. undefined: they
   * may go to any.
   */
  partitionKey: number | undefined;
}

/** The frame is bytes[0, length), valid during the call; `receivedAt`: when it came, or one of its batch after it. */
export type TakenBack = (number: number, bytes: Buffer, length: number, receivedAt: number) => void;

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
  readonly #unsent: Unsent;
  #numbers: number[] = [];
  #at = 0;
  #batch: Batch | undefined;
  #records: RecordCursor | undefined;

  constructor(unsent: Unsent) {
    this.#unsent = unsent;
    this.#open();
  }

  /** When the youngest message of its batch was received. */
  get receivedAt(): number {
    return this.#batch?.receivedAt ?? 0;
  }

  /** Writes the next frame; moves on to the one behind it. */
  take(writer: FrameWriter): void {
    const records = this.#records as RecordCursor;
    if (!records.next()) throw new Error("a batch has fewer records than numbers");
    writer.write(records.bytes, records, this.#unsent.partitionKey);
    this.#at++;
    if (this.#at < this.#numbers.length) this.number = this.#numbers[this.#at] as number;
    else {
      // Not before: records may lie in the batch's own memory, which goes back to the pool.
      this.#batch?.dispose();
      this.#open();
    }
  }

  #open(): void {
    const batch = this.#unsent.batches.shift();
    this.#batch = batch;
    this.number = batch?.numbers.first ?? Number.POSITIVE_INFINITY;
    if (batch === undefined) {
      this.#records = undefined;
      return;
    }
    this.#records = new RecordCursor(batch.bytes);
    this.#numbers = [];
    batch.numbers.forEach((number) => {
      this.#numbers.push(number);
    });
    this.#at = 0;
  }
}

/**
 * What is unpacked is garbage soon, and the collector comes too late: 40 MB of zstd took 90 MB more of memory, and with this 12; it
 * costs 35 ms each time. Bytes.
 */
const COLLECT_EVERY = 32 * 1024 * 1024;

/** Takes all of it apart; the batches are disposed of. */
export function takeBack(topic: string, unsent: Unsent[], visit: TakenBack): void {
  const sources = unsent.flatMap(ascending).map((each) => new Source(each));
  const writer = new FrameWriter(topic);
  let uncollected = 0;
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
      lowest.take(writer);
      visit(number, writer.bytes, writer.length, receivedAt);
      uncollected += writer.length;
      if (uncollected < COLLECT_EVERY) continue;
      uncollected = 0;
      Bun.gc(true);
    } while (lowest.number < next);
  }
}
