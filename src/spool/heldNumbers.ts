// Reads which messages are in a held log: their numbers have gaps, so only the blocks tell.
import type { LogPosition } from "./checkpoint.ts";
import type { Files } from "./files.ts";
import { readNumbers, SEGMENT_HEADER } from "./format.ts";
import type { LogSegment } from "./logSegments.ts";
import { openSegment, SegmentCursor } from "./scan.ts";

/**
 * Calls back with the number of each message from `from` on (from the beginning without), in the order of the log, until
 * `visit` answers false. Passes over what is damaged or cannot be read.
 */
export function visitNumbers(
  files: Files,
  segments: readonly LogSegment[],
  from: LogPosition | undefined,
  visit: (number: number) => boolean,
): void {
  for (const { ordinal, path } of segments) {
    if (from !== undefined && ordinal < from.segment) continue;
    const opened = openSegment(files, path);
    if ("problem" in opened) continue;
    const { fd, header, size } = opened;
    try {
      const start = ordinal === from?.segment ? Math.max(SEGMENT_HEADER, from.offset) : SEGMENT_HEADER;
      const cursor = new SegmentCursor(files, fd, header, start);
      for (let step = cursor.step(size); step !== "end"; step = cursor.step(size)) {
        if (step === "block" && !visitBlock(cursor, visit)) return;
      }
    } catch {
      // A disk that fails now: what it does not give is not there.
    } finally {
      files.close(fd);
    }
  }
}

function visitBlock({ block, bytes, at }: SegmentCursor, visit: (number: number) => boolean): boolean {
  let more = true;
  readNumbers(block, bytes, at)?.forEach((number) => {
    more = more && visit(number);
  });
  return more;
}
