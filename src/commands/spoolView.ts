// What is in a buffer's directory, as the next start would find it. Changes nothing.
import type { Files } from "../spool/files.ts";
import type { SegmentInfo } from "../spool/logSegments.ts";

/** A log and which of its messages wait. */
export interface LogView {
  /** Relative to the directory: "log", or "held/NAME". */
  name: string;
  /** Of a held log: what is in it, and why. */
  topic: string | undefined;
  partition: number | null;
  reason: string | undefined;
  segments: readonly SegmentInfo[];
  /** Messages with smaller numbers have been read; some of them wait all the same, to be acknowledged. */
  readFrom: number;
  /** Whether the message is not known to be delivered or discarded. */
  waits(number: number): boolean;
  /** Whether one of the numbers [from, to) may wait. */
  mayWait(from: number, to: number): boolean;
  /** Messages that wait. */
  waiting: number;
}

export interface SpoolView {
  /** When it was written (ms since the epoch), and whether the daemon was stopped then. */
  checkpoint: { generation: number; writtenAt: number; clean: boolean } | undefined;
  /** The main log is the first. */
  logs: [LogView, ...LogView[]];
  /** Batches of which nobody knows whether Kafka has them. */
  uncertain: number;
}

export function readView(files: Files, directory: string): SpoolView {
  throw new Error(`bruce spool cannot list ${directory} (${files.exists(directory)}) in this version`);
}
