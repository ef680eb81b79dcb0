// What a start found of the main log, as the queue goes on with it.
import type { LogPosition } from "./checkpoint.ts";
import type { SegmentInfo } from "./logSegments.ts";
import type { NumberSet } from "./numberSet.ts";

/** What a start found of the main log; see recover.ts. */
export interface LogStart {
  segments: readonly SegmentInfo[];
  /** What is to be read next. */
  read: LogPosition;
  /** Below `read.number`: taken before the stop, and to be read again. Becomes the queue's own. */
  again: NumberSet;
  /** At or above `read.number`: settled before the stop. Becomes the queue's own. */
  skip: NumberSet;
  /** Of those in `skip`, or below `read.number`: not settled, but in somebody's hands already. They count as taken. */
  open?: NumberSet;
  /** Of the next segment to be made, at least. */
  nextOrdinal?: number;
  /** The number of the next message. */
  nextNumber: number;
  /** Behind the last message found: from there up to `nextNumber` none was ever given. */
  previousEnd: number;
  /** Numbers below it may be given to messages. */
  reserved: number;
  directoryId: string;
}

/** Messages that were never taken, and are there or lost. */
export function unreadIn({ segments, read, skip, previousEnd }: LogStart): number {
  let count = 0;
  let from = read.number;
  const countUpTo = (to: number) => {
    if (to > from) count += to - from - skip.countBetween(from, to);
  };
  for (const segment of segments) {
    if (segment.firstNumber <= from) continue;
    countUpTo(segment.previousEnd);
    from = segment.firstNumber;
  }
  countUpTo(previousEnd);
  return count;
}
