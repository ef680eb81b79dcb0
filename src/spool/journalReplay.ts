// Reads the delivery journal after a start: which batches came to an end since the checkpoint, and which nobody knows of.
import { join } from "node:path";
import { codeOf, type Files, readWhole } from "./files.ts";
import type { EntryEnd, JournalEntry } from "./journal.ts";
import { journalName, listJournals } from "./journalFile.ts";
import {
  decodeEntry,
  decodeJournalHeader,
  findEntry,
  JOURNAL_HEADER,
  type JournalHeader,
  type JournalRecord,
  seedOfEntries,
} from "./journalFormat.ts";

/** Bytes [from, to) of a file that say nothing. */
export interface JournalProblem {
  path: string;
  from: number;
  to: number;
  why: string;
  /** Of the system's error; "" without one. */
  code: string;
}

export interface Replay {
  /** Sent, or about to be, and nobody knows whether Kafka has them: one for each partition at most. */
  open: JournalEntry[];
  /** How many messages of each topic were counted as possible duplicates in these files. */
  repeated: Map<string, number>;
  /** The header of the newest file that has a good one. */
  header: JournalHeader | undefined;
  /** Where the last good entry of that file ends. */
  end: number;
  /** Of the newest file, whatever is in it; `from - 1` when there is none. */
  lastOrdinal: number;
  /** Damage with good entries behind it. What a crash cut off at the end of a file is none. */
  problems: JournalProblem[];
}

/**
 * Reads the files from `from` on. Calls back with each batch that is known to have been delivered or discarded. Never throws
 * for what is in the files. A damaged entry costs what it alone said: its own messages count as never sent, and what became of
 * the batch before it the entry after it says too.
 */
export function replayJournal(
  files: Files,
  directory: string,
  from: number,
  onEnd: (entry: JournalEntry, how: Exclude<EntryEnd, { kind: "returned" }>) => void,
): Replay {
  const open = new Map<string, JournalEntry>();
  const replay: Replay = {
    open: [],
    repeated: new Map(),
    header: undefined,
    end: 0,
    lastOrdinal: from - 1,
    problems: [],
  };

  const end = (key: string, how: EntryEnd) => {
    const entry = open.get(key);
    open.delete(key);
    if (entry !== undefined && how.kind !== "returned") onEnd(entry, how);
  };
  const act = (record: JournalRecord) => {
    if (record.kind === "ended") {
      const key = `${record.partition} ${record.topic}`;
      // The end of another batch is that of one whose entry is damaged.
      if (open.get(key)?.numbers.first === record.first) end(key, record.how);
      return;
    }
    const { entry } = record;
    const key = `${entry.partition} ${entry.topic}`;
    const before = open.get(key);
    if (entry.repeats && !isWrittenAgain(before, entry))
      replay.repeated.set(entry.topic, (replay.repeated.get(entry.topic) ?? 0) + entry.numbers.count);
    // A write that failed halfway is made again in the next file: the same batch is not the end of itself.
    if (before !== undefined && !sameBatch(before, entry)) {
      const ends = record.kind === "sending" ? record.ends : [];
      const mark = ends.find(({ first }) => first === before.numbers.first);
      // What damage has made unknown is read and sent again: twice is better than never.
      end(key, mark?.delivered === true ? { kind: "delivered" } : { kind: "returned" });
    }
    open.set(key, entry);
  };

  for (const ordinal of listJournals(files, directory)) {
    replay.lastOrdinal = Math.max(replay.lastOrdinal, ordinal);
    if (ordinal < from) continue;
    const path = join(directory, journalName(ordinal));
    const found = readJournal(files, ordinal, path, act, replay.problems);
    if (found?.header !== undefined) Object.assign(replay, found);
  }
  replay.open = [...open.values()];
  return replay;
}

function readJournal(
  files: Files,
  ordinal: number,
  path: string,
  act: (record: JournalRecord) => void,
  problems: JournalProblem[],
): Pick<Replay, "header" | "end"> | undefined {
  let bytes: Buffer;
  try {
    bytes = readWhole(files, path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    problems.push({ path, from: 0, to: 0, why: `it cannot be read: ${why}`, code: codeOf(error) });
    return undefined;
  }
  const header = decodeJournalHeader(bytes);
  const seed = header?.seed ?? seedOfEntries(bytes);
  if (header === undefined) {
    // A file that a crash left half begun has no header, or none but zeros: what is in it the one before says, too.
    const begun = bytes.length >= JOURNAL_HEADER && bytes.subarray(0, JOURNAL_HEADER).some((byte) => byte !== 0);
    if (!begun) return undefined;
    problems.push({
      path,
      from: 0,
      to: seed === undefined ? bytes.length : JOURNAL_HEADER,
      why: "its header is damaged",
      code: "",
    });
  }
  if (seed === undefined) return undefined;
  if (header !== undefined && header.ordinal !== ordinal) {
    // What it says was over long ago, if it is a copy.
    problems.push({ path, from: 0, to: bytes.length, why: "its header says that it is another file", code: "" });
    return undefined;
  }
  let at = JOURNAL_HEADER;
  let end = at;
  while (at < bytes.length) {
    const found = decodeEntry(bytes, at, seed);
    if (found !== undefined) {
      act(found.record);
      at = end = found.next;
      continue;
    }
    const from = at;
    do at = findEntry(bytes, at + 1);
    while (at < bytes.length && decodeEntry(bytes, at, seed) === undefined);
    if (at < bytes.length) problems.push({ path, from, to: at, why: "damaged entries", code: "" });
  }
  return { header, end };
}

function sameBatch(one: JournalEntry, other: JournalEntry): boolean {
  return (
    one.numbers.first === other.numbers.first &&
    one.numbers.last === other.numbers.last &&
    one.numbers.count === other.numbers.count
  );
}

/** It is the very entry. */
function isWrittenAgain(before: JournalEntry | undefined, entry: JournalEntry): boolean {
  if (before === undefined || !sameBatch(before, entry)) return false;
  const { repeats, sentAt, producerId, baseSequence } = before;
  if (!repeats || sentAt !== entry.sentAt) return false;
  return producerId === entry.producerId && baseSequence === entry.baseSequence;
}
