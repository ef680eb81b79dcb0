// Reads the blocks of a segment one after the other, past whatever is damaged.
import { codeOf, type Files, readAll } from "./files.ts";
import {
  BLOCK_HEADER,
  BLOCK_MAGIC,
  BlockHeader,
  BlockKind,
  decodeSegmentHeader,
  SEGMENT_HEADER,
  type SegmentHeader,
} from "./format.ts";
import { readInt64, writeUint32 } from "./integers.ts";

const MAGIC = Buffer.alloc(4);
writeUint32(MAGIC, 0, BLOCK_MAGIC);

/** Bytes read at a time. A larger block gets memory of its own, until the next is read. */
const CHUNK = 2 ** 20;
/** A segment that has no more left than one of these is read with no more memory than that. */
const SMALL_CHUNKS = [2 ** 12, 2 ** 16];
/**
 * Behind damage, so far is looked for a good block: further than the largest block reaches, and not to the end of a file that
 * damage has made a terabyte long.
 */
const FAR = 2 ** 30 + 2 ** 20;
/** When a read fails, it is tried again in pieces of this size, so that one bad sector costs no more than its block. */
const PAGE = 4096;

/** Why a file is no segment that can be read. */
export interface SegmentProblem {
  /** "short": its header was never written whole. "damaged": its header is not one. "unreadable": the system refused. */
  kind: "short" | "damaged" | "unreadable";
  message: string;
  /** Of the system's error; "" without one. */
  code: string;
}

export type OpenedSegment = { fd: number; header: SegmentHeader; size: number } | { problem: SegmentProblem };

/** Opens a segment for reading. The descriptor is the caller's to close. Never throws. */
export function openSegment(files: Files, path: string): OpenedSegment {
  let fd = -1;
  try {
    fd = files.open(path, "r");
    const size = files.size(fd);
    const bytes = Buffer.alloc(SEGMENT_HEADER);
    const end = readAll(files, fd, bytes, 0, SEGMENT_HEADER, 0);
    const header = decodeSegmentHeader(bytes.subarray(0, end));
    if (header !== undefined) return { fd, header, size };
    files.close(fd);
    const kind = end < SEGMENT_HEADER ? "short" : "damaged";
    const message = `${path}: the header of the segment is ${kind === "short" ? "cut" : kind}`;
    return { problem: { kind, message, code: "" } };
  } catch (error) {
    if (fd >= 0) files.close(fd);
    const message = error instanceof Error ? error.message : String(error);
    return { problem: { kind: "unreadable", message: `${path}: ${message}`, code: codeOf(error) } };
  }
}

const SEGMENT_NAME = /^(\d{10})\.segment$/;
/** Whatever is called more is not one of ours, and must not have the next one called more still: an ordinal is a uint32. */
export const LAST_ORDINAL = 4_000_000_000;

/** The segments in a directory, by their names, ascending. Throws what the file system throws. */
export function listSegments(files: Files, directory: string): { ordinal: number; path: string }[] {
  return files
    .list(directory)
    .flatMap((name) => {
      const ordinal = SEGMENT_NAME.exec(name)?.[1];
      if (ordinal === undefined || Number(ordinal) > LAST_ORDINAL) return [];
      return [{ ordinal: Number(ordinal), path: `${directory}/${name}` }];
    })
    .sort((a, b) => a.ordinal - b.ordinal);
}

/** "block": a good one. "damage": bytes that are none, with a good one behind them. "end": nothing good is left. */
export type Step = "block" | "damage" | "end";

/**
 * A place in a segment, moved forward by `next`. Whatever is in the file, it ends; only blocks whose checksum holds come
 * out. It reads nothing at or behind the limit it is given, so the file may be written to there meanwhile.
 */
export class SegmentCursor {
  /** After "block": what its header says. */
  readonly block = new BlockHeader();
  /** After "block": it lies here, at `at`, until the next call. */
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  /** After "block": where it begins in the file. After "damage": [offset, next) are the damaged bytes. */
  offset: number;
  /** Where it goes on; after "end" where the last good block (or the damage before it) ends. */
  next: number;
  /** After "end": there are bytes left that are no block, and do not begin with zeros. */
  torn = false;
  /** After "end": it ended before the index of a sealed segment. */
  sealed = false;
  /** A read failed somewhere: what counts as damage may be whole on the disk, so it must not be overwritten or cut. */
  unreadable = false;
  readonly #files: Files;
  readonly #fd: number;
  readonly #seed: number;
  readonly #firstNumber: number;
  #chunk: Buffer | undefined;
  /** #window[0, #have) is the file from #start on. It is #chunk, or larger for one large block. */
  #window: Buffer = this.bytes;
  #start = 0;
  #have = 0;

  /** Begins at the block (or damage) at byte `from` of the file. */
  constructor(files: Files, fd: number, header: SegmentHeader, from: number = SEGMENT_HEADER) {
    this.#files = files;
    this.#fd = fd;
    this.#seed = header.seed;
    this.#firstNumber = header.firstNumber;
    this.offset = from;
    this.next = from;
  }

  /** Goes on to the next block below byte `limit` of the file. After "end" it may be called again with a larger limit. */
  step(limit: number): Step {
    const offset = this.next;
    this.offset = offset;
    this.torn = false;
    this.sealed = false;
    if (offset >= limit) return "end";
    if (this.#isBlock(offset, limit, false)) return this.#arrive(offset);
    const rest = this.#isRest(offset, limit);
    const found = this.#search(offset + 1, Math.min(limit, offset + FAR));
    if (found < 0) {
      this.torn = !rest;
      return "end";
    }
    this.next = found;
    return "damage";
  }

  /** Goes on from another place; what was read so far need not be read again if it is near. */
  moveTo(offset: number): void {
    this.next = offset;
  }

  /** Gives the memory back. It may go on. */
  rest(): void {
    this.bytes = this.#window = Buffer.alloc(0);
    this.#chunk = undefined;
    this.#have = 0;
  }

  #arrive(offset: number): Step {
    if (this.block.kind === BlockKind.Index) {
      this.sealed = true;
      return "end";
    }
    this.bytes = this.#window;
    this.at = offset - this.#start;
    this.next = offset + this.block.size;
    return "block";
  }

  /**
   * Whether a block begins at `offset`, ends at or before `limit` and is as it was written. It is in the window then.
   * Whoever writes messages may write any magic and length, so in a search (`doubted`), and before more is read for it,
   * the length is not believed until the header's own check holds: that cannot be forged.
   */
  #isBlock(offset: number, limit: number, doubted: boolean): boolean {
    const block = this.block;
    if (limit - offset < BLOCK_HEADER) return false;
    this.#load(offset, BLOCK_HEADER, limit);
    let at = offset - this.#start;
    const state = block.read(this.#window, at, this.#have);
    if (state === "bad" || this.#have - at < BLOCK_HEADER || block.size > limit - offset) return false;
    if ((doubted || state === "short") && !block.verifyHeader(this.#window, at, this.#seed)) return false;
    if (state === "whole") return block.verify(this.#window, at, this.#seed);
    this.#load(offset, block.size, limit);
    at = offset - this.#start;
    return block.read(this.#window, at, this.#have) === "whole" && block.verify(this.#window, at, this.#seed);
  }

  /** Zeros instead of a header: what is behind them is an old segment's, whose file was written over. */
  #isRest(offset: number, limit: number): boolean {
    const length = Math.min(BLOCK_HEADER, limit - offset);
    this.#load(offset, length, limit);
    const at = offset - this.#start;
    for (let byte = at; byte < at + length; byte++) if (byte >= this.#have || this.#window[byte] !== 0) return false;
    return true;
  }

  /** Where the next good block begins, at `from` or behind it; -1 when there is none. */
  #search(from: number, limit: number): number {
    let offset = from;
    while (limit - offset >= BLOCK_HEADER) {
      this.#load(offset, BLOCK_HEADER, limit);
      const found = this.#window.indexOf(MAGIC, offset - this.#start);
      if (found < 0 || found > this.#have - MAGIC.length) {
        const end = this.#start + this.#have;
        if (end - MAGIC.length < offset) return -1; // the file is shorter than it said
        offset = end - MAGIC.length + 1;
        continue;
      }
      offset = this.#start + found;
      if (!this.#isOlder(found) && this.#isBlock(offset, limit, true)) return offset;
      offset++;
    }
    return -1;
  }

  /** It would have a lower number than the segment's: so has what is left of an old one, and a checksum costs much more. */
  #isOlder(at: number): boolean {
    return at + BLOCK_HEADER <= this.#have && readInt64(this.#window, at + 24) < this.#firstNumber;
  }

  /** Has [offset, offset + length) of the file in the window, as far as it exists. */
  #load(offset: number, length: number, limit: number): void {
    const known = offset >= this.#start && offset <= this.#start + this.#have;
    if (known && offset + length <= this.#start + this.#have) return;
    const window = this.#windowOf(length, limit - offset);
    let have = 0;
    if (known) have = this.#window.copy(window, 0, offset - this.#start, this.#have);
    this.#window = window;
    this.#start = offset;
    this.#have = this.#read(window, have, Math.min(window.length, limit - offset), offset + have);
  }

  /** Memory for `length` bytes at least, and as many more of the `left` ones as are read at a time. */
  #windowOf(length: number, left: number): Buffer {
    if (length > CHUNK) return Buffer.allocUnsafeSlow(length);
    // Most held logs are small, and there may be many of them.
    const size = SMALL_CHUNKS.find((each) => left <= each && length <= each) ?? Math.min(CHUNK, Math.max(length, left));
    if (this.#chunk === undefined || this.#chunk.length < size) this.#chunk = Buffer.allocUnsafeSlow(size);
    return this.#chunk;
  }

  #read(window: Buffer, start: number, end: number, position: number): number {
    try {
      return readAll(this.#files, this.#fd, window, start, end, position);
    } catch {
      this.unreadable = true;
    }
    for (let at = start; at < end; ) {
      // The pieces are those of the file, as sectors are.
      const pieceEnd = Math.min(end, at + PAGE - ((position + at - start) % PAGE));
      try {
        const read = readAll(this.#files, this.#fd, window, at, pieceEnd, position + at - start);
        if (read < pieceEnd) return read;
      } catch {
        window.fill(0, at, pieceEnd);
      }
      at = pieceEnd;
    }
    return end;
  }
}

export interface SegmentScan {
  files: Files;
  fd: number;
  header: SegmentHeader;
  /** Where a block begins; behind the header unless given. */
  from?: number;
  /** The end of the file unless given. */
  end?: number;
  /** Takes a good block, which lies at `at` of `bytes` during the call, and at `offset` of the file. */
  visit(block: BlockHeader, bytes: Buffer, at: number, offset: number): void;
  /** Takes bytes [from, to) of the file that are no block, and have a good one behind them. */
  damaged(from: number, to: number): void;
}

export interface ScanResult {
  /** Where the last good block ends; in a sealed segment, where its index begins. */
  end: number;
  /** Behind `end` are bytes that are neither a block nor an index. */
  torn: boolean;
  /** The index follows. */
  sealed: boolean;
  /** A read failed: see `SegmentCursor.unreadable`. */
  unreadable: boolean;
}

/** Reads all of a segment. */
export function scanSegment(scan: SegmentScan): ScanResult {
  const cursor = new SegmentCursor(scan.files, scan.fd, scan.header, scan.from);
  const limit = scan.end ?? scan.files.size(scan.fd);
  for (let step = cursor.step(limit); step !== "end"; step = cursor.step(limit)) {
    if (step === "block") scan.visit(cursor.block, cursor.bytes, cursor.at, cursor.offset);
    else scan.damaged(cursor.offset, cursor.next);
  }
  const { next, torn, sealed, unreadable } = cursor;
  return { end: next, torn, sealed, unreadable };
}
