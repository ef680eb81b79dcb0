// Finds the segments of one log at a start: reads headers and indexes, and blocks only where there is no index.
import { FrameFault, FrameReader } from "../wire/frame.ts";
import type { LogPosition } from "./checkpoint.ts";
import { type Files, readAll, writeAll } from "./files.ts";
import { BLOCK_HEADER, BlockHeader, BlockKind, endOfNumbers, SEGMENT_HEADER, type SegmentHeader } from "./format.ts";
import { repairHeader } from "./headerRepair.ts";
import type { SegmentInfo } from "./logSegments.ts";
import { setAside, setFileAside } from "./quarantine.ts";
import { listSegments, openSegment, type SegmentProblem, scanSegment } from "./scan.ts";
import { encodeIndex, IndexBuilder, readIndex } from "./segmentIndex.ts";

/** Something in the data directory that was not as it should be, and what it led to. */
export interface RecoveryProblem {
  path: string;
  /** Bytes [from, to) of the file. */
  from: number;
  to: number;
  /** For people. */
  why: string;
}

export interface SegmentSearch {
  files: Files;
  directory: string;
  quarantine: string;
  /** For a header that has to be made again. */
  directoryId: string;
  /** Where to begin in the last segment, when it has no index: what is before is known. */
  from: LogPosition | undefined;
  /** Whether to cut, mend and set aside. Without, nothing in the directory is changed. */
  repair: boolean;
  onProblem: (problem: RecoveryProblem) => void;
  /** A block was read, with its session ("" for none): only where there is no index. */
  onBlock: (block: BlockHeader, session: string) => void;
}

export interface FoundSegments {
  segments: SegmentInfo[];
  /** The number behind the last message found; 0 when there is none. */
  end: number;
  /** The number behind the last message that a damaged block at the end says it had; 0 when there is none. */
  claimedEnd: number;
  /** The largest ordinal of any file, whatever is in it; 0 when there is none. */
  lastOrdinal: number;
  /** Of the newest header. */
  directoryId: string | undefined;
  /** Some file of the log could not be used. */
  incomplete: boolean;
}

/** Of a damaged end of the log, so much is looked at. */
const MAX_TAIL = 64 * 1024 * 1024;

/** Throws only what listing the directory throws. */
export function findSegments(search: SegmentSearch): FoundSegments {
  const { files, directory } = search;
  const listed = listSegments(files, directory);
  const lastOrdinal = listed.at(-1)?.ordinal ?? 0;
  const found: FoundSegments = {
    segments: [],
    end: 0,
    claimedEnd: 0,
    lastOrdinal,
    directoryId: undefined,
    incomplete: false,
  };
  for (const { ordinal, path } of listed) {
    const before = found.segments.at(-1);
    const opened = openOrRepair(search, ordinal, path, before?.end);
    if (opened === undefined) {
      found.incomplete = true;
      continue;
    }
    const { fd, header, size } = opened;
    try {
      found.directoryId = header.directoryId;
      const { firstNumber, previousEnd } = header;
      const index = readIndex(files, fd, header);
      if (index !== undefined) {
        const { end, messages } = index;
        found.segments.push({ ordinal, path, size, firstNumber, previousEnd, end, messages, sealed: true, index });
      } else {
        found.segments.push(scan(search, { ordinal, path, fd, header, size, last: ordinal === lastOrdinal }, found));
      }
    } finally {
      files.close(fd);
    }
    found.end = Math.max(found.end, found.segments.at(-1)?.end ?? 0);
  }
  return found;
}

type Opened = Extract<ReturnType<typeof openSegment>, { fd: number }>;

function openOrRepair(search: SegmentSearch, ordinal: number, path: string, previousEnd: number | undefined) {
  const { files, directoryId, quarantine, repair, onProblem } = search;
  const opened = openSegment(files, path);
  if (!("problem" in opened)) return opened;
  const { problem } = opened;
  const size = sizeOf(files, path);
  const tell = (why: string, to: number) => onProblem({ path, from: 0, to, why });
  if (!repair || problem.kind === "unreadable") {
    tell(describe(problem), problem.kind === "unreadable" ? size : SEGMENT_HEADER);
    return undefined;
  }
  if (problem.kind === "damaged") {
    setAside(files, quarantine, path, 0, SEGMENT_HEADER);
    if (repairHeader(files, path, { ordinal, previousEnd, directoryId })) {
      const again = openSegment(files, path);
      if (!("problem" in again)) {
        tell("the header was damaged, and was made again from the blocks", SEGMENT_HEADER);
        return again;
      }
    }
  }
  // A file that ends in its header was just being begun: there is nothing in it.
  const aside = size > 0 && setFileAside(files, quarantine, path, size);
  if (!aside && size === 0) removeQuietly(files, path);
  else tell(`${describe(problem)}; ${aside ? "it was set aside" : "it could not be set aside"}`, size);
  return undefined;
}

interface Unsealed extends Opened {
  ordinal: number;
  path: string;
  last: boolean;
}

/** Reads the blocks of a segment without an index, cuts what is torn, and writes the index that is missing. */
function scan(search: SegmentSearch, segment: Unsealed, found: FoundSegments): SegmentInfo {
  const { files, from, repair, quarantine, onProblem, onBlock } = search;
  const { ordinal, path, fd, header, last } = segment;
  let { size } = segment;
  const partly = last && from?.segment === ordinal && from.offset > SEGMENT_HEADER && from.offset <= size;
  const start = partly ? from.offset : SEGMENT_HEADER;
  const builder = new IndexBuilder(header.firstNumber);
  let end = partly ? Math.max(from.number, header.firstNumber) : header.firstNumber;
  const result = scanSegment({
    files,
    fd,
    header,
    from: start,
    visit(block, bytes, at, offset) {
      end = Math.max(end, endOfNumbers(block, bytes, at));
      if (!partly) builder.add(block, bytes, at, offset);
      onBlock(block, block.session(bytes, at));
    },
    damaged: () => {}, // told of when it is read
  });
  if (result.torn) {
    found.claimedEnd = Math.max(found.claimedEnd, claimedEnd(files, path, header, result.end, end));
  }
  // An index that its footer does not point to is as good as none.
  if (result.torn || result.sealed) {
    const why = result.sealed ? "the index is damaged" : "the end of the log is cut or damaged";
    if (!repair || result.unreadable) {
      onProblem({ path, from: result.end, to: size, why });
    } else {
      setAside(files, quarantine, path, result.end, size);
      const cut = truncate(files, path, result.end);
      onProblem({ path, from: result.end, to: size, why: cut ? `${why}; it was cut off and set aside` : why });
      if (cut) size = result.end;
    }
  }
  const info = { ordinal, path, firstNumber: header.firstNumber, previousEnd: header.previousEnd, end };
  const messages = partly ? end - header.firstNumber : builder.messages;
  // Nothing comes behind it any more, so the next start need not read it again.
  const complete = repair && !partly && !result.unreadable && size === result.end && builder.messages > 0;
  const sealedSize = complete ? seal(files, path, builder, header, size) : size;
  if (sealedSize === size) return { ...info, size: result.end, messages, sealed: false };
  return { ...info, size: sealedSize, messages, sealed: true, index: builder.build() };
}

/**
 * The number behind the last message of the damaged block at `at`, behind message `end` - 1, as far as its header is good or
 * its frames are. 0 for one that is cut: it was being written when the process ended, and nobody was told that it was there.
 */
function claimedEnd(files: Files, path: string, { seed }: SegmentHeader, at: number, end: number): number {
  const bytes = readTail(files, path, at);
  const block = new BlockHeader();
  const state = block.read(bytes, 0, bytes.length);
  if (state === "whole" && block.verifyHeader(bytes, 0, seed))
    return block.kind === BlockKind.Messages ? block.firstNumber + block.count : 0;
  if (state === "short" && block.verifyHeader(bytes, 0, seed)) return 0;
  const frame = new FrameReader();
  let count = 0;
  let frameAt = BLOCK_HEADER;
  for (; frameAt < bytes.length; frameAt += frame.size, count++)
    if (frame.locate(bytes, frameAt, bytes.length) !== FrameFault.Ok) return 0;
  return frameAt === bytes.length ? end + count : 0;
}

/** The file from `at` on, if it is not more than a block may have; else its beginning. */
function readTail(files: Files, path: string, at: number): Buffer {
  try {
    const fd = files.open(path, "r");
    try {
      const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(files.size(fd) - at, MAX_TAIL)));
      return bytes.subarray(0, readAll(files, fd, bytes, 0, bytes.length, at));
    } finally {
      files.close(fd);
    }
  } catch {
    return Buffer.alloc(0);
  }
}

/** Answers the size of the file with its index, or `size` when it could not be written. */
function seal(files: Files, path: string, builder: IndexBuilder, header: SegmentHeader, size: number): number {
  const bytes = encodeIndex(builder.build(), size, header.seed);
  return change(files, path, (fd) => {
    try {
      writeAll(files, fd, bytes, 0, bytes.length, size);
    } catch (error) {
      files.truncate(fd, size);
      throw error;
    }
  })
    ? size + bytes.length
    : size;
}

function truncate(files: Files, path: string, size: number): boolean {
  return change(files, path, (fd) => files.truncate(fd, size));
}

function change(files: Files, path: string, action: (fd: number) => void): boolean {
  try {
    const fd = files.open(path, "r+");
    try {
      action(fd);
    } finally {
      files.close(fd);
    }
    return true;
  } catch {
    return false;
  }
}

function removeQuietly(files: Files, path: string): void {
  try {
    files.remove(path);
  } catch {}
}

function sizeOf(files: Files, path: string): number {
  try {
    const fd = files.open(path, "r");
    try {
      return files.size(fd);
    } finally {
      files.close(fd);
    }
  } catch {
    return 0;
  }
}

function describe({ kind, message }: SegmentProblem): string {
  switch (kind) {
    case "short":
      return "the segment was only begun";
    case "damaged":
      return "the header of the segment is damaged";
    case "unreadable":
      return message;
  }
}
