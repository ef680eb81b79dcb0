// What each log has still to give after a start.
import type { HeldLogState, LogPosition, LogState, Unsettled } from "./checkpoint.ts";
import type { Files } from "./files.ts";
import { visitNumbers } from "./heldNumbers.ts";
import type { SegmentInfo } from "./logSegments.ts";
import { NumberSet } from "./numberSet.ts";
import type { FoundHeld } from "./recoverHeld.ts";
import type { RecoveredLedger } from "./recoverLedger.ts";
import type { LogChanges } from "./recoverOwners.ts";
import type { FoundSegments } from "./recoverSegments.ts";

/** A log, as it is to be read on: message n of it is to be read iff (n ≥ read.number or n in `again`) and n is not in `skip`. */
export interface RecoveredLog {
  segments: SegmentInfo[];
  /** Behind what was taken in order. Segment 0: the first one. */
  read: LogPosition;
  /** Taken before the stop, and to be read again. */
  again: NumberSet;
  /** Not to be read: settled, in an open entry, or in another log by now. */
  skip: NumberSet;
  /** In open entries: they count as taken and not settled. */
  open: NumberSet;
  /** Of the next segment to make. */
  nextOrdinal: number;
}

export interface RecoveredHeld
  extends RecoveredLog,
    Pick<HeldLogState, "name" | "topic" | "partition" | "reason" | "head"> {
  /** How many messages of it are to be read. */
  unread: number;
  /** By which messages in it came, in hexadecimal; perhaps by some more. */
  sessions: ReadonlySet<string>;
}

export function recoveredLog(found: FoundSegments, state: LogState & Unsettled, changes: LogChanges): RecoveredLog {
  const skip = new NumberSet();
  addAll(skip, state.settled);
  state.unsettled.forEachRange((from, to) => void skip.deleteRange(from, to));
  for (const set of [changes.ended, changes.open, changes.movedAway, changes.stale]) addAll(skip, set);
  const again = new NumberSet();
  state.unsettled.forEach((number) => {
    if (!skip.has(number)) again.add(number);
  });
  const nextOrdinal = Math.max(found.lastOrdinal, state.head.segment, state.read.segment) + 1;
  const { segments } = found;
  return { segments, read: placeIn(segments, state.read), again, skip, open: changes.open, nextOrdinal };
}

/** The read position, unless its segment is another one than it was: then it is looked for from the beginning. */
function placeIn(segments: readonly SegmentInfo[], read: LogPosition): LogPosition {
  const segment = segments.find(({ ordinal }) => ordinal === read.segment);
  const moved = segment !== undefined && (segment.firstNumber > read.number || segment.size < read.offset);
  return moved ? { number: read.number, segment: 0, offset: 0 } : read;
}

/** Books what waits in the log, and what of it is lost: nothing else can tell, since its numbers have gaps. */
export function recoveredHeld(
  files: Files,
  { state, found, moved, sessions, incomplete }: FoundHeld,
  changes: LogChanges,
  ledger: RecoveredLedger,
): RecoveredHeld {
  const log = recoveredLog(found, state, changes);
  const gone = new NumberSet();
  for (const set of [changes.ended, changes.open, changes.movedAway]) addAll(gone, set);
  let unread = state.unread + state.unsettled.size + moved.size - gone.size;
  // Lower numbers than before come only when all that was there is settled, and its files are deleted.
  const restarted = (moved.first ?? Number.POSITIVE_INFINITY) < state.read.number;
  if (restarted) {
    log.segments = found.segments.filter(({ ordinal }) => ordinal > state.head.segment);
    log.read = { number: moved.first as number, segment: 0, offset: 0 };
    log.again = new NumberSet();
  }
  if (incomplete || restarted) {
    const { again, count } = countThere(files, log);
    if (count < unread) ledger.lose(state.topic, unread - count);
    unread = count;
    log.again = again;
  }
  ledger.receive(state.topic, unread);
  const { name, topic, partition, reason, head } = state;
  return { ...log, name, topic, partition, reason, head, unread, sessions };
}

/** What of the log is in its files. */
function countThere(files: Files, { segments, read, again, skip }: RecoveredLog): { again: NumberSet; count: number } {
  const there = new NumberSet();
  if (again.size > 0) {
    const last = again.last as number;
    visitNumbers(files, segments, undefined, (number) => {
      if (again.has(number)) there.add(number);
      return number < last;
    });
  }
  let count = there.size;
  visitNumbers(files, segments, read, (number) => {
    if (!skip.has(number) && !there.has(number)) count++;
    return true;
  });
  return { again: there, count };
}

function addAll(target: NumberSet, source: NumberSet): void {
  source.forEachRange((from, to) => target.addRange(from, to));
}
