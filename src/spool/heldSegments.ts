// The files of one held log: which there are, and the one that is written to.
import type { LogPosition } from "./checkpoint.ts";
import { readWhole, writeAll } from "./files.ts";
import type { HeldBlock } from "./heldBlock.ts";
import type { HeldCommon } from "./heldCommon.ts";
import type { LogSegment } from "./logSegments.ts";
import { SegmentWriter } from "./segmentWriter.ts";
import { syncNames } from "./syncNames.ts";

/** A segment that a start found. */
export interface RestoredSegment extends LogSegment {
  /** The number behind its last message. */
  end: number;
  /** Bytes of the file. */
  size: number;
  /** When it was begun, which is when its first messages came, about; ms since the epoch. */
  createdAt?: number;
}

/** The files of a log, as a start found them. */
export interface RestoredFiles {
  /** Ascending. */
  segments: readonly RestoredSegment[];
  read: LogPosition;
  /** Where the log ended at the checkpoint: what lies before that is safe from a power cut. */
  head: LogPosition;
  /** Of the next segment to be made. */
  nextOrdinal: number;
}

interface Entry extends LogSegment {
  end: number;
  bytes: number;
  /** Where its blocks end. */
  dataEnd: number;
  /** When its first messages came; ms since the epoch. */
  since: number;
  /** Some of it is not safe from a power cut. */
  dirty: boolean;
  /** A sync failed: another that succeeds means nothing. */
  doubtful: boolean;
}

export class HeldSegments {
  readonly directory: string;
  readonly #common: HeldCommon;
  /** Ascending. */
  #entries: Entry[] = [];
  #writer: SegmentWriter | undefined;
  #ordinal = 0;
  #last = 0;
  #floor: LogPosition = { number: 1, segment: 0, offset: 0 };
  /** There are names that a power cut may take. */
  #newNames = false;

  constructor(common: HeldCommon, directory: string) {
    this.#common = common;
    this.directory = directory;
  }

  /** The highest number in them; 0 when there is none. */
  get last(): number {
    return this.#last;
  }

  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#entries) sum += bytes;
    return sum;
  }

  get oldestAt(): number | undefined {
    return this.#entries[0]?.since;
  }

  get head(): LogPosition {
    const entry = this.#entries.at(-1);
    if (entry === undefined) return { ...this.#floor, number: this.#last + 1 };
    return { number: this.#last + 1, segment: entry.ordinal, offset: entry.dataEnd };
  }

  /** Where the log begins: what was before is removed, but a power cut may bring it back. */
  get floor(): LogPosition {
    return this.#floor;
  }

  /** There are files, or names of some that a power cut may bring back. */
  get known(): boolean {
    return this.#entries.length > 0 || this.#newNames;
  }

  list(): readonly LogSegment[] {
    return this.#entries;
  }

  ordinals(): number[] {
    return this.#entries.map(({ ordinal }) => ordinal);
  }

  isCurrent(ordinal: number): boolean {
    return this.#writer?.ordinal === ordinal;
  }

  /** The first number that a segment may have, and the one behind its last. */
  range(ordinal: number): [first: number, end: number] {
    const entry = this.#entries.find((each) => each.ordinal === ordinal);
    return [entry?.firstNumber ?? 0, entry?.end ?? 0];
  }

  restore({ segments, read, head, nextOrdinal }: RestoredFiles): void {
    if (segments.length === 0) {
      this.#floor = read;
      this.#newNames = true;
    }
    for (const { ordinal, path, firstNumber, previousEnd, end, size, createdAt } of segments) {
      const since = createdAt ?? this.#common.wallClock();
      // What a process left when it died is in the system's memory, and not on the disk for certain: what came behind the
      // last checkpoint, which made the rest safe. There may be thousands of logs.
      const dirty = ordinal > head.segment || (ordinal === head.segment && size > head.offset);
      this.#newNames ||= dirty;
      this.#entries.push({
        ...{ ordinal, path, firstNumber, previousEnd, end },
        ...{ bytes: size, dataEnd: size, since, dirty, doubtful: false },
      });
      this.#common.add(size);
      this.#last = Math.max(this.#last, end - 1);
    }
    this.#ordinal = nextOrdinal - 1;
  }

  /** Writes the block. Answers the segment, if it had to begin one. Throws what the file system throws. */
  append(block: HeldBlock): LogSegment | undefined {
    const { numbers, length } = block;
    let writer = this.#writer;
    if (
      writer !== undefined &&
      (writer.broken || (writer.messages > 0 && writer.offset + length > this.#common.segment))
    ) {
      this.closeCurrent();
      writer = undefined;
    }
    const begun = writer === undefined ? this.#begin(numbers.first, block.receivedAt) : undefined;
    writer = this.#writer as SegmentWriter;
    const entry = this.#entries.at(-1) as Entry;
    block.seal(writer.seed);
    writer.append(block.bytes, 0, length);
    this.#common.add(length);
    entry.bytes += length;
    entry.dataEnd = writer.offset;
    entry.end = numbers.last + 1;
    entry.dirty = true;
    this.#last = numbers.last;
    return begun;
  }

  /** Nothing more is written to the current one. With an index, unless nothing of it is wanted. */
  closeCurrent(seal = true): void {
    const writer = this.#writer;
    const entry = this.#entries.at(-1);
    if (writer === undefined || entry === undefined) return;
    this.#writer = undefined;
    try {
      if (seal && !writer.broken) writer.seal();
    } catch {
      // It is read block by block then.
    }
    this.#common.add(writer.offset - entry.bytes);
    entry.bytes = writer.offset;
    entry.dirty = true;
    writer.close();
  }

  /** Removes it from the disk. Where the disk refuses, it stays among the others, and can be removed again. */
  remove(ordinal: number): void {
    const index = this.#entries.findIndex((entry) => entry.ordinal === ordinal);
    const entry = this.#entries[index];
    if (entry === undefined) return;
    if (this.isCurrent(ordinal)) this.closeCurrent(false);
    const { files, parts } = this.#common;
    try {
      files.remove(entry.path);
    } catch (error) {
      parts.onProblem?.(this.directory, entry.path, error instanceof Error ? error.message : String(error));
      return;
    }
    this.#newNames = true;
    const { number, segment, offset } = this.head;
    this.#entries.splice(index, 1);
    this.#common.add(-entry.bytes);
    if (this.#entries.length > 0) return;
    this.#floor = { number, segment, offset };
    this.#last = 0;
    try {
      // A copy that was begun, perhaps.
      for (const name of files.list(this.directory)) files.remove(`${this.directory}/${name}`);
      files.removeDirectory(this.directory);
    } catch {
      // It is in nobody's way.
    }
  }

  /**
   * Makes all that was written until now safe from a power cut. `rewritten` is called when a file was replaced. After a
   * sync has failed, the pages may be gone from the disk's sight: they are written again, to a new file under that name.
   * Answers whether the directory above has to be synced too, or `namesInDoubt` to be called.
   */
  async sync(rewritten: () => void): Promise<boolean> {
    for (const entry of [...this.#entries]) {
      if (!entry.dirty) continue;
      entry.dirty = false;
      try {
        entry.doubtful ||= !(await this.#isSynced(entry));
      } catch (error) {
        entry.dirty = true;
        throw error;
      }
      if (!entry.doubtful || !this.#entries.includes(entry)) continue;
      if (this.isCurrent(entry.ordinal)) this.closeCurrent();
      entry.dirty = true;
      await this.#rewrite(entry);
      entry.dirty = entry.doubtful = false;
      rewritten();
    }
    if (!this.#newNames) return false;
    this.#newNames = false;
    const { files } = this.#common.parts;
    try {
      if (this.#entries.length > 0 || files.exists(this.directory)) await syncNames(files, this.directory);
    } catch (error) {
      this.#newNames = true;
      throw error;
    }
    return true;
  }

  namesInDoubt(): void {
    this.#newNames = true;
  }

  async #isSynced({ path }: Entry): Promise<boolean> {
    const { files } = this.#common.parts;
    const fd = files.open(path, "r+");
    try {
      await files.sync(fd);
      return true;
    } catch {
      return false;
    } finally {
      files.close(fd);
    }
  }

  async #rewrite({ path, bytes }: Entry): Promise<void> {
    const { files } = this.#common.parts;
    const content = readWhole(files, path, bytes);
    const copy = `${path}.copy`;
    const fd = files.open(copy, "w+");
    try {
      writeAll(files, fd, content, 0, content.length, 0);
      await files.sync(fd);
      files.rename(copy, path);
      this.#newNames = true;
    } finally {
      files.close(fd);
    }
  }

  #begin(firstNumber: number, since: number): LogSegment {
    const { files, parts } = this.#common;
    files.makeDirectory(this.directory);
    const ordinal = this.#ordinal + 1;
    const previousEnd = this.#last === 0 ? firstNumber : this.#last + 1;
    const { directory } = this;
    const start = { directory, ordinal, firstNumber, previousEnd, directoryId: parts.directoryId };
    // A file that cannot be made may be there all the same.
    this.#ordinal = ordinal;
    const writer = this.#create(start);
    this.#writer = writer;
    this.#newNames = true;
    const segment = { ordinal, path: writer.path, firstNumber, previousEnd };
    this.#common.add(writer.offset);
    this.#entries.push({
      ...segment,
      ...{ end: firstNumber, bytes: writer.offset, dataEnd: writer.offset, since, dirty: true, doubtful: false },
    });
    return segment;
  }

  #create(start: Parameters<typeof SegmentWriter.create>[1]): SegmentWriter {
    try {
      return SegmentWriter.create(this.#common.files, start, this.#common.wallClock());
    } catch (error) {
      try {
        if (this.#entries.length === 0) this.#common.files.removeDirectory(this.directory);
      } catch {
        // An empty directory is in nobody's way.
      }
      throw error;
    }
  }
}
