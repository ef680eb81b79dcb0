// Which segments a log has, and where in them to begin looking for a message.
import type { Files } from "./files.ts";
import { SEGMENT_HEADER, type SegmentHeader } from "./format.ts";
import { type OpenedSegment, openSegment } from "./scan.ts";
import { INDEX_FOOTER, readIndex, type SegmentIndex } from "./segmentIndex.ts";
import { segmentName } from "./segmentWriter.ts";

/** A segment, as a start finds it. */
export interface SegmentInfo {
  /** Milliseconds since the epoch; left out where nobody asks. */
  createdAt?: number;
  ordinal: number;
  path: string;
  /** Bytes of the file. */
  size: number;
  firstNumber: number;
  /** See SegmentHeader. */
  previousEnd: number;
  /** The number behind its last message. */
  end: number;
  messages: number;
  /** It ends in an index. */
  sealed: boolean;
  /** A start leaves its offsets out. */
  index?: SegmentIndex | undefined;
}

/** What must be known of a segment to read it. */
export type LogSegment = Pick<SegmentInfo, "ordinal" | "path" | "firstNumber" | "previousEnd">;

type Offsets = readonly [number: number, offset: number][];

/** Where a block begins is remembered for each so many bytes, as long as the segment has no index that says it. */
const NOTE_EVERY = 65_536;

/** A segment cannot be opened now, for a reason that may pass: too many open files, no permission, a failing disk. */
export class ReadFailure extends Error {
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.name = "ReadFailure";
    this.path = path;
  }
}

export class LogSegments {
  readonly #files: Files;
  readonly #directory: string;
  /** Ascending. */
  readonly #list: LogSegment[] = [];
  /** Of segments without an index, as they were read or written. */
  readonly #notes = new Map<number, [number, number][]>();
  /** Of the segment with an index that was asked for last. */
  #indexed: { ordinal: number; offsets: Offsets } | undefined;
  #discovered = 0;

  constructor(files: Files, directory: string, found: readonly LogSegment[]) {
    this.#files = files;
    this.#directory = directory;
    for (const { ordinal, path, firstNumber, previousEnd } of found)
      this.#list.push({ ordinal, path, firstNumber, previousEnd });
    this.#discovered = this.#list.at(-1)?.ordinal ?? 0;
  }

  all(): readonly LogSegment[] {
    return this.#list;
  }

  pathOf(ordinal: number): string {
    return `${this.#directory}/${segmentName(ordinal)}`;
  }

  /** The writer has begun this one. It may be known already. */
  add(segment: LogSegment): void {
    const { ordinal, path, firstNumber, previousEnd } = segment;
    const at = this.#list.findIndex((known) => known.ordinal >= ordinal);
    if (this.#list[at]?.ordinal === ordinal) return;
    this.#list.splice(at < 0 ? this.#list.length : at, 0, { ordinal, path, firstNumber, previousEnd });
  }

  remove(ordinal: number): void {
    const at = this.#list.findIndex((known) => known.ordinal === ordinal);
    if (at >= 0) this.#list.splice(at, 1);
    this.#notes.delete(ordinal);
    if (this.#indexed?.ordinal === ordinal) this.#indexed = undefined;
  }

  /**
   * The next one behind `ordinal`, if it is not behind `last`, which is the one that is being written. Segments that the
   * writer has not told of yet are looked for. Throws a ReadFailure.
   */
  after(ordinal: number, last: number): LogSegment | undefined {
    this.discover(last);
    const next = this.#list.find((segment) => segment.ordinal > ordinal);
    return next !== undefined && next.ordinal <= last ? next : undefined;
  }

  /** Learns of all that the writer has made, up to the one that is being written. Throws a ReadFailure. */
  discover(last: number): void {
    for (let ordinal = this.#discovered + 1; ordinal <= last; ordinal++) {
      const path = this.pathOf(ordinal);
      if (this.at(ordinal) === undefined && this.#files.exists(path)) {
        const opened = this.open({ ordinal, path, firstNumber: 0, previousEnd: 0 });
        if (opened !== undefined) {
          this.#files.close(opened.fd);
          this.add({ ordinal, path, ...pick(opened.header) });
        }
      }
      this.#discovered = ordinal;
    }
  }

  at(ordinal: number): LogSegment | undefined {
    return this.#list.find((segment) => segment.ordinal === ordinal);
  }

  /** The one that has the message, if any has. */
  holding(number: number): LogSegment | undefined {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#list[middle] as LogSegment).firstNumber <= number) low = middle + 1;
      else high = middle;
    }
    return this.#list[low - 1];
  }

  /** Opens it. Nothing when it is gone, or no segment any more. Throws a ReadFailure. */
  open(segment: LogSegment): Extract<OpenedSegment, { fd: number }> | undefined {
    if (!this.#files.exists(segment.path)) return undefined;
    const opened = openSegment(this.#files, segment.path);
    if (!("problem" in opened)) return opened;
    if (opened.problem.kind === "unreadable") throw new ReadFailure(segment.path, opened.problem.message);
    return undefined;
  }

  /** A block begins there. To be called for blocks in ascending order. */
  note(ordinal: number, firstNumber: number, offset: number): void {
    const notes = this.#notes.get(ordinal);
    if (notes === undefined) this.#notes.set(ordinal, [[firstNumber, offset]]);
    else if (offset >= (notes.at(-1)?.[1] ?? 0) + NOTE_EVERY) notes.push([firstNumber, offset]);
  }

  /** It has an index now, so what was noted is not needed. */
  sealed(ordinal: number): void {
    this.#notes.delete(ordinal);
  }

  /** Where a block begins that is not behind the one with the message: bytes from the beginning of the file. */
  offsetBefore(segment: LogSegment, fd: number, header: SegmentHeader, number: number): number {
    const offsets = this.#notes.get(segment.ordinal) ?? this.#offsetsOf(segment, fd, header);
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((offsets[middle]?.[0] as number) <= number) low = middle + 1;
      else high = middle;
    }
    return offsets[low - 1]?.[1] ?? SEGMENT_HEADER;
  }

  #offsetsOf({ ordinal }: LogSegment, fd: number, header: SegmentHeader): Offsets {
    if (this.#indexed?.ordinal !== ordinal) {
      const index =
        this.#files.size(fd) > SEGMENT_HEADER + INDEX_FOOTER ? readIndex(this.#files, fd, header) : undefined;
      if (index === undefined) return [];
      this.#indexed = { ordinal, offsets: index.offsets };
    }
    return this.#indexed.offsets;
  }
}

function pick({ firstNumber, previousEnd }: SegmentHeader): Pick<LogSegment, "firstNumber" | "previousEnd"> {
  return { firstNumber, previousEnd };
}
