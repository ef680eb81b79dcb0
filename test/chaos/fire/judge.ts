// Reads all topics back, batch by batch, and says what became of the messages: what a receipt came for must be there, once, and
// in its order. Keeps a bit for each message and a number for each key, so that tens of millions fit.
import { readBackBatches } from "../../support/readBack.ts";
import { walkRecords } from "../../support/recordWalk.ts";
import { LANES, ValueReader } from "./messages.ts";
import { Bits } from "./ranges.ts";
import { Timeline } from "./timeline.ts";
import type { Written } from "./writers.ts";

export interface Counts {
  sent: number;
  confirmed: number;
  inKafka: number;
  /** A receipt came for it, and it is not in Kafka. */
  lost: number;
  twice: number;
  /** Behind a later one of its key. */
  outOfOrder: number;
  /** In another partition than others of its key, though the topic always had as many. */
  misplaced: number;
}

export interface FireVerdict {
  total: Counts;
  /** Of the messages sent since each mark, up to the next. */
  byMark: Counts[];
  /** In Kafka, and written by nobody. */
  unexpected: number;
  /** How many messages each topic has, all that came twice left out. */
  inTopic: Map<string, number>;
  examples: string[];
  /** By topic. */
  timelines: Map<string, Timeline>;
}

/** How many messages each writer had sent at a moment. */
export type Mark = ReadonlyMap<number, number>;

export interface JudgeParts {
  bootstrap: string;
  writers: readonly Written[];
  marks: readonly Mark[];
  /** The topic that got more partitions: its keys move once. */
  growing: string;
  /**
   * What had been sent when these topics were gone; they were made again then. Of what was sent before, the first messages of
   * each key went with the old topic; all that came behind the first one found must be there.
   */
  gone: ReadonlyMap<string, Mark>;
}

type Fault = "lost" | "twice" | "outOfOrder" | "misplaced";

const EXAMPLES = 10;
/** Of one topic, at most. */
const PARTITIONS = 64;

const NOTHING: Counts = { sent: 0, confirmed: 0, inKafka: 0, lost: 0, twice: 0, outOfOrder: 0, misplaced: 0 };

export async function judgeFire(parts: JudgeParts): Promise<FireVerdict> {
  const { bootstrap, writers, marks, growing } = parts;
  const timelines = new Map<string, Timeline>();
  const accounts = new Map(writers.map((written) => [written.id, new Account(written, marks)]));
  const examples: string[] = [];
  const byMark = marks.map(() => ({ ...NOTHING }));
  let unexpected = 0;
  const example = (text: string) => {
    if (examples.length < EXAMPLES) examples.push(text);
  };
  const value = new ValueReader();
  for (const topic of new Set(writers.map((writer) => writer.topic))) {
    const timeline = new Timeline();
    timelines.set(topic, timeline);
    await readBackBatches(bootstrap, topic, ({ partition, bytes, at, from, to }) => {
      // With LogAppendTime a batch has one time, in the place of the newest of its records.
      const appendedAt = Number(bytes.readBigInt64BE(at + 35));
      timeline.batch(`${partition}`, appendedAt);
      walkRecords(bytes, at, (offset, record, start, end) => {
        if (offset < from || offset >= to) return;
        const account = value.read(record, start, end) ? accounts.get(value.id) : undefined;
        const where = `${value.id} ${value.index} in ${topic} ${partition} at ${offset}`;
        if (account === undefined || account.written.topic !== topic || value.index >= account.written.sent) {
          unexpected++;
          example(`unexpected: ${where}`);
          return;
        }
        timeline.add(value.sentAt, appendedAt);
        const counts = byMark[account.markOf(value.index)] as Counts;
        const fault = account.found(value.index, partition, topic !== growing);
        if (fault !== "twice") counts.inKafka++;
        if (fault === undefined) return;
        counts[fault]++;
        example(`${fault}: ${where}`);
      });
    });
  }
  for (const account of accounts.values()) {
    const gone = parts.gone.get(account.written.topic);
    account.addSent(byMark);
    account.written.confirmed.forEach((index) => {
      const counts = byMark[account.markOf(index)] as Counts;
      counts.confirmed++;
      if (!account.isLost(index, gone?.get(account.written.id))) return;
      counts.lost++;
      example(`lost: ${account.written.id} ${index} of ${account.written.topic}`);
    });
  }
  const inTopic = new Map<string, number>();
  for (const { written, count } of accounts.values())
    inTopic.set(written.topic, (inTopic.get(written.topic) ?? 0) + count);
  return { total: sum(byMark), byMark, unexpected, inTopic, examples, timelines };
}

/** What was found of one writer. */
class Account {
  readonly written: Written;
  count = 0;
  readonly #seen: Bits;
  /** The newest of each key in each partition, the partition of each key, and the first found of each. */
  readonly #newest = new Float64Array(LANES * PARTITIONS).fill(-1);
  readonly #partition = new Int32Array(LANES).fill(-1);
  readonly #first = new Float64Array(LANES).fill(Number.POSITIVE_INFINITY);
  /** What it had sent at each mark. */
  readonly #bounds: number[];

  constructor(written: Written, marks: readonly Mark[]) {
    this.written = written;
    this.#seen = new Bits(written.sent);
    this.#bounds = marks.map((mark) => mark.get(written.id) ?? 0);
  }

  /** The last mark that was set before message `index` was sent. */
  markOf(index: number): number {
    let low = 0;
    let high = this.#bounds.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#bounds[middle] as number) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  found(index: number, partition: number, stays: boolean): Fault | undefined {
    if (this.#seen.has(index)) return "twice";
    this.#seen.add(index);
    this.count++;
    if (this.written.kind === "any") return undefined;
    const lane = index % LANES;
    const place = lane * PARTITIONS + partition;
    this.#first[lane] = Math.min(this.#first[lane] as number, index);
    if (index < (this.#newest[place] as number)) return "outOfOrder";
    this.#newest[place] = index;
    const elsewhere = this.#partition[lane] !== -1 && this.#partition[lane] !== partition;
    this.#partition[lane] = partition;
    return stays && elsewhere ? "misplaced" : undefined;
  }

  /** `gone`: what had been sent when the topic was gone, of one that was made again. */
  isLost(index: number, gone: number | undefined): boolean {
    if (this.#seen.has(index)) return false;
    return gone === undefined || index >= gone || index > (this.#first[index % LANES] as number);
  }

  addSent(byMark: Counts[]): void {
    byMark.forEach((counts, at) => {
      counts.sent += (this.#bounds[at + 1] ?? this.written.sent) - (at === 0 ? 0 : (this.#bounds[at] as number));
    });
  }
}

function sum(all: readonly Counts[]): Counts {
  const total = { ...NOTHING };
  for (const counts of all) for (const field of Object.keys(total) as (keyof Counts)[]) total[field] += counts[field];
  return total;
}
