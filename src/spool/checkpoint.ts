// The checkpoint: all that must be known after a restart, besides the messages themselves.
import type { Account } from "../observe/ledger.ts";
import type { NumberSet } from "./numberSet.ts";

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
}

/** Which messages of a log are to be delivered still. */
export interface Unsettled {
  /** Taken and not settled, whatever keeps them. Mostly below `read.number`. */
  unsettled: NumberSet;
  /** Settled although at or above `read.number`: a start before this one found that, and the reader is not past them. */
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
  producer: { id: bigint; epoch: number; clusterId: string | null } | null;
}

export interface Checkpoint extends CheckpointState {
  /** Goes up by one with each; the newer of two valid slots wins. */
  generation: number;
  writtenAt: number;
}
