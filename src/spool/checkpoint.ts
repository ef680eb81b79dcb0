// The checkpoint: all that must be known after a restart, besides the messages themselves.
import { join } from "node:path";
import type { Account } from "../observe/ledger.ts";
import { decodeCheckpoint, encodeCheckpoint } from "./checkpointFormat.ts";
import { codeOf, type Files, readWhole, writeAll } from "./files.ts";
import type { NumberSet } from "./numberSet.ts";
import { syncNames } from "./syncNames.ts";

/** A place in a log. */
export interface LogPosition {
  /** Of a read position: the number to be read next. Of a head: the number to be written next. */
  number: number;
  /** The ordinal of the segment. */
  segment: number;
  /** In bytes from the beginning of that segment's file; the header counts. */
  offset: number;
}

/** Where the main log stood. What of it is still to be delivered: see `isUnsettled`. */
export interface LogState {
  read: LogPosition;
  /** Behind the last block written. */
  head: LogPosition;
  /**
   * Numbers [from, to) that this run's first segment passes over. Only its header says so on the disk, and it may not be
   * there yet.
   */
  unused?: { from: number; to: number };
}

/** Which messages of a log are to be delivered still. */
export interface Unsettled {
  /** Taken and not settled, whatever keeps them. Mostly below `read.number`. */
  unsettled: NumberSet;
  /**
   * Settled although at or above `read.number`: a start before this one found that, and the reader is not past them. A number
   * that is in `unsettled` as well is not settled.
   */
  settled: NumberSet;
}

/** Where the log of a held topic, or of one partition that cannot be reached, stood. */
export interface HeldLogState extends LogState, Unsettled {
  /** The directory in held/. */
  name: string;
  topic: string;
  /** Null: the whole topic. */
  partition: number | null;
  /** Why it is held, for people. */
  reason: string;
  /** Messages in it that were not taken. */
  unread: number;
}

/** What became of messages so far; a `Ledger` is one. */
export interface LedgerState {
  readonly total: Account;
  readonly noTopic: Account;
  topics(): Iterable<[string, Account]>;
}

/** Session (32 hexadecimal digits), messages of it that are spooled, when its last one came (ms since the epoch). */
export type SessionState = [session: string, position: number, lastAt: number];

/** What a checkpoint says, as its writer gives it. Message numbers, ordinals, bytes, ms since the epoch. */
export interface CheckpointState extends Unsettled {
  /** 32 hexadecimal digits, random when the directory was new. */
  directoryId: string;
  machineId: string;
  /** Written by a graceful stop: nothing came after it. */
  clean: boolean;
  /** No number at or above this one was given to a message. */
  reserved: number;
  /** The journal file to replay from. */
  journal: number;
  log: LogState;
  held: HeldLogState[];
  ledger: LedgerState;
  topicsSeen: string[];
  sessions: SessionState[];
}

export interface Checkpoint extends CheckpointState {
  /** Goes up by one with each; the newer of two valid slots wins. */
  generation: number;
  writtenAt: number;
}

/** The slot files in the data directory, written in turn. */
const SLOTS = ["checkpoint.0", "checkpoint.1"] as const;

/** Slots grow in steps of this, so that on a full disk there is room for a checkpoint, and with it for deleting segments. */
const STEP = 65_536;

interface Slot {
  path: string;
  fd: number | undefined;
  size: number;
  /** Of the checkpoint in it; 0 when it holds none that is valid. */
  generation: number;
  /** The journal that its checkpoint names. */
  journal: number;
}

/** One at a time: `write` must not be called before the one before has ended. */
export class CheckpointStore {
  readonly #files: Files;
  readonly #directory: string;
  readonly #slots: Slot[];
  readonly #wallClock: () => number;

  /** `wallClock`: milliseconds since the epoch. */
  constructor(files: Files, directory: string, wallClock: () => number = Date.now) {
    this.#files = files;
    this.#directory = directory;
    this.#wallClock = wallClock;
    this.#slots = SLOTS.map((name) => ({
      path: join(directory, name),
      fd: undefined,
      size: 0,
      generation: 0,
      journal: 0,
    }));
  }

  /** The two slots. */
  get paths(): string[] {
    return this.#slots.map(({ path }) => path);
  }

  /** The newest valid checkpoint. `damaged`: slots that are there and hold none. Never throws. */
  load(): { checkpoint: Checkpoint | undefined; damaged: string[] } {
    let newest: Checkpoint | undefined;
    const damaged: string[] = [];
    for (const slot of this.#slots) {
      const checkpoint = this.#read(slot.path);
      if (checkpoint === "damaged") damaged.push(slot.path);
      if (checkpoint === "damaged" || checkpoint === "missing") continue;
      slot.generation = checkpoint.generation;
      slot.journal = checkpoint.journal;
      if (checkpoint.generation > (newest?.generation ?? 0)) newest = checkpoint;
    }
    return { checkpoint: newest, damaged };
  }

  /** Both slots have their room on the disk: on a full one, a checkpoint can be written over the older. */
  get hasRoom(): boolean {
    return this.#slots.every(({ generation }) => generation > 0);
  }

  /**
   * The first journal file that a checkpoint on the disk names, 0 without one: older ones can go. One of the two slots may become
   * unreadable, and then the other one's is needed.
   */
  get firstJournal(): number {
    const named = this.#slots.filter(({ generation }) => generation > 0).map(({ journal }) => journal);
    return named.length === 0 ? 0 : Math.min(...named);
  }

  /**
   * Takes `state` down as it is at the call; when `ready` has resolved, writes it over the older slot and makes it safe from a
   * power cut. Rejects when the disk refuses, or `ready` does; the newest checkpoint written before is still there then.
   */
  async write(state: CheckpointState, ready: Promise<void> = Promise.resolve()): Promise<void> {
    const newest = Math.max(...this.#slots.map(({ generation }) => generation));
    const slot = this.#slots.reduce((older, other) => (other.generation < older.generation ? other : older));
    const generation = newest + 1;
    const content = encodeCheckpoint({ ...state, generation, writtenAt: this.#wallClock() });
    const { journal } = state;
    await ready;
    const isNew = slot.fd === undefined || slot.size === 0;
    slot.generation = 0;
    let isWritten = false;
    try {
      const fd = this.#open(slot);
      const size = Math.max(slot.size, Math.ceil(content.length / STEP) * STEP);
      const bytes = size === slot.size ? content : Buffer.concat([content, Buffer.alloc(size - content.length)]);
      writeAll(this.#files, fd, bytes, 0, bytes.length, 0);
      isWritten = true;
      await this.#files.sync(fd);
      if (isNew) await syncNames(this.#files, this.#directory);
      slot.size = size;
    } catch (error) {
      // The room that it has is worth more than what is in it, when the disk is full.
      if (isWritten || codeOf(error) !== "ENOSPC") this.#abandon(slot);
      throw error;
    }
    slot.generation = generation;
    slot.journal = journal;
  }

  close(): void {
    for (const slot of this.#slots) {
      if (slot.fd !== undefined) this.#files.close(slot.fd);
      slot.fd = undefined;
    }
  }

  #open(slot: Slot): number {
    if (slot.fd === undefined) {
      slot.fd = this.#files.open(slot.path, this.#files.exists(slot.path) ? "r+" : "wx+");
      slot.size = this.#files.size(slot.fd);
    }
    return slot.fd;
  }

  /** What a failed write or sync leaves behind is not trusted with another: the next one begins a new file. */
  #abandon(slot: Slot): void {
    if (slot.fd !== undefined) this.#files.close(slot.fd);
    slot.fd = undefined;
    slot.size = 0;
    try {
      this.#files.remove(slot.path);
    } catch {
      // Then it is written over, once the disk takes anything again.
    }
  }

  #read(path: string): Checkpoint | "missing" | "damaged" {
    try {
      return decodeCheckpoint(readWhole(this.#files, path)) ?? "damaged";
    } catch (error) {
      return codeOf(error) === "ENOENT" ? "missing" : "damaged";
    }
  }
}
