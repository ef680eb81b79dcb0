// The queue between the input thread and the delivery, as both see it, whatever keeps the messages.
import type { Block } from "./block.ts";
import type { MessageNumbers } from "./numbers.ts";
import type { SegmentIndex } from "./segmentIndex.ts";

/** "memory": nothing is kept on disk. "degraded": the disk refuses, and messages are in memory until it takes them again. */
export type QueueState = "memory" | "disk" | "degraded";

/** The session that messages came by. */
export interface SessionMark {
  /** 16 bytes. */
  id: Buffer;
  idHex: string;
  /** Messages of the session before these. */
  position: number;
}

/** The input thread's side. */
export interface QueueWriter {
  /**
   * Copies `count` checked frames, back to back in bytes[start, end), to the end of the queue.
   * Returns the number of the first message, or 0 when there is no room now: nothing was taken then, and the writer's
   * thread is told when there is (see `QueueLink.onRoom`). Never throws.
   */
  append(
    source: number,
    receivedAt: number,
    bytes: Buffer,
    start: number,
    end: number,
    count: number,
    session?: SessionMark,
  ): number;
  /** The largest block, in bytes of frames, for which there is room when the queue is empty. */
  readonly largest: number;
  /** The number of the last message appended; that of the last one ever when none was yet. */
  readonly lastNumber: number;
  /** Every message up to this number is safe from a power cut (see `refusedSync`), or was delivered or discarded. */
  readonly synced: number;
  readonly state: QueueState;
  /** Messages above this number are in a file, or were settled, unless the disk refuses now (see `state`); 0: all are. */
  readonly aloneTo: number;
  /**
   * The last of messages [from, to] that cannot be made safe from a power cut, because an fdatasync that covered it failed, or
   * because it is in memory alone; 0 when there is none. To be asked after `synced`: only then is what that counts known.
   */
  refusedSync(from: number, to: number): number;
  /** Starts an fdatasync of all there is now; the thread is woken (see `QueueLink.onRoom`) when it is done. */
  syncSoon(): void;
  /**
   * Whether messages may wait to be appended together with more of them: then this thread is woken in a moment, a millisecond
   * or two (see `QueueLink.onRoom`), to append them. False: the reader sleeps, or is busy.
   */
  gather(): boolean;
  /** Nothing waits to be appended any more. */
  gathered(): void;
  /** To be called whenever the thread was woken: tries a disk again that failed, rotates when it was asked to. */
  tend(): void;
}

/** How a message ended for the log it was in; "moved": it goes on in another log. */
export type SettledHow = "delivered" | "discarded" | "moved";

/** Told of what is taken and settled, for the receipts. Called within `read` and `settle`: must be cheap and never throw. */
export interface QueueHooks {
  /** The account that a block's messages belong to, 0 for none. `session` is 16 bytes, and reused. */
  accountOf(source: number, session: Buffer | undefined): number;
  /**
   * `count` messages of consecutive numbers were taken, of a block of that account (never 0). `endsAt`: messages of the
   * block's session up to and with the block; 0 without a session.
   */
  onTaken(account: number, firstNumber: number, count: number, endsAt: number): void;
  /** `count` messages that begin at `number`, of consecutive numbers and one account (never 0), were settled. */
  onSettled(account: number, number: number, count: number, how: SettledHow): void;
  /** `count` messages of that account (never 0), which were taken and have numbers in [from, to), are in no log any more. */
  onLost(account: number, from: number, to: number, count: number): void;
}

/** The delivery's side. */
export interface QueueReader {
  /** The next block, or nothing. It is valid until `release()`, which must come before the next `read()`. */
  read(): Block | undefined;
  /** Gives back the memory of the block read last. */
  release(): void;
  /** Calls back once each time something came after `read()` had returned nothing. */
  onReadable(callback: () => void): void;
  /** These messages need nothing more here. Each number is settled once. */
  settle(numbers: MessageNumbers, how: SettledHow): void;
  /**
   * Where, in these, messages that outlive a crash of the process end and others begin, or the other way round: indexes,
   * ascending. None of them need be the queue's.
   */
  seams(numbers: MessageNumbers): number[];
  /** Messages appended since the start, and those found at the start that were not taken before. */
  readonly written: number;
  /** Messages read since the start. */
  readonly taken: number;
  /** Messages settled since the start. */
  readonly settled: number;
  /** Appended and not taken, whenever. */
  readonly unread: number;
  /** `unread`, and those taken since the start and not settled. */
  readonly unsettled: number;
  /** Bytes of frames appended and not yet released, as far as they are in memory. */
  readonly bytesWaiting: number;
  /** The writer waits for memory, and for nothing else than that what is in memory is read. */
  readonly writerWaits: boolean;
}

/** What the input thread needs to open its `QueueWriter`. Structured-cloneable. */
export type QueueOrder =
  | { kind: "memory"; memory: SharedArrayBuffer }
  | {
      kind: "disk";
      /** The ring. */
      memory: SharedArrayBuffer;
      /** See logControl.ts. */
      control: SharedArrayBuffer;
      /** Where the segments of the log are. */
      directory: string;
      /** Bytes a segment may have before the next is begun. */
      segment: number;
      /** Bytes of frames a block may have. */
      largest: number;
      /** Bytes that may lie in the ring unreleased while the disk takes everything. */
      credit: number;
      /** Of the first segment to be made. */
      ordinal: number;
      firstNumber: number;
      /** See SegmentHeader. */
      previousEnd: number;
      directoryId: string;
    };

/** What the writer's thread tells the reader's. */
export type WriterMessage =
  | { type: "opened"; ordinal: number; firstNumber: number; previousEnd: number }
  /** No more is written to that segment. `size`: where its blocks end, or with an index its file. */
  | { type: "closed"; ordinal: number; firstNumber: number; end: number; size: number; index: SegmentIndex | undefined }
  /** Messages [from, to), which were in memory alone, are in that segment now. */
  | { type: "late"; ordinal: number; from: number; to: number }
  /** `reason`: what the disk said, for people. */
  | { type: "state"; state: QueueState; reason: string }
  | { type: "syncWanted" }
  /** An append found no room on disk. */
  | { type: "full" };

/** What ties the two sides together across the threads. The input's main-thread side looks after it. */
export interface QueueLink {
  /** Handed to the input thread, which opens its `QueueWriter` on it (see queueWriter.ts). */
  readonly order: QueueOrder;
  /** To be called when the writer has said that something came. */
  wake(): void;
  /** To be called with each message of the writer, in their order. */
  told(message: WriterMessage): void;
  /** Calls back each time the writer's thread is to look: there is room again, or an fdatasync it waits for is done. */
  onRoom(callback: () => void): void;
}
