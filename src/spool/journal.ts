// The delivery journal: which batch of each partition is on its way, and what became of those before it, since the checkpoint.
//
// What holds:
// - A batch's entry is written before the batch is sent. So after a crash there is at most one batch of each partition of
//   which nobody knows whether Kafka has it, and its entry says how to send that very batch again.
// - A partition's next entry says what became of the batch before (and of the one before that, should an entry be damaged).
// - A file begins with the entries that are open then, so that older files can go once a checkpoint knows what they say. A
//   replay from an older file than needed finds nothing that is not true.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Files } from "./files.ts";
import { type JournalEnd, JournalFile, journalName, listJournals } from "./journalFile.ts";
import { type EndMark, EntryEncoder, type JournalRecord } from "./journalFormat.ts";
import type { MessageNumbers } from "./numbers.ts";

/** One batch that was, or is about to be, sent. */
export interface JournalEntry {
  topic: string;
  /** The partition's id. */
  partition: number;
  /** "" when the cluster has none. */
  clusterId: string;
  /** -1n without idempotence; then epoch and sequence are -1. */
  producerId: bigint;
  producerEpoch: number;
  baseSequence: number;
  /** When it was first sent, in ms since the epoch. */
  sentAt: number;
  /** In the order of the records. */
  numbers: MessageNumbers;
  /** zlib's CRC-32 over the uncompressed records. */
  checksum: number;
  /** Its messages were counted as possible duplicates, before it was written. */
  repeats: boolean;
}

/** What became of a batch. "returned": it was not delivered, and its messages go otherwise (split, moved, a new producer). */
export type EntryEnd = { kind: "delivered" } | { kind: "discarded"; reason: string } | { kind: "returned" };

export interface JournalParts {
  files: Files;
  directory: string;
  /** Of the file to begin: greater than that of any that is there. */
  ordinal: number;
  /** 32 hexadecimal digits each. */
  directoryId: string;
  machineId: string;
  /** Bytes of each file to keep for what comes when the volume is full; none if left out. */
  room?: number;
  /** The newest file of the run before: it is gone on with when there is no room for another. */
  last?: JournalEnd;
  /** What recovery found open. */
  carried: Iterable<JournalEntry>;
  /** Called with the reason when it cannot be written any more, and with nothing when it can again. */
  onFailing: (why: string | undefined) => void;
  /** Milliseconds since the epoch. */
  wallClock: () => number;
  /** Calls back once after `ms`; answers how to call that off. */
  later?: (callback: () => void, ms: number) => () => void;
}

/** How long the end of a delivered batch may wait to be written: after a crash in that time it is only sent again. */
const LAZY = 100;
/** Between two tries to begin a file when the disk fails. Milliseconds. */
const TRY_AGAIN = 1000;
/** Entries that no file takes are kept up to about this many bytes; more are forgotten, for a checkpoint will know. */
const MAX_UNWRITTEN = 8 * 1024 * 1024;

/** Never throws: when the disk fails, `failing` says so, deliveries go on, and a new file is tried each second. */
export class Journal {
  readonly #parts: JournalParts;
  readonly #later: NonNullable<JournalParts["later"]>;
  readonly #open = new Map<string, JournalEntry>();
  /** The delivered batch of a partition whose end is not written yet. */
  readonly #lazy = new Map<string, JournalEntry>();
  /** The last two batches of each partition that came to an end, the latest first. */
  readonly #ends = new Map<string, readonly EndMark[]>();
  readonly #encoder = new EntryEncoder();
  /** Undefined while the disk fails. */
  #file: JournalFile | undefined;
  /** Of the last file that was begun; of the one to begin first while there was none. */
  #ordinal: number;
  #older: JournalFile[] = [];
  #unwritten: JournalRecord[] = [];
  #unwrittenBytes = 0;
  /** Some of that was forgotten. */
  #incomplete = false;
  #failing: string | undefined;
  #failures = 0;
  #cancelLazy: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #closed = false;

  private constructor(parts: JournalParts) {
    this.#parts = parts;
    this.#later = parts.later ?? later;
    this.#ordinal = parts.ordinal - 1;
    for (const entry of parts.carried) this.#open.set(keyOf(entry.topic, entry.partition), entry);
  }

  static open(parts: JournalParts): Journal {
    const journal = new Journal(parts);
    journal.#resume();
    journal.#begin();
    return journal;
  }

  /** Why it cannot be written now; undefined when all is well. */
  get failing(): string | undefined {
    return this.#failing;
  }

  /** It misses what only a checkpoint can make up for. */
  get lacks(): boolean {
    return this.#failing !== undefined || this.#incomplete;
  }

  /** How often it has come to that since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** Less than half is left of what is kept for when the volume is full. */
  get crowded(): boolean {
    return (this.#file?.room ?? 0) < (this.#parts.room ?? 0) / 2;
  }

  /** On the disk, in all its files. */
  get bytes(): number {
    return this.#older.reduce((sum, { size }) => sum + size, this.#file?.size ?? 0);
  }

  /** The file being written: a checkpoint of this moment replays from here, if `rotate` was just called. */
  get ordinal(): number {
    return this.#ordinal;
  }

  /** Batches of which nobody knows yet whether Kafka has them: one for each partition at most. */
  openEntries(): JournalEntry[] {
    return [...this.#open.values()];
  }

  /**
   * To be called before these batches, of different partitions, are sent. A batch of the same partition that is open still was
   * delivered. Answers whether they are written: if not, they will be once the disk lets it, if they are still open then.
   */
  sending(entries: Iterable<JournalEntry>): boolean {
    const records: JournalRecord[] = [];
    for (const entry of entries) {
      const key = keyOf(entry.topic, entry.partition);
      const before = this.#open.get(key);
      // Messages that are sent once more were not delivered before.
      if (before !== undefined) this.#note(key, before, before.numbers.first !== entry.numbers.first);
      this.#lazy.delete(key);
      this.#open.set(key, entry);
      records.push({ kind: "sending", entry, ends: this.#ends.get(key) ?? [] });
    }
    this.#write([...this.#takeLazy(), ...records]);
    return this.#failing === undefined;
  }

  /**
   * The partition's open batch came to its end. That it was delivered is written within 100 ms, or with the next write; the
   * other ends before this returns. Without an open batch nothing happens.
   */
  ended(topic: string, partition: number, how: EntryEnd): void {
    const key = keyOf(topic, partition);
    const entry = this.#open.get(key);
    if (entry === undefined) return;
    this.#open.delete(key);
    this.#note(key, entry, how.kind === "delivered");
    if (how.kind === "delivered") {
      this.#lazy.set(key, entry);
      this.#cancelLazy ??= this.#later(() => this.flush(), LAZY);
    } else {
      this.#write([...this.#takeLazy(), { kind: "ended", topic, partition, first: entry.numbers.first, how }]);
    }
  }

  /** Writes what waits to be written. */
  flush(): void {
    this.#write(this.#takeLazy());
  }

  /**
   * Begins the next file with the open entries, at the moment of a checkpoint. Answers the ordinal that the checkpoint must
   * name: should the disk take no new file, the old one goes on, and its ordinal is the answer.
   */
  rotate(): number {
    this.flush();
    this.#begin();
    if (this.#failing === undefined) this.#incomplete = false;
    return this.#ordinal;
  }

  /** Deletes the files below `ordinal`, which no checkpoint names any more. */
  removeBefore(ordinal: number): void {
    const { files, directory } = this.#parts;
    for (const file of this.#older) if (file.ordinal < ordinal) file.close();
    this.#older = this.#older.filter((file) => file.ordinal >= ordinal);
    try {
      for (const old of listJournals(files, directory)) {
        if (old < ordinal && old < this.#ordinal) files.remove(join(directory, journalName(old)));
      }
    } catch {
      // It is tried again after the next checkpoint, and a replay of it would do no harm.
    }
  }

  /** Makes what is written safe from a power cut. A failed one begins a new file. */
  async sync(): Promise<void> {
    this.flush();
    const current = this.#file;
    try {
      for (const file of [...this.#older]) await file.sync();
      await current?.sync();
    } catch (error) {
      if (this.#closed) return;
      if (this.#file === current) this.#file = this.#retire();
      this.#fail(error);
      this.#begin();
    }
  }

  /** Writes what waits, and lets go of the files. */
  close(): void {
    this.flush();
    this.#closed = true;
    this.#cancelLazy?.();
    this.#cancelRetry?.();
    for (const file of this.#older) file.close();
    this.#file?.close();
    this.#file = undefined;
  }

  #note(key: string, { numbers }: JournalEntry, delivered: boolean): void {
    const [last] = this.#ends.get(key) ?? [];
    const mark = { first: numbers.first, delivered };
    this.#ends.set(key, last === undefined ? [mark] : [mark, last]);
  }

  #takeLazy(): JournalRecord[] {
    this.#cancelLazy?.();
    this.#cancelLazy = undefined;
    const records: JournalRecord[] = [];
    for (const { topic, partition, numbers } of this.#lazy.values())
      records.push({ kind: "ended", topic, partition, first: numbers.first, how: { kind: "delivered" } });
    this.#lazy.clear();
    return records;
  }

  #write(records: JournalRecord[]): void {
    if (records.length === 0 || this.#closed) return;
    const file = this.#file;
    if (file === undefined) {
      this.#keep(records);
      return;
    }
    this.#encode(records, file.seed);
    try {
      file.append(this.#encoder);
    } catch (error) {
      this.#file = this.#retire();
      this.#keep(records);
      this.#fail(error);
    }
  }

  /** All that is open is in that file, or in one before it: so nothing is missing should no other be begun. */
  #resume(): void {
    const { files, directory, last } = this.#parts;
    if (last === undefined) return;
    try {
      this.#file = JournalFile.resume(files, directory, last);
      this.#ordinal = this.#file.ordinal;
    } catch {
      // Then another is begun, or that fails as well.
    }
  }

  /** Begins the next file: what was not written so far, then the open entries. */
  #begin(): void {
    const { files, directory, directoryId, machineId, wallClock, room = 0 } = this.#parts;
    if (this.#closed) return;
    const seed = randomBytes(4).readUInt32BE();
    const header = { ordinal: this.#ordinal + 1, directoryId, machineId, createdAt: wallClock(), seed };
    this.#encode(this.#unwritten, seed);
    for (const entry of this.#open.values()) this.#encoder.add({ kind: "carried", entry }, seed);
    try {
      const file = JournalFile.create(files, directory, header, this.#encoder, {
        room,
        required: this.#file !== undefined,
      });
      this.#retire();
      this.#file = file;
      this.#ordinal = file.ordinal;
    } catch (error) {
      // While the old file can be written, nothing is lost yet.
      if (this.#file === undefined) this.#fail(error);
      return;
    }
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    if (this.#failing === undefined) return;
    this.#failing = undefined;
    this.#parts.onFailing(undefined);
  }

  #encode(records: JournalRecord[], seed: number): void {
    const encoder = this.#encoder;
    encoder.clear();
    for (const record of records) encoder.add(record, seed);
  }

  #keep(records: JournalRecord[]): void {
    for (const record of records) {
      this.#unwritten.push(record);
      this.#unwrittenBytes += 200 + (record.kind === "ended" ? 0 : record.entry.numbers.deltasLength);
    }
    if (this.#unwrittenBytes <= MAX_UNWRITTEN) return;
    this.#incomplete = true;
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
  }

  #retire(): undefined {
    if (this.#file !== undefined) this.#older.push(this.#file);
    return undefined;
  }

  #fail(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    if (this.#failing === undefined) {
      this.#failures++;
      this.#parts.onFailing(why);
    }
    this.#failing = why;
    this.#cancelRetry?.();
    this.#cancelRetry = this.#later(() => {
      this.#cancelRetry = undefined;
      this.#begin();
    }, TRY_AGAIN);
  }
}

function later(callback: () => void, ms: number): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

function keyOf(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}
