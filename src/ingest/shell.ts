// What all parts of the input thread that touch sockets have in common.
import type { Libc, Memory } from "./libc.ts";

export interface Shell {
  libc: Libc;
  memory: Memory;
  /** Goes to the log, by way of the main thread; the same message at most once a minute. */
  warn(message: string, fields: Record<string, unknown>): void;
}

/** The most that is read from one socket before the others have their turn. */
export const TURN_BYTES = 262_144;

/** Milliseconds for which a socket is left alone after the system refused something for want of resources. */
export const RETRY_PAUSE = 100;
