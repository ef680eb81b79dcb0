// A place in a log's files: one open segment with a cursor in it.
import type { LogPosition } from "./checkpoint.ts";
import type { Files } from "./files.ts";
import { endOfNumbers } from "./format.ts";
import type { LogSegment, LogSegments } from "./logSegments.ts";
import { SegmentCursor } from "./scan.ts";

/** Moves through one segment. Nothing beyond what the writer has published is looked at. */
export class LogPlace {
  readonly segment: LogSegment;
  readonly #files: Files;
  readonly #segments: LogSegments;
  readonly #opened: { fd: number; header: ConstructorParameters<typeof SegmentCursor>[2] };
  #cursor: SegmentCursor;
  /** The size of the file once nothing more is written to it. */
  #size = -1;
  /** A block from here on is what a failed append left behind: its numbers were given to others, in the next segment. */
  #nextFirst = Number.POSITIVE_INFINITY;
  /** After "block": the number behind its last message. */
  blockEnd = 0;

  /** Nothing when the segment is gone. Throws a ReadFailure. */
  static open(files: Files, segments: LogSegments, segment: LogSegment, offset?: number): LogPlace | undefined {
    const opened = segments.open(segment);
    return opened === undefined ? undefined : new LogPlace(files, segments, segment, opened, offset);
  }

  private constructor(
    files: Files,
    segments: LogSegments,
    segment: LogSegment,
    opened: { fd: number; header: ConstructorParameters<typeof SegmentCursor>[2] },
    offset: number | undefined,
  ) {
    this.#files = files;
    this.#segments = segments;
    this.segment = segment;
    this.#opened = opened;
    this.#cursor = new SegmentCursor(files, opened.fd, opened.header, offset);
  }

  get cursor(): SegmentCursor {
    return this.#cursor;
  }

  /** The file's bytes from here on are not to be looked at. */
  limit(head: LogPosition): number {
    const { ordinal } = this.segment;
    if (ordinal === head.segment) return head.offset;
    if (ordinal > head.segment) return 0;
    if (this.#size < 0) {
      this.#nextFirst = this.#segments.after(ordinal, head.segment)?.firstNumber ?? Number.POSITIVE_INFINITY;
      this.#size = this.#files.size(this.#opened.fd);
    }
    return this.#size;
  }

  /** Goes on to the next block. `head`: where the writer is. */
  step(head: LogPosition): ReturnType<SegmentCursor["step"]> {
    const cursor = this.#cursor;
    const step = cursor.step(this.limit(head));
    if (step !== "block") return step;
    if (cursor.block.firstNumber >= this.#nextFirst) {
      cursor.moveTo(cursor.offset);
      return "end";
    }
    this.blockEnd = endOfNumbers(cursor.block, cursor.bytes, cursor.at);
    return step;
  }

  /** Goes to where a block begins that is not behind the one with the message. Never back. */
  near(number: number): void {
    const { fd, header } = this.#opened;
    const offset = this.#segments.offsetBefore(this.segment, fd, header, number);
    if (offset > this.#cursor.next) this.#cursor.moveTo(offset);
  }

  /** After a read has failed: forgets what was read, and that it failed. */
  again(offset: number): void {
    this.#cursor = new SegmentCursor(this.#files, this.#opened.fd, this.#opened.header, offset);
  }

  close(): void {
    this.#files.close(this.#opened.fd);
  }
}
