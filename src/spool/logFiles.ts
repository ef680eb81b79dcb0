// The files of the main log: what they take, which of them can go, and what the unread ones have of each topic.
import type { Files } from "./files.ts";
import type { SegmentInfo } from "./logSegments.ts";
import type { WriterMessage } from "./queue.ts";
import { openSegment } from "./scan.ts";
import { readIndex } from "./segmentIndex.ts";
import { TopicTotals } from "./topicTotals.ts";

interface LogFile {
  ordinal: number;
  path: string;
  firstNumber: number;
  /** The number behind its last message, once nothing more comes. */
  end: number;
  size: number;
  closed: boolean;
  /** In this run, so that nothing in it is doubtful. */
  sealed: boolean;
}

export class LogFiles {
  readonly #files: Files;
  readonly #known = new Map<number, LogFile>();
  readonly #topics = new TopicTotals((ordinal) => this.#topicsOf(ordinal));
  #bytes = 0;

  /** `found`: at the start; those from message `unread` on count as unread. */
  constructor(files: Files, found: readonly SegmentInfo[], unread: number) {
    this.#files = files;
    for (const { ordinal, path, firstNumber, end, size, index } of found) {
      this.#known.set(ordinal, { ordinal, path, firstNumber, end, size, closed: true, sealed: false });
      this.#bytes += size;
      if (index !== undefined && firstNumber >= unread) this.#topics.add(ordinal, index.topics);
    }
  }

  get count(): number {
    return this.#known.size;
  }

  /** Bytes found at the start, less those that were deleted since: below 0 when more was. What is written comes on top. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The number behind the last message of those to which nothing more is written. */
  get end(): number {
    let last = 0;
    for (const { end } of this.#known.values()) last = Math.max(last, end);
    return last;
  }

  opened(ordinal: number, path: string, firstNumber: number): void {
    if (this.#known.has(ordinal)) return;
    this.#known.set(ordinal, { ordinal, path, firstNumber, end: firstNumber, size: 0, closed: false, sealed: false });
  }

  /** `unread`: the number that is read next. */
  closed({ ordinal, end, size, index }: Extract<WriterMessage, { type: "closed" }>, unread: number): void {
    const file = this.#known.get(ordinal);
    if (file === undefined) return;
    Object.assign(file, { end, size, closed: true, sealed: index !== undefined });
    if (index !== undefined && file.firstNumber >= unread) this.#topics.add(ordinal, index.topics);
  }

  isOpen(ordinal: number): boolean {
    return this.#known.get(ordinal)?.closed === false;
  }

  /** Ordinals of those to which nothing more is written, and whose messages [firstNumber, end) are `done`. */
  done(isDone: (ordinal: number, firstNumber: number, end: number) => boolean): number[] {
    const done: number[] = [];
    for (const { ordinal, firstNumber, end, closed } of this.#known.values())
      if (closed && isDone(ordinal, firstNumber, end)) done.push(ordinal);
    return done;
  }

  /** False when it is not known, or cannot be deleted now. */
  remove(ordinal: number): boolean {
    const file = this.#known.get(ordinal);
    if (file === undefined) return false;
    this.#topics.remove(ordinal);
    try {
      this.#files.remove(file.path);
    } catch {
      return false;
    }
    this.#known.delete(ordinal);
    this.#bytes -= file.size;
    return true;
  }

  /** The same, but `keep` may have the file: its bytes stay counted until they are `forgotten`. False when that may not be. */
  give(ordinal: number, keep: (path: string, bytes: number) => void): boolean {
    const file = this.#known.get(ordinal);
    if (file?.sealed !== true) return false;
    this.#topics.remove(ordinal);
    try {
      keep(file.path, file.size);
    } catch {
      return false;
    }
    this.#known.delete(ordinal);
    return true;
  }

  forgotten(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Messages by topic in those that have an index and lie behind the one that is being read. */
  topicsUnread(reading: number): ReadonlyMap<string, number> {
    return this.#topics.unread(reading);
  }

  #topicsOf(ordinal: number): ReadonlyMap<string, number> | undefined {
    const file = this.#known.get(ordinal);
    if (file === undefined) return undefined;
    const opened = openSegment(this.#files, file.path);
    if ("problem" in opened) return undefined;
    try {
      return readIndex(this.#files, opened.fd, opened.header)?.topics;
    } finally {
      this.#files.close(opened.fd);
    }
  }
}
