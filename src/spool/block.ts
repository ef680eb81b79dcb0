// A block: the unit in which messages move from the input thread into the queue and out of it.
import type { NumberSet } from "./numberSet.ts";

/** Frames of one connection (or of the datagram socket), back to back in bytes[start, end), already checked. */
export interface Block {
  /** The number of its first message; the others follow without gaps, unless `numbers` says otherwise. */
  firstNumber: number;
  count: number;
  /** The numbers of its messages, when they have gaps (held logs); the first `count` entries. Reused like the block. */
  numbers: Float64Array | undefined;
  /** The id of the connection it came by, in the run that took it; 0 is the datagram socket. */
  source: number;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  bytes: Buffer;
  start: number;
  end: number;
  /**
   * They were taken before: before the last stop (the books begin anew then with what was settled, so they are received when
   * they are taken again), or from a held log, and put back.
   */
  again: boolean;
  /** When set: the messages in it are to be passed over, as if they were not there. */
  skip: NumberSet | undefined;
  /** How many of the `count` are not in `skip`. */
  live: number;
  /** The 16 bytes of the session it came by. Reused like the block. */
  session: Buffer | undefined;
  /** Messages of that session before this block. */
  position: number;
  /** What `QueueHooks.accountOf` answered for it; 0: nobody asks after its messages. */
  receiptAccount: number;
  /** Where it is in the log: the segment's ordinal (0: in memory alone) and the offset of the block's header. */
  segment: number;
  offset: number;
}

/** A block without anything in it, for a reader that keeps one and overwrites it. */
export function emptyBlock(bytes: Buffer): Block {
  return {
    firstNumber: 0,
    count: 0,
    numbers: undefined,
    source: 0,
    receivedAt: 0,
    bytes,
    start: 0,
    end: 0,
    again: false,
    skip: undefined,
    live: 0,
    session: undefined,
    position: 0,
    receiptAccount: 0,
    segment: 0,
    offset: 0,
  };
}
