// Reads every file of a buffer's directory and finds what is damaged in it, also while a daemon writes there.
import { join } from "node:path";
import type { Files } from "../spool/files.ts";
import { BlockKind, endOfNumbers, framesStart, readNumbers, type SegmentHeader } from "../spool/format.ts";
import { listSegments, openSegment, SegmentCursor } from "../spool/scan.ts";
import { INDEX_FOOTER, readIndex } from "../spool/segmentIndex.ts";
import { segmentName } from "../spool/segmentWriter.ts";
import { FrameFault, FrameReader } from "../wire/frame.ts";
import { checkStateFiles } from "./spoolCheckState.ts";
import { type Check, type CheckResult, damage, note } from "./spoolFindings.ts";

/** Never throws for what is in the files; throws what the file system throws when the directory cannot be listed. */
export function checkDirectory(files: Files, directory: string, running: boolean): CheckResult {
  const result: CheckResult = { findings: [], files: 0, bytes: 0, messages: 0 };
  const check: Check = { files, directory, running, result };
  checkStateFiles(check);
  checkLog(check, "log", true);
  for (const name of files.list(join(directory, "held"))) checkLog(check, `held/${name}`, false);
  for (const name of files.list(join(directory, "quarantine"))) {
    note(check, `quarantine/${name}`, 0, "damaged bytes that were set aside earlier");
  }
  result.findings.sort((a, b) => (a.file === b.file ? a.offset - b.offset : a.file < b.file ? -1 : 1));
  return result;
}

const NO_BLOCK = "bytes that are no block";

interface CheckedSegment {
  ordinal: number;
  /** The number behind its last message. */
  end: number;
  /** Bytes at its end that are no block: where, how many, and why they are damage if that is known. */
  rest: { file: string; offset: number; bytes: number; damaged: string | undefined } | undefined;
}

/** `consecutive`: every number must be there (the main log's), or else any may be missing (a held log's). */
function checkLog(check: Check, log: string, consecutive: boolean): void {
  const segments = listSegments(check.files, join(check.directory, log));
  let before: CheckedSegment | undefined;
  for (const [index, { ordinal, path }] of segments.entries()) {
    const file = `${log}/${path.slice(path.lastIndexOf("/") + 1)}`;
    const isLast = index === segments.length - 1;
    const opened = openSegment(check.files, path);
    if ("problem" in opened) {
      // Deleted since the directory was listed: all of it was delivered.
      if (!check.files.exists(path)) continue;
      const begun = opened.problem.kind === "short" && isLast;
      // While a daemon writes, it is just about to go on.
      if (begun && check.running) continue;
      if (begun) note(check, file, 0, "was just begun when it was left");
      else damage(check, file, 0, opened.problem.message.slice(path.length + 2));
      continue;
    }
    const { fd, header } = opened;
    try {
      check.result.files++;
      check.result.bytes += opened.size;
      // By its header, too: all of it may have been delivered, and the daemon write a new segment over it.
      const follows = before !== undefined && before.ordinal + 1 === ordinal && header.ordinal === ordinal;
      if (before !== undefined)
        endOf(check, before, follows && consecutive ? header.previousEnd - before.end : 0, false);
      const noted = check.result.findings.length;
      if (header.ordinal !== ordinal) damage(check, file, 0, `is segment ${header.ordinal} by its header`);
      before = checkSegment(check, file, { ...opened, ordinal, consecutive, isLast });
      // All of it was delivered meanwhile, and the daemon writes a new segment over it.
      if (check.running && !check.files.exists(path)) {
        check.result.findings.length = noted;
        before = undefined;
      }
    } finally {
      check.files.close(fd);
    }
  }
  if (before !== undefined) endOf(check, before, 0, true);
}

/** Says what there is to say of a segment's end, once it is known how many messages are `missing` between it and the next. */
function endOf(check: Check, { rest, ordinal }: CheckedSegment, missing: number, isLast: boolean): void {
  if (rest === undefined) {
    if (missing <= 0) return;
    const file = `log/${segmentName(ordinal)}`;
    note(check, file, 0, `${missing} messages after it are not on disk: they came while it took none`);
    return;
  }
  const { file, offset, bytes, damaged } = rest;
  if (damaged !== undefined || missing > 0) {
    damage(check, file, offset, damaged ?? NO_BLOCK, bytes, Math.max(0, missing));
  } else if (!check.running) {
    // Else it is just being written: a block, or the index.
    const end = isLast ? "the next start cuts it off" : "no message is missing";
    note(check, file, offset, `ends in a block that was not finished; ${end}`, bytes);
  }
}

interface Segment {
  fd: number;
  header: SegmentHeader;
  size: number;
  ordinal: number;
  consecutive: boolean;
  isLast: boolean;
}

function checkSegment(check: Check, file: string, segment: Segment): CheckedSegment {
  const { files, result, running } = check;
  const { fd, header, ordinal, consecutive, isLast } = segment;
  const cursor = new SegmentCursor(files, fd, header);
  const limit = segment.size;
  let end = header.firstNumber;
  let bad: { offset: number; bytes: number } | undefined;
  let tried = -1;
  for (let step = cursor.step(limit); step !== "end"; step = cursor.step(limit)) {
    if (step === "damage") {
      // Where the daemon writes, it may have been in the middle of it: what is right now counts.
      if (running && isLast && tried !== cursor.offset) {
        tried = cursor.offset;
        cursor.rest();
        cursor.moveTo(tried);
      } else bad = { offset: cursor.offset, bytes: cursor.next - cursor.offset };
      continue;
    }
    const { block, offset } = cursor;
    const missing = consecutive ? block.firstNumber - end : 0;
    if (bad !== undefined) damage(check, file, bad.offset, unreadableOr(cursor, NO_BLOCK), bad.bytes, missing);
    else if (missing !== 0)
      damage(check, file, offset, "numbers that do not follow those before", 0, Math.max(0, missing));
    bad = undefined;
    end = endOfNumbers(block, cursor.bytes, cursor.at);
    result.messages += block.count;
    const fault = blockFault(cursor);
    if (fault !== undefined) damage(check, file, offset, fault, block.size, block.count);
  }
  const rest = limit - cursor.next;
  if (cursor.sealed) {
    // The index says behind which number the segment ends.
    const after = cursor.block.firstNumber;
    const missing = consecutive ? after - end : 0;
    if (bad !== undefined) damage(check, file, bad.offset, unreadableOr(cursor, NO_BLOCK), bad.bytes, missing);
    if (readIndex(files, fd, header) === undefined) damage(check, file, cursor.next, "its index cannot be found", rest);
    return { ordinal, end: after, rest: undefined };
  }
  if (!cursor.torn) return { ordinal, end, rest: undefined };
  const damaged = endsInFooter(check, fd, limit) ? "its index, and perhaps blocks before it, are damaged" : undefined;
  return { ordinal, end, rest: { file, offset: cursor.next, bytes: rest, damaged } };
}

function unreadableOr(cursor: SegmentCursor, what: string): string {
  return cursor.unreadable ? `${what}, and the disk cannot read all of it` : what;
}

function endsInFooter({ files }: Check, fd: number, size: number): boolean {
  const bytes = Buffer.alloc(INDEX_FOOTER);
  if (size < bytes.length) return false;
  try {
    files.read(fd, bytes, 0, bytes.length, size - bytes.length);
  } catch {
    return false;
  }
  return bytes.toString("latin1", 8) === "bruceidx";
}

const frame = new FrameReader();

/** What is wrong inside of a block whose checksum is right, which only a defect can have made. */
function blockFault({ block, bytes, at }: SegmentCursor): string | undefined {
  if (block.kind === BlockKind.Numbered && readNumbers(block, bytes, at) === undefined)
    return "its numbers do not add up";
  const blockEnd = at + block.size;
  let from = framesStart(block, bytes, at);
  for (let count = 0; count < block.count; count++) {
    if (frame.locate(bytes, from, blockEnd) !== FrameFault.Ok) return "its messages do not add up";
    from += frame.size;
  }
  return from === blockEnd ? undefined : "its messages do not add up";
}
