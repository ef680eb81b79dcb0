// Whom messages come from, as the intake sees it.
import type { SessionMark } from "../spool/queue.ts";

export interface Source {
  /** The id of a connection; 0 is the datagram socket. */
  readonly id: number;
  readonly session: SessionMark | undefined;
  /** `count` messages of it are in the queue, from `firstNumber` on. `at`: milliseconds since the epoch. */
  appended(firstNumber: number, count: number, at: number): void;
  /** `count` messages of it were turned away. */
  discarded(count: number): void;
}

/** One of whom nobody keeps account. */
export const NOBODY: Source = { id: 0, session: undefined, appended() {}, discarded() {} };
