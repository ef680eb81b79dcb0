// Finds the held logs at a start, and what was moved into them since the checkpoint.
import { join } from "node:path";
import type { HeldLogState } from "./checkpoint.ts";
import { codeOf, type Files } from "./files.ts";
import { visitNumbers } from "./heldNumbers.ts";
import { NumberSet } from "./numberSet.ts";
import { type FoundSegments, findSegments, passes, type RecoveryProblem } from "./recoverSegments.ts";

export interface HeldSearch {
  files: Files;
  /** held/ in the data directory. */
  directory: string;
  quarantine: string;
  directoryId: string;
  repair: boolean;
  onProblem: (problem: RecoveryProblem) => void;
  /** See SegmentSearch. */
  onDamage?: (path: string, from: number, to: number) => void;
  onRefused?: (why: string) => void;
  /** What the checkpoint says. */
  states: readonly HeldLogState[];
}

/** A held log, as it is on the disk and as the checkpoint knew it. */
export interface FoundHeld {
  /** As in the checkpoint, or made up for a log that is newer than it. */
  state: HeldLogState;
  found: FoundSegments;
  /** Messages that came into it since the checkpoint. */
  moved: NumberSet;
  /** By which messages in it came, in hexadecimal. */
  sessions: Set<string>;
  /** Some of it is not there any more, so only what is in its files says what it has. */
  incomplete: boolean;
}

const NOWHERE = { number: 0, segment: 0, offset: 0 };

export function findHeldLogs(search: HeldSearch): FoundHeld[] {
  const { files, directory, states } = search;
  const known = new Map(states.map((state) => [state.name, state]));
  const names = new Set([...known.keys(), ...files.list(directory)]);
  const logs = [...names].map((name) => {
    const state = known.get(name) ?? newState(name);
    const sessions = new Set<string>();
    const found = find(search, join(directory, name), sessions);
    for (const { index } of found.segments) for (const session of index?.sessions.keys() ?? []) sessions.add(session);
    const moved = new NumberSet();
    const { head } = state;
    // Most logs have nothing new, and there may be very many.
    const newer = found.segments.filter(({ ordinal, size }) => ordinal > head.segment || size > head.offset);
    visitNumbers(files, newer, head, (number) => {
      moved.add(number);
      return true;
    });
    return { state, found, moved, sessions, incomplete: found.incomplete || !isComplete(state, found, moved.size) };
  });
  // A directory without a segment that no checkpoint knows of says nothing.
  return logs.filter(({ state, found }) => found.segments.length > 0 || known.has(state.name));
}

function find(search: HeldSearch, directory: string, sessions: Set<string>): FoundSegments {
  const onBlock = (_block: unknown, session: string) => {
    if (session !== "") sessions.add(session);
  };
  try {
    return findSegments({ ...search, directory, state: undefined, gaps: true, onBlock });
  } catch (error) {
    if (codeOf(error) === "") throw error;
    // A stray file, or one directory that the disk does not give: no reason to leave the others alone.
    const why = error instanceof Error ? error.message : String(error);
    if (passes(codeOf(error))) search.onRefused?.(why);
    search.onProblem({ path: directory, from: 0, to: 0, why: `it is no directory that can be read (${why})` });
    return { segments: [], end: 0, claimedEnd: 0, lastOrdinal: 0, directoryId: undefined, incomplete: true };
  }
}

/** Whether there are as many messages as the checkpoint knew of, as far as that shows without reading them. */
function isComplete(
  { read, head, unread, unsettled, settled }: HeldLogState,
  found: FoundSegments,
  moved: number,
): boolean {
  if (read.segment === 0) {
    const messages = found.segments.reduce((sum, segment) => sum + segment.messages, 0);
    return messages === unread + unsettled.size + settled.size + moved;
  }
  const there = new Set(found.segments.map(({ ordinal }) => ordinal));
  for (let ordinal = read.segment; ordinal <= head.segment; ordinal++) if (!there.has(ordinal)) return false;
  return true;
}

/** Of a log that is newer than the checkpoint. The directory of one partition's is called `<topic>@<partition>`. */
function newState(name: string): HeldLogState {
  const [, topic = name, partition] = /^(.*)@(\d{1,10})$/.exec(name) ?? [];
  return {
    name,
    topic,
    partition: partition === undefined ? null : Number(partition),
    reason: "",
    read: NOWHERE,
    head: NOWHERE,
    unread: 0,
    unsettled: new NumberSet(),
    settled: new NumberSet(),
  };
}
