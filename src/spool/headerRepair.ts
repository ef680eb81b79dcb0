// Makes the damaged header of a segment again from the blocks behind it, so that it costs none of their messages.
import { type Files, readWhole, writeAll } from "./files.ts";
import { BLOCK_HEADER, BlockHeader, encodeSegmentHeader, SEGMENT_HEADER, type SegmentHeader } from "./format.ts";
import { readInt64, readUint32 } from "./integers.ts";
import { INDEX_FOOTER } from "./segmentIndex.ts";

/** The reflected polynomial of zlib's CRC-32 (RFC 1952, section 8); the top byte of each entry is another one. */
const POLYNOMIAL = 0xedb88320;
const TABLE = new Int32Array(256);
const BY_TOP = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
  TABLE[byte] = rest;
  BY_TOP[rest >>> 24] = byte;
}

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
    const bytes = readWhole(files, path);
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
  let seed = seedOf(block, bytes, SEGMENT_HEADER);
  let firstNumber = block.firstNumber;
  const createdAt = block.receivedAt;
  if (seed === undefined) {
    const footer = bytes.length - INDEX_FOOTER;
    const index = footer >= SEGMENT_HEADER ? readInt64(bytes, footer) : 0;
    if (!(index >= SEGMENT_HEADER && index < footer)) return undefined;
    seed = seedOf(block, bytes, index);
    if (seed === undefined) return undefined;
    firstNumber = (JSON.parse(bytes.toString("utf8", index + BLOCK_HEADER, footer)) as { first: number }).first;
  }
  const before = Math.min(previousEnd ?? firstNumber, firstNumber);
  return { ordinal, firstNumber, previousEnd: before, createdAt, directoryId, seed };
}

/** What the block at `at` was summed up with; nothing when none is there that is whole. */
function seedOf(block: BlockHeader, bytes: Buffer, at: number): number | undefined {
  if (block.read(bytes, at, bytes.length) !== "whole") return undefined;
  let state = ~readUint32(bytes, at + 8);
  for (let i = at + BLOCK_HEADER + block.length - 1; i >= at + 12; i--) {
    const entry = BY_TOP[state >>> 24] as number;
    state = ((state ^ (TABLE[entry] as number)) << 8) | (entry ^ (bytes[i] as number));
  }
  const seed = ~state >>> 0;
  return block.verifyHeader(bytes, at, seed) ? seed : undefined;
}
