// Goes from block to block by their headers alone: what is in a segment without an index, without reading all of it.
import { type Files, readAll } from "./files.ts";
import { BLOCK_HEADER, BlockHeader, BlockKind, type SegmentHeader } from "./format.ts";

/** Read at a time: some small blocks, or little of a large one. Measured for 64 MiB: 5 ms in large blocks, 40 in tiny ones. */
const WINDOW = 16_384;

/**
 * Calls back with the header of each block that begins at `from` or behind it, and before `to`, as far as headers are good.
 * Answers where it stopped: at `to` or behind it, at an index, or where no good header is, or a cut block.
 */
export function walkHeaders(
  files: Files,
  fd: number,
  { seed }: SegmentHeader,
  { from, to, size }: { from: number; to: number; size: number },
  visit: (block: BlockHeader, session: string) => void,
): number {
  const block = new BlockHeader();
  const window = Buffer.allocUnsafeSlow(WINDOW);
  let start = 0;
  let end = 0;
  let at = from;
  for (; at < to; at += block.size) {
    if (at + BLOCK_HEADER > end) {
      start = at;
      end = at + readAll(files, fd, window, 0, WINDOW, at);
      if (at + BLOCK_HEADER > end) break;
    }
    // Its payload is not in the window for the most part, which "short" says.
    if (block.read(window, at - start, end - start) === "bad" || block.kind === BlockKind.Index) break;
    if (!block.verifyHeader(window, at - start, seed) || at + block.size > size) break;
    visit(block, block.session(window, at - start));
  }
  return at;
}
