// The queue between the input thread and the delivery, as both see it, whatever keeps the messages.
import type { Block } from "./block.ts";
import type { MessageNumbers } from "./numbers.ts";

/** The input thread's side. */
export interface QueueWriter {
  /**
   * Copies `count` checked frames, back to back in bytes[start, end), to the end of the queue.
   * Returns the number of the first message, or 0 when there is no room now: nothing was taken then, and the writer's
   * thread is told when there is (see `QueueLink.onRoom`).
   */
  append(source: number, receivedAt: number, bytes: Buffer, start: number, end: number, count: number): number;
  /** The largest block, in bytes, for which there is room when the queue is empty. */
  readonly largest: number;
}

/** The delivery's side. */
export interface QueueReader {
  /** The next block, or nothing. It is valid until `release()`, which must come before the next `read()`. */
  read(): Block | undefined;
  /** Gives back the memory of the block read last. */
  release(): void;
  /** Calls back once each time something came after `read()` had returned nothing. */
  onReadable(callback: () => void): void;
  /** These messages need nothing more: they were delivered or discarded. Each number is settled once. */
  settle(numbers: MessageNumbers): void;
  /** Messages appended since the start. */
  readonly written: number;
  /** Messages read since the start. */
  readonly taken: number;
  /** Messages settled since the start. */
  readonly settled: number;
  /** written - settled */
  readonly unsettled: number;
  /** Bytes of frames appended and not yet released. */
  readonly bytesWaiting: number;
}

/** What ties the two sides together across the threads. The input's main-thread side looks after it. */
export interface QueueLink {
  /** Handed to the input thread, which opens its `QueueWriter` on it. */
  readonly memory: SharedArrayBuffer;
  /** To be called when the writer has said that something came. */
  wake(): void;
  /** Calls back each time the writer waits for room and there is some again. */
  onRoom(callback: () => void): void;
}
