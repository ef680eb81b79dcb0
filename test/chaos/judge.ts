// Reads topics back and says what became of messages that may, or must, be there.
import { readBack } from "../support/readBack.ts";
import { idOf, LANES, type Written } from "./receiptWriter.ts";

export interface Judgement {
  sent: number;
  /** Messages that a receipt came for. */
  confirmed: number;
  inKafka: number;
  /** Confirmed, and not in Kafka. */
  lost: number;
  twice: number;
  outOfOrder: number;
  /** In Kafka, and never written. */
  unexpected: number;
  /** The first few of the bad ones. */
  examples: string[];
}

/** What must hold of every run, beside `sent`, `confirmed` and `inKafka`. */
export const clean = { lost: 0, twice: 0, outOfOrder: 0, unexpected: 0, examples: [] as string[] };

const EXAMPLES = 10;

/** Judges all that these writers wrote. */
export async function judge(bootstrap: string, writers: readonly Written[]): Promise<Judgement> {
  const found = new Map(writers.map(({ name, sent }) => [name, new Uint8Array(sent)]));
  const newest = new Map<string, number>();
  const result: Judgement = { sent: 0, confirmed: 0, inKafka: 0, ...clean, examples: [] };
  const bad = (kind: "lost" | "twice" | "outOfOrder" | "unexpected", what: string) => {
    result[kind]++;
    if (result.examples.length < EXAMPLES) result.examples.push(`${kind}: ${what}`);
  };
  for (const topic of new Set(writers.map((writer) => writer.topic))) {
    result.inKafka += await readBack(bootstrap, topic, ({ value, partition, offset }) => {
      const { name, index } = idOf(value ?? Buffer.alloc(0));
      const marks = found.get(name);
      const where = `${name} ${index} in ${topic} ${partition} at ${offset}`;
      if (marks === undefined || !(index < marks.length)) return bad("unexpected", where);
      if (marks[index] === 1) return bad("twice", where);
      marks[index] = 1;
      const lane = `${name} ${index % LANES}`;
      if (index < (newest.get(lane) ?? -1)) bad("outOfOrder", where);
      else newest.set(lane, index);
    });
  }
  for (const { name, sent, confirmed } of writers) {
    result.sent += sent;
    result.confirmed += confirmed.size;
    for (const index of confirmed) if (found.get(name)?.[index] !== 1) bad("lost", `${name} ${index}`);
  }
  return result;
}
