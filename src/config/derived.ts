// Defaults that follow from another setting: what fits a large disk buffer would not fit into a small one.
import { nodeAt, type TableNode } from "./tree.ts";
import type { Settings } from "./types.ts";

/** The smallest disk buffer that is worth its files. */
export const LEAST_DISK = 1024 * 1024;
/** The smallest segment that the disk buffer makes. */
const LEAST_SEGMENT = 64 * 1024;

/** The largest segment that `disk` bytes allow: space is freed in segments, so there must be a few of them. */
export function largestSegment(disk: number): number {
  return Math.max(LEAST_SEGMENT, Math.floor(disk / 8));
}

/** Makes `segment` and `held` fit `disk` where the configuration leaves them to their defaults. */
export function deriveDefaults(root: TableNode, { buffer }: Settings): void {
  if (buffer.disk === 0) return;
  const isSet = (name: string): boolean => nodeAt(root, ["buffer", name]) !== undefined;
  if (!isSet("segment")) buffer.segment = Math.min(buffer.segment, largestSegment(buffer.disk));
  if (!isSet("held")) buffer.held = Math.min(buffer.held, Math.floor(buffer.disk / 4));
}
