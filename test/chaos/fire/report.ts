// The result of a fire in words and numbers, act by act; acts of one name together.
import { type FireResult, faultsOf } from "./fire.ts";
import { Histogram } from "./histogram.ts";
import type { Counts } from "./judge.ts";
import type { ActRecord } from "./stage.ts";
import type { Span } from "./timeline.ts";

/** What is sent so shortly before a shot may be hit by it, ms. */
const EDGE = 500;
/** Some acts are over at once: what follows is seen in so long, ms. */
const SHORT = 2000;
/** A latency is as before when it is below that many times the p99 before. */
const AS_BEFORE = 2;

/** Lines. */
export function reportOf(result: FireResult): string[] {
  const { verdict, acts, status, seconds, rate, peakMemory, conditions } = result;
  const { ledger } = status;
  const kinds = new Map<string, number[]>();
  acts.forEach(({ name }, at) => {
    kinds.set(name, [...(kinds.get(name) ?? []), at]);
  });
  const lines: string[] = [];
  for (const [name, indexes] of kinds) {
    const records = indexes.map((at) => acts[at] as ActRecord);
    lines.push(indexes.length === 1 ? name : `${name}, ${indexes.length} times`);
    lines.push(`  ${counts(indexes.map((at) => verdict.byMark[at] as Counts))}`);
    for (const line of [...recoveries(records, result), ...stalls(records, result), ...disturbance(records, result)])
      lines.push(`  ${line}`);
  }
  lines.push("in all");
  lines.push(`  ${counts([verdict.total])}`);
  lines.push(`  ${number(rate)} messages/s for ${number(seconds)} s; ${conditions}`);
  const duplicates = `possible duplicates ${ledger.possible_duplicates}`;
  lines.push(`  ${duplicates}, discarded ${ledger.discarded}, balanced ${ledger.balanced}`);
  lines.push(`  peak memory of bruce ${Math.round(peakMemory / 1e6)} MB`);
  for (const fault of faultsOf(result)) lines.push(`  FAULT: ${fault}`);
  for (const example of verdict.examples) lines.push(`    ${example}`);
  return lines;
}

function counts(all: readonly Counts[]): string {
  const sum = (field: keyof Counts) => number(all.reduce((total, each) => total + each[field], 0));
  const faults = `lost ${sum("lost")}, twice ${sum("twice")}, out of order ${sum("outOfOrder")}`;
  return `sent ${sum("sent")}, receipts ${sum("confirmed")}, in Kafka ${sum("inKafka")}, ${faults}`;
}

/** From each milestone, how long it took until all was as before, of the slowest of the topics. */
function recoveries(records: readonly ActRecord[], { verdict }: FireResult): string[] {
  const found = new Map<string, { after: number[]; took: (number | undefined)[] }>();
  for (const record of records)
    for (const { what, at } of record.milestones) {
      // Of a topic that was deleted nobody knows any more how it was before: then the others tell.
      const topics = [...record.aims, ...record.bystanders];
      const before = topics.map((topic) => verdict.timelines.get(topic)?.latency(calmOf(record)).quantile(0.99) ?? 0);
      const usual = before.find((each) => each > 0) ?? 0;
      const took = record.aims.map((topic) => {
        const timeline = verdict.timelines.get(topic);
        return timeline?.recovered(at, record.ends, usual * AS_BEFORE);
      });
      const entry = found.get(what) ?? { after: [], took: [] };
      found.set(what, entry);
      entry.after.push(at - record.shot);
      entry.took.push(took.includes(undefined) ? undefined : Math.max(...(took as number[])));
    }
  return [...found].map(([what, { after, took }]) => {
    const known = took.filter((each) => each !== undefined);
    const never = took.length - known.length;
    const late = never === 0 ? "" : `, ${never} times not before the next act`;
    return `${what} after ${seconds(after)}, as before ${seconds(known)} later${late}`;
  });
}

function stalls(records: readonly ActRecord[], { verdict }: FireResult): string[] {
  const longest = (record: ActRecord, topics: readonly string[]) =>
    Math.max(0, ...topics.map((topic) => verdict.timelines.get(topic)?.longestStall(shotOf(record)) ?? 0));
  const aims = seconds(records.map((record) => longest(record, record.aims)));
  const others = records.filter(({ bystanders }) => bystanders.length > 0);
  const bystanders = seconds(others.map((record) => longest(record, record.bystanders)));
  return [`longest stall of a partition ${aims}${others.length === 0 ? "" : `; of a bystander ${bystanders}`}`];
}

/** What the topics took that nothing was done to. */
function disturbance(all: readonly ActRecord[], { verdict }: FireResult): string[] {
  const records = all.filter(({ bystanders, withBruce }) => bystanders.length > 0 && !withBruce);
  if (records.length === 0) return [];
  const during = (span: (record: ActRecord) => Span | undefined) => {
    const histogram = new Histogram();
    for (const record of records)
      for (const topic of record.bystanders) {
        const when = span(record);
        const timeline = verdict.timelines.get(topic);
        if (when !== undefined && timeline !== undefined) histogram.addAll(timeline.latency(when));
      }
    return histogram;
  };
  const calm = during(calmOf);
  const fire = during(fireOf);
  const away = during((record) => ({ from: record.shot, to: record.returning ?? lastOf(record) }));
  const after = during((record) => ({ from: fireOf(record).to, to: record.ends }));
  const three = (each: Histogram) =>
    each.count === 0 ? "none" : `${each.quantile(0.5)}/${each.quantile(0.99)}/${each.max}`;
  const ratio = (each: Histogram) => (each.quantile(0.99) / calm.quantile(0.99)).toFixed(2);
  const untilBack = records.some(({ returning }) => returning !== undefined)
    ? ` (${ratio(away)} until the broker was started again)`
    : "";
  return [
    `bystanders, ms p50/p99/max: calm ${three(calm)}, fire ${three(fire)}, after ${three(after)}`,
    `bystanders, p99 of fire to calm: ${ratio(fire)}${untilBack}`,
  ];
}

function calmOf({ begins, shot }: ActRecord): Span {
  return { from: begins, to: shot - EDGE };
}

function fireOf(record: ActRecord): Span {
  const to = Math.max(lastOf(record), record.shot + SHORT);
  return { from: record.shot, to: Math.min(record.ends, to) };
}

function shotOf({ shot, ends }: ActRecord): Span {
  return { from: shot, to: ends };
}

function lastOf({ milestones, shot }: ActRecord): number {
  return milestones.at(-1)?.at ?? shot;
}

/** The one, or the median and the longest. */
function seconds(durations: readonly number[]): string {
  const sorted = [...durations].sort((a, b) => a - b);
  const text = (each: number | undefined) => `${((each ?? 0) / 1000).toFixed(1)} s`;
  if (sorted.length < 2) return sorted.length === 0 ? "never" : text(sorted[0]);
  return `${text(sorted[(sorted.length - 1) >> 1])} (at most ${text(sorted.at(-1))})`;
}

function number(value: number): string {
  return Math.round(value).toLocaleString("en");
}
