// What is in a buffer's directory, as the next start would find it. Changes nothing.
import { CheckpointStore } from "../spool/checkpoint.ts";
import type { Files } from "../spool/files.ts";
import type { SegmentInfo } from "../spool/logSegments.ts";
import { type Recovered, recover } from "../spool/recover.ts";
import type { RecoveredLog } from "../spool/recoverLogs.ts";

/** A log and which of its messages wait. */
export interface LogView {
  /** Of a held log: what is in it, and why. Undefined: the main log. */
  topic: string | undefined;
  partition: number | null;
  reason: string;
  segments: readonly SegmentInfo[];
  /** Messages with smaller numbers have been read; some of them wait all the same, to be acknowledged. */
  readFrom: number;
  /** Messages that wait. */
  waiting: number;
  /** Whether the message is not known to be delivered or discarded. */
  waits(number: number): boolean;
  /** Whether one of the numbers [from, to) may wait. */
  mayWait(from: number, to: number): boolean;
}

export interface SpoolView {
  /** When it was written (ms since the epoch), and whether by a graceful stop. */
  checkpoint: { generation: number; writtenAt: number; clean: boolean } | undefined;
  /** The main log is the first. */
  logs: [LogView, ...LogView[]];
  /** Batches of which nobody knows whether Kafka has them. */
  uncertain: number;
}

/** A daemon that is at work may take its next checkpoint, and delete files, while they are read: then once more. */
const TRIES = 3;

/** Throws what the file system throws when the directory cannot be read. */
export function readView(files: Files, directory: string): SpoolView {
  for (let left = TRIES; ; left--) {
    const before = new CheckpointStore(files, directory).load().checkpoint;
    const recovered = recover(files, directory, { machineId: "", repair: false });
    const after = new CheckpointStore(files, directory).load().checkpoint;
    if (before?.generation === after?.generation || left <= 1) return viewOf(recovered, before);
  }
}

function viewOf({ log, held, openEntries }: Recovered, checkpoint: SpoolView["checkpoint"]): SpoolView {
  const { number } = log.read;
  const unread = log.segments.reduce(
    (sum, { firstNumber, end }) => sum + toRead(log, Math.max(firstNumber, number), end),
    0,
  );
  const main = { ...view(log), topic: undefined, partition: null, reason: "", waiting: waitingIn(log, unread) };
  const others = held.map((each): LogView => {
    const { topic, partition, reason } = each;
    return { ...view(each), topic, partition, reason, waiting: each.unread + each.open.size };
  });
  return { checkpoint, logs: [main, ...others], uncertain: openEntries.length };
}

function view({ segments, read, again, skip, open }: RecoveredLog) {
  return {
    segments,
    readFrom: read.number,
    waits: (number: number) => open.has(number) || ((number >= read.number || again.has(number)) && !skip.has(number)),
    mayWait: (from: number, to: number) =>
      to > read.number || (again.next(from) ?? to) < to || (open.next(from) ?? to) < to,
  };
}

/** Of the numbers [from, to), which are all to be read but for those that are passed over. */
function toRead({ skip }: RecoveredLog, from: number, to: number): number {
  return to <= from ? 0 : to - from - skip.countBetween(from, to);
}

function waitingIn(log: RecoveredLog, unread: number): number {
  let count = unread + log.open.size;
  log.again.forEachRange((from, to) => {
    count += toRead(log, from, Math.min(to, log.read.number));
  });
  return count;
}
