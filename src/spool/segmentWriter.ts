// One open segment: appends blocks, keeps its index, and seals it.
//
// A segment may be written over the file of a sealed one that nobody needs any more: the pages that the system keeps of it are
// filled again, which takes half the time of new ones (see spares.ts). What the file had before must not be taken for blocks:
// - Its blocks were summed up with another seed. A CRC of the same bytes with another seed is another CRC, for certain.
// - All of it is of one segment: a sealed file ends with its index.
// - Behind the last block there are zeros, as many as a header has: there the log ends, and nothing is torn.
// - Before the file gets its new name it has its new header, and no footer any more.
import { randomBytes } from "node:crypto";
import { codeOf, type Files, quietly, readAll, writeAll } from "./files.ts";
import { BLOCK_HEADER, BlockHeader, decodeSegmentHeader, encodeSegmentHeader, SEGMENT_HEADER } from "./format.ts";
import { encodeIndex, INDEX_FOOTER, IndexBuilder, type SegmentIndex } from "./segmentIndex.ts";

/** Zeros are written up to the ends of pages, so that the system need not read what it does not keep. */
const PAGE = 4096;
const ZEROS = Buffer.alloc(2 * PAGE);

/** The name of a segment's file: ten digits, so that the order of names is that of the segments. */
export function segmentName(ordinal: number): string {
  return `${String(ordinal).padStart(10, "0")}.segment`;
}

/** The name of a file that may be written over. It is no segment. */
export function spareName(ordinal: number): string {
  return `${String(ordinal).padStart(10, "0")}.spare`;
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
  /** Where the bytes of an old segment end; 0 in a new file. */
  #old: number;
  /** Those from #offset up to here are zeros. */
  #clean: number;
  #state: "open" | "sealed" | "closed" = "open";

  private constructor(files: Files, start: SegmentStart, path: string, fd: number, seed: number, old = 0) {
    this.#files = files;
    this.#index = new IndexBuilder(start.firstNumber);
    this.path = path;
    this.ordinal = start.ordinal;
    this.firstNumber = start.firstNumber;
    this.fd = fd;
    this.seed = seed;
    this.#old = old;
    this.#clean = Math.min(old, PAGE);
  }

  /**
   * Begins it in the file of a sealed segment that is at `spare` now, and has its name then. Throws what the file system throws,
   * or that it is none; then nothing has the new name.
   */
  static over(files: Files, start: SegmentStart, spare: string, now: number = Date.now()): SegmentWriter {
    const path = `${start.directory}/${segmentName(start.ordinal)}`;
    if (files.exists(path)) throw Object.assign(new Error(`EEXIST: ${path} exists`), { code: "EEXIST" });
    const fd = files.open(spare, "r+");
    try {
      const before = Buffer.alloc(SEGMENT_HEADER);
      readAll(files, fd, before, 0, SEGMENT_HEADER, 0);
      const old = files.size(fd) - INDEX_FOOTER;
      const oldSeed = decodeSegmentHeader(before)?.seed;
      if (oldSeed === undefined || old < SEGMENT_HEADER + BLOCK_HEADER) throw new Error(`${spare} was no segment`);
      const random = randomBytes(4).readUInt32BE();
      const seed = random === oldSeed ? (random ^ 1) >>> 0 : random;
      files.truncate(fd, old);
      const page = Buffer.alloc(Math.min(old, PAGE));
      encodeSegmentHeader({ ...start, createdAt: now, seed }).copy(page);
      writeAll(files, fd, page, 0, page.length, 0);
      files.rename(spare, path);
      return new SegmentWriter(files, start, path, fd, seed, old);
    } catch (error) {
      files.close(fd);
      throw error;
    }
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
      quietly(() => files.remove(path));
      throw error;
    }
    return new SegmentWriter(files, start, path, fd, seed);
  }

  /** Throws when the disk does not take `bytes` bytes more. Leaves nothing of them; before the first block only. */
  probe(bytes: number): void {
    writeAll(this.#files, this.fd, Buffer.alloc(bytes), 0, bytes, this.#offset);
    this.#files.truncate(this.fd, this.#offset);
  }

  /** Where the next block goes while it is open, and then the file's length. */
  get offset(): number {
    return this.#offset;
  }

  /** The file's length. */
  get fileBytes(): number {
    return Math.max(this.#offset, this.#old);
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
    if (this.#old > dataEnd) {
      this.#files.truncate(this.fd, dataEnd);
      this.#old = 0;
    }
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
      if (this.#offset < this.#old) this.#writeOver(bytes, start, end);
      else writeAll(this.#files, this.fd, bytes, start, end, this.#offset);
    } catch (error) {
      if (codeOf(error) === "EIO") this.broken = true;
      this.#soiled = true;
      this.#clean = this.#offset;
      quietly(() => {
        this.#files.truncate(this.fd, this.#offset);
        this.#soiled = false;
        this.#old = 0;
      });
      throw error;
    }
    this.#offset += end - start;
  }

  /** The header comes last: until it is there, zeros are, and what was not written whole does not look like damage. */
  #writeOver(bytes: Buffer, start: number, end: number): void {
    this.#clear(this.#offset + end - start);
    const payload = start + BLOCK_HEADER;
    writeAll(this.#files, this.fd, bytes, payload, end, this.#offset + BLOCK_HEADER);
    writeAll(this.#files, this.fd, bytes, start, payload, this.#offset);
  }

  /** Has zeros behind `end`, where the next block is to end, if an old segment goes on there. */
  #clear(end: number): void {
    if (end >= this.#old || end + BLOCK_HEADER <= this.#clean) return;
    const from = Math.max(this.#clean, this.#offset, end - (end % PAGE));
    const to = Math.min(this.#old, Math.ceil((end + BLOCK_HEADER) / PAGE) * PAGE);
    if (to > from) writeAll(this.#files, this.fd, ZEROS, 0, to - from, from);
    this.#clean = to;
  }
}
