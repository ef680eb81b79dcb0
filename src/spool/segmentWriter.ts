// One open segment: appends blocks, keeps its index, and seals it.
import { randomBytes } from "node:crypto";
import { codeOf, type Files, writeAll } from "./files.ts";
import { BlockHeader, encodeSegmentHeader, SEGMENT_HEADER } from "./format.ts";
import { encodeIndex, IndexBuilder, type SegmentIndex } from "./segmentIndex.ts";

/** The name of a segment's file: ten digits, so that the order of names is that of the segments. */
export function segmentName(ordinal: number): string {
  return `${String(ordinal).padStart(10, "0")}.segment`;
}

/** Where a new segment lies, and which numbers it goes on with (see `SegmentHeader`). */
export interface SegmentStart {
  directory: string;
  ordinal: number;
  firstNumber: number;
  previousEnd: number;
  directoryId: string;
}

/**
 * What holds: bytes below `offset` are whole blocks and never change; a block that failed is written over by the next
 * one. It is not for two threads, but others may read what is below `offset`, and sync the file.
 */
export class SegmentWriter {
  readonly path: string;
  readonly ordinal: number;
  readonly firstNumber: number;
  readonly fd: number;
  /** What the checksums of its blocks start with. */
  readonly seed: number;
  /** Set after an EIO, and to be set when a sync failed: what was written is in doubt, so nothing more is to be. */
  broken = false;
  readonly #files: Files;
  readonly #index: IndexBuilder;
  readonly #block = new BlockHeader();
  #offset = SEGMENT_HEADER;
  /** Behind #offset may lie some of a block that failed. */
  #soiled = false;
  #state: "open" | "sealed" | "closed" = "open";

  private constructor(files: Files, start: SegmentStart, path: string, fd: number, seed: number) {
    this.#files = files;
    this.#index = new IndexBuilder(start.firstNumber);
    this.path = path;
    this.ordinal = start.ordinal;
    this.firstNumber = start.firstNumber;
    this.fd = fd;
    this.seed = seed;
  }

  /** Makes the file, which must not exist, in a directory that does. Throws what the file system throws. */
  static create(files: Files, start: SegmentStart, now: number = Date.now()): SegmentWriter {
    const path = `${start.directory}/${segmentName(start.ordinal)}`;
    const seed = randomBytes(4).readUInt32BE();
    const header = encodeSegmentHeader({ ...start, createdAt: now, seed });
    const fd = files.open(path, "wx+");
    try {
      writeAll(files, fd, header, 0, header.length, 0);
    } catch (error) {
      files.close(fd);
      ignoreFailure(() => files.remove(path));
      throw error;
    }
    return new SegmentWriter(files, start, path, fd, seed);
  }

  /** Throws when the disk does not take `bytes` bytes more. Leaves nothing of them; before the first block only. */
  probe(bytes: number): void {
    writeAll(this.#files, this.fd, Buffer.alloc(bytes), 0, bytes, this.#offset);
    this.#files.truncate(this.fd, this.#offset);
  }

  /** The file's length, which is also where the next block goes while it is open. */
  get offset(): number {
    return this.#offset;
  }

  /** Messages in it. */
  get messages(): number {
    return this.#index.messages;
  }

  /** The number behind its last message. */
  get end(): number {
    return this.#index.end;
  }

  get sealed(): boolean {
    return this.#state !== "open";
  }

  /** The index of what was appended so far. */
  index(): SegmentIndex {
    return this.#index.build();
  }

  /**
   * Appends one block, bytes[start, end) with its header (written with this segment's `seed`). Answers where it lies.
   * Throws what the file system throws: then nothing was appended, and the next append goes to the same place.
   */
  append(bytes: Buffer, start: number, end: number): number {
    if (this.#state !== "open" || this.broken) throw new Error(`EBADF: ${this.path} takes nothing more`);
    const block = this.#block;
    if (block.read(bytes, start, end) !== "whole" || block.size !== end - start) {
      throw new RangeError(`what is to be appended to ${this.path} is not one block`);
    }
    const offset = this.#offset;
    this.#write(bytes, start, end);
    this.#index.add(block, bytes, start, offset);
    return offset;
  }

  /** Writes the index behind the last block. Throws what the file system throws, and may be called again then. */
  seal(): SegmentIndex {
    const index = this.index();
    if (this.#state !== "open") return index;
    if (this.broken) throw new Error(`EBADF: ${this.path} takes nothing more`);
    const dataEnd = this.#offset;
    const bytes = encodeIndex(index, dataEnd, this.seed);
    this.#write(bytes, 0, bytes.length);
    try {
      // The footer must be the end of the file.
      if (this.#soiled) this.#files.truncate(this.fd, this.#offset);
    } catch (error) {
      this.#offset = dataEnd;
      throw error;
    }
    this.#state = "sealed";
    return index;
  }

  /** Closes the file, sealed or not. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#files.close(this.fd);
  }

  #write(bytes: Buffer, start: number, end: number): void {
    try {
      writeAll(this.#files, this.fd, bytes, start, end, this.#offset);
    } catch (error) {
      if (codeOf(error) === "EIO") this.broken = true;
      this.#soiled = true;
      ignoreFailure(() => {
        this.#files.truncate(this.fd, this.#offset);
        this.#soiled = false;
      });
      throw error;
    }
    this.#offset += end - start;
  }
}

/** For tidying up after an error that is thrown anyway. */
function ignoreFailure(action: () => void): void {
  try {
    action();
  } catch {
    // The first error says what is wrong.
  }
}
