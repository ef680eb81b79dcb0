// Writes checkpoints at the right moments, and only then lets go of what the older ones needed.
//
// What holds, in this order:
// - A checkpoint says what is true at one moment of the main thread; the journal begins a new file at that very moment.
// - What was moved to held logs by then, and the open entries in the journal's new file, are made safe from a power cut
//   before the checkpoint says so.
// - Journals, segments, and numbers not reserved before, are let go of only when the checkpoint is safe as well.
import type { CheckpointState, CheckpointStore } from "./checkpoint.ts";

/** What is told about one moment. */
export type Snapshot = Omit<CheckpointState, "clean" | "journal" | "reserved">;

export interface CheckpointerParts {
  store: Pick<CheckpointStore, "write" | "firstJournal">;
  journal: { rotate(): number; removeBefore(ordinal: number): void; readonly bytes: number };
  /** As it is at the call. */
  snapshot: () => Snapshot;
  /** The number of the next message. */
  next: () => number;
  /** Goes up with every message that comes or is settled: whether anything has changed. */
  progress: () => number;
  /** Whether files of logs could be deleted if a checkpoint knew it. */
  hasGarbage: () => boolean;
  /** Whether the journal misses something, or has hardly room for more: a checkpoint can stand in for it. */
  journalNeedsIt: () => boolean;
  /** What can be deleted once a checkpoint of this moment is on disk; deletes it when it is called. */
  garbage: () => () => void;
  /** Makes safe from a power cut what a checkpoint of this moment refers to: held logs, and the journal's new file. */
  sync: () => Promise<void>;
  /** Numbers below this one may be given to messages. */
  reserved: number;
  onReserved: (reserved: number) => void;
  /** Undefined: it works again. */
  onFailing: (why: string | undefined) => void;
  /** Milliseconds, monotonic. */
  now: () => number;
}

/** Numbers that are reserved ahead; renewed when half of them are used. */
export const RESERVE = 2 ** 24;
/** Between two checkpoints while messages come and go. Milliseconds. */
const INTERVAL = 10_000;
/** The same when files could be deleted or the journal needs it, and after a failure. */
const SOON = 1_000;
/** A journal of more bytes is worth a checkpoint: it is what a start has to read. */
const LONG_JOURNAL = 16 * 1024 * 1024;

export class Checkpointer {
  readonly #parts: CheckpointerParts;
  #reserved: number;
  #running: Promise<void> | undefined;
  /** One that begins when the one on its way has ended: it serves all who ask meanwhile. */
  #next: Promise<boolean> | undefined;
  #ended = false;
  /** The journal's file that begins at the checkpoint that failed. */
  #ordinal: number | undefined;
  #wroteAt: number;
  #progress: number;
  #failing: string | undefined;

  constructor(parts: CheckpointerParts) {
    this.#parts = parts;
    this.#reserved = parts.reserved;
    this.#wroteAt = parts.now();
    this.#progress = parts.progress();
  }

  /** To be called a few times a second: writes one if it is due. */
  turn(): void {
    if (this.#running === undefined && this.#due()) void this.write();
  }

  /**
   * The first one of a run: `restated` (see Recovered) with numbers reserved. It waits for nothing to be made safe, since there
   * may be thousands of held logs, and lets go of nothing. Never rejects, as `write`; without `restated` it is `write`.
   */
  async begin(restated: Omit<CheckpointState, "reserved"> | undefined): Promise<boolean> {
    if (restated === undefined) return this.write();
    this.#running = this.#restate(restated).finally(() => {
      this.#running = undefined;
    });
    await this.#running;
    return this.#failing === undefined;
  }

  /**
   * Writes one of a moment from now on. Never rejects: what failed is told of, and tried again. Answers whether it is on disk.
   * `clean`: the last one; none is written after it.
   */
  async write(clean = false): Promise<boolean> {
    if (!clean && this.#next !== undefined) return this.#next;
    const waits = this.#running !== undefined;
    const written = this.#after(clean);
    if (!clean && waits) this.#next = written;
    return written;
  }

  /** One at a time: each of those who wait looks again whether it is its turn. */
  async #after(clean: boolean): Promise<boolean> {
    while (this.#running !== undefined) await this.#running;
    if (!clean) this.#next = undefined;
    if (this.#ended) return false;
    this.#ended = clean;
    this.#running = this.#write(clean).finally(() => {
      this.#running = undefined;
    });
    await this.#running;
    return this.#failing === undefined;
  }

  #due(): boolean {
    const { now, next, journal, hasGarbage, journalNeedsIt, progress } = this.#parts;
    const age = now() - this.#wroteAt;
    if (age < SOON) return false;
    if (this.#failing !== undefined || journal.bytes > LONG_JOURNAL || this.#nearlyUsed(next()) || hasGarbage())
      return true;
    return (age >= INTERVAL || journalNeedsIt()) && progress() !== this.#progress;
  }

  #nearlyUsed(next: number): boolean {
    return this.#reserved - next < RESERVE / 2;
  }

  async #restate(restated: Omit<CheckpointState, "reserved">): Promise<void> {
    const reserved = this.#parts.next() + RESERVE;
    try {
      await this.#parts.store.write({ ...restated, reserved });
      this.#reserve(reserved);
    } catch (error) {
      this.#failed(error, false);
    }
  }

  async #write(clean: boolean): Promise<void> {
    const { store, journal, snapshot, progress, garbage, sync, onFailing, now } = this.#parts;
    this.#wroteAt = now();
    try {
      const reached = progress();
      // After a failure, the file that was begun for it will do: one for each try would be very many.
      if (this.#ordinal === undefined || clean) this.#ordinal = journal.rotate();
      const ordinal = this.#ordinal;
      const state = snapshot();
      const release = garbage();
      const { number } = state.log.head;
      const reserved = clean ? number : this.#nearlyUsed(number) ? number + RESERVE : this.#reserved;
      await store.write({ ...state, clean, journal: ordinal, reserved }, sync());
      this.#ordinal = undefined;
      if (!clean && reserved !== this.#reserved) this.#reserve(reserved);
      journal.removeBefore(store.firstJournal);
      release();
      this.#progress = reached;
      if (this.#failing !== undefined) onFailing(undefined);
      this.#failing = undefined;
    } catch (error) {
      this.#failed(error, clean);
    }
  }

  #reserve(reserved: number): void {
    this.#reserved = reserved;
    this.#parts.onReserved(reserved);
  }

  #failed(error: unknown, clean: boolean): void {
    const { next, onReserved, onFailing } = this.#parts;
    const why = error instanceof Error ? error.message : String(error);
    if (this.#failing === undefined) onFailing(why);
    this.#failing = why;
    // Better than that nothing can be taken any more. Only a power cut could have these numbers given twice.
    if (!clean && this.#reserved - next() < RESERVE / 4) onReserved(next() + RESERVE);
  }
}
