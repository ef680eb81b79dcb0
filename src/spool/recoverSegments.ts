// Finds the segments of one log at a start: reads headers and indexes, and blocks only where there is no index.
import { FrameFault, FrameReader } from "../wire/frame.ts";
import type { LogState } from "./checkpoint.ts";
import { type Files, quietly, readAll, sizeOrNothing } from "./files.ts";
import { BLOCK_HEADER, BlockHeader, BlockKind, endOfNumbers, SEGMENT_HEADER, type SegmentHeader } from "./format.ts";
import { repairHeader } from "./headerRepair.ts";
import { walkHeaders } from "./headerWalk.ts";
import type { SegmentInfo } from "./logSegments.ts";
import { setAside, setFileAside } from "./quarantine.ts";
import { type Misnamed, rightNames } from "./recoverNames.ts";
import { listSegments, openSegment, type SegmentProblem, scanSegment } from "./scan.ts";
import { readIndex } from "./segmentIndex.ts";

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
  /** Where the log stood at the checkpoint. */
  state: LogState | undefined;
  /** Its numbers have gaps: it is the log of a held topic. */
  gaps: boolean;
  /** Whether to cut, mend and set aside. Without, nothing in the directory is changed. */
  repair: boolean;
  onProblem: (problem: RecoveryProblem) => void;
  /** Bytes [from, to) that are no block and have a good one behind them: set aside when they are read, which may be much later. */
  onDamage?: (path: string, from: number, to: number) => void;
  /** A file cannot be opened now, and may be later: see `passes`. */
  onRefused?: (why: string) => void;
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
  const misnamed: Misnamed[] = [];
  const found = findNamed(search, misnamed);
  if (misnamed.length === 0 || !search.repair) return found;
  rightNames(search.files, search.directory, search.quarantine, misnamed, search.onProblem);
  const again = findNamed(search, []);
  return { ...again, incomplete: again.incomplete || found.incomplete };
}

function findNamed(search: SegmentSearch, misnamed: Misnamed[]): FoundSegments {
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
    if (header.ordinal !== ordinal) {
      files.close(fd);
      misnamed.push({ path, ordinal: header.ordinal, size });
      continue;
    }
    try {
      found.directoryId = header.directoryId;
      const { firstNumber, previousEnd, createdAt } = header;
      const index = readIndex(files, fd, header);
      if (index !== undefined) {
        const { end, messages } = index;
        // A backlog has thousands of segments, and each of them a thousand offsets.
        const kept = { ...index, offsets: [] };
        found.segments.push({
          ordinal,
          path,
          size,
          firstNumber,
          previousEnd,
          createdAt,
          end,
          messages,
          sealed: true,
          index: kept,
        });
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
  const { files, directoryId, quarantine, repair, onProblem, onRefused } = search;
  const opened = openSegment(files, path);
  if (!("problem" in opened)) return opened;
  const { problem } = opened;
  const size = sizeOrNothing(files, path);
  const tell = (why: string, to: number) => onProblem({ path, from: 0, to, why });
  if (!repair || problem.kind === "unreadable") {
    if (passes(problem.code)) onRefused?.(problem.message);
    const aside = repair && NO_FILE.includes(problem.code) && setFileAside(files, quarantine, path, size);
    tell(
      aside ? `${problem.message}; it was set aside` : describe(problem),
      problem.kind === "unreadable" ? size : SEGMENT_HEADER,
    );
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
  if (!aside && size === 0) quietly(() => files.remove(path));
  else tell(`${describe(problem)}; ${aside ? "it was set aside" : "it could not be set aside"}`, size);
  return undefined;
}

/** A directory, a FIFO, a socket or a symbolic link to nothing, in a file's place. */
const NO_FILE = ["EISDIR", "ENXIO", "ESPIPE", "ELOOP", "ENOENT"];

/** Whether what the system refused may be had when somebody puts permissions right, or when others need less. */
export function passes(code: string): boolean {
  return ["EACCES", "EPERM", "EMFILE", "ENFILE", "ENOMEM"].includes(code);
}

interface Unsealed extends Opened {
  ordinal: number;
  path: string;
  last: boolean;
}

/**
 * Finds what is in a segment without an index, and cuts what is torn. Headers are enough for blocks that were known to be
 * there: behind the place where the log ended at the checkpoint, and in held logs, the blocks are read.
 */
function scan(search: SegmentSearch, segment: Unsealed, found: FoundSegments): SegmentInfo {
  const { files, state, gaps, repair, quarantine, onProblem, onBlock } = search;
  const { ordinal, path, fd, header, last, size } = segment;
  const { firstNumber, previousEnd, createdAt } = header;
  const read = state?.read;
  const here = last && !gaps && read?.segment === ordinal && firstNumber <= read.number;
  const partly = here && read.offset > SEGMENT_HEADER && read.offset <= size;
  let end = partly ? Math.max(endOfTaken(state as LogState), firstNumber) : firstNumber;
  let messages = end - firstNumber;
  const note = (block: BlockHeader, blockEnd: number, session: string) => {
    end = Math.max(end, blockEnd);
    messages += block.count;
    onBlock(block, session);
  };

  const known = last ? (state?.head.segment === ordinal ? state.head.offset : 0) : size;
  let from = partly ? read.offset : SEGMENT_HEADER;
  if (!gaps) {
    const walk = { from, to: Math.min(known, size), size };
    const visit = (block: BlockHeader, session: string) => note(block, block.firstNumber + block.count, session);
    try {
      from = walkHeaders(files, fd, header, walk, visit);
    } catch {
      // A disk that does not give them now: what it gives is found below, from where it failed.
    }
  }
  const result = scanSegment({
    files,
    fd,
    header,
    from,
    visit: (block, bytes, at) => note(block, endOfNumbers(block, bytes, at), block.session(bytes, at)),
    damaged: (from, to) => search.onDamage?.(path, from, to),
  });
  if (result.torn) found.claimedEnd = Math.max(found.claimedEnd, claimedEnd(files, path, header, result.end, end));
  let left = size;
  // What the last run was certain of is not there.
  const lacking = last && state?.head.segment === ordinal && result.end < Math.min(state.head.offset, size);
  // An index that its footer does not point to is as good as none.
  if (!result.torn && !result.sealed && !lacking) {
    if (repair && result.end < size && truncate(files, path, result.end)) left = result.end;
  } else {
    let why = result.sealed ? "the index is damaged" : "the end of the log is cut or damaged";
    if (repair && !result.unreadable) {
      setAside(files, quarantine, path, result.end, size);
      if (truncate(files, path, result.end)) {
        left = result.end;
        why += "; it was cut off and set aside";
      }
    }
    onProblem({ path, from: result.end, to: size, why });
  }
  // Of the last one, what could not be cut is no part of the log. Of the others, the end of the file is the end.
  const length = last ? result.end : left;
  return { ordinal, path, firstNumber, previousEnd, createdAt, end, size: length, messages, sealed: false };
}

/** Behind the last message before the read position, which may have passed over numbers that were never used. */
function endOfTaken({ read: { number }, unused }: LogState): number {
  return unused !== undefined && number > unused.from && number <= unused.to ? unused.from : number;
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
