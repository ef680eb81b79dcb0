// Makes the damaged header of a segment again from the blocks behind it, so that it costs none of their messages.
import { type Files, readWhole, writeAll } from "./files.ts";
import { BLOCK_HEADER, BlockHeader, encodeSegmentHeader, SEGMENT_HEADER, type SegmentHeader } from "./format.ts";
import { readInt64, readUint32 } from "./integers.ts";
import { seedOf } from "./seedOf.ts";
import { INDEX_FOOTER } from "./segmentIndex.ts";

/** What is known of a segment besides what is in it. */
export interface HeaderHints {
  ordinal: number;
  /** The number behind the last one of the segment before; undefined without one. */
  previousEnd: number | undefined;
  directoryId: string;
}

/**
 * Writes a new header over the damaged one. All that cannot be known otherwise is the seed, which the checksum of a good
 * block tells: the first one, or the index, whose places nobody who writes messages can choose. The header's own check of
 * 24 bits then says whether that was right. False when neither is good, or the disk refuses.
 */
export function repairHeader(files: Files, path: string, hints: HeaderHints): boolean {
  try {
    const bytes = readWhole(files, path, Number.POSITIVE_INFINITY);
    const header = headerFor(bytes, hints);
    if (header === undefined) return false;
    const fd = files.open(path, "r+");
    try {
      writeAll(files, fd, encodeSegmentHeader(header), 0, SEGMENT_HEADER, 0);
    } finally {
      files.close(fd);
    }
    return true;
  } catch {
    return false;
  }
}

function headerFor(bytes: Buffer, { ordinal, previousEnd, directoryId }: HeaderHints): SegmentHeader | undefined {
  const block = new BlockHeader();
  let seed = seedAt(block, bytes, SEGMENT_HEADER);
  let firstNumber = block.firstNumber;
  const createdAt = block.receivedAt;
  if (seed === undefined) {
    const footer = bytes.length - INDEX_FOOTER;
    const index = footer >= SEGMENT_HEADER ? readInt64(bytes, footer) : 0;
    if (!(index >= SEGMENT_HEADER && index < footer)) return undefined;
    seed = seedAt(block, bytes, index);
    if (seed === undefined) return undefined;
    firstNumber = (JSON.parse(bytes.toString("utf8", index + BLOCK_HEADER, footer)) as { first: number }).first;
  }
  const before = Math.min(previousEnd ?? firstNumber, firstNumber);
  return { ordinal, firstNumber, previousEnd: before, createdAt, directoryId, seed };
}

/** What the block at `at` was summed up with; nothing when none is there that is whole. */
function seedAt(block: BlockHeader, bytes: Buffer, at: number): number | undefined {
  if (block.read(bytes, at, bytes.length) !== "whole") return undefined;
  const seed = seedOf(bytes, at + 12, at + BLOCK_HEADER + block.length, readUint32(bytes, at + 8));
  return block.verifyHeader(bytes, at, seed) ? seed : undefined;
}
