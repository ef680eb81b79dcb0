// Says which log each message belongs to that the journal or a held log knows of, and so what each log has still to give.
import type { LogState, Unsettled } from "./checkpoint.ts";
import type { Files } from "./files.ts";
import { visitNumbers } from "./heldNumbers.ts";
import type { EntryEnd, JournalEntry } from "./journal.ts";
import { NumberSet } from "./numberSet.ts";
import type { FoundHeld } from "./recoverHeld.ts";

/** A batch of the journal: "open", or how it ended since the checkpoint. */
export interface Fact {
  entry: JournalEntry;
  how: "open" | Exclude<EntryEnd, { kind: "returned" }>;
}

/** What became of the messages of one log since the checkpoint. */
export interface LogChanges {
  /** Delivered or discarded. */
  ended: NumberSet;
  /** In open batches. */
  open: NumberSet;
  /** They are in another log now. */
  movedAway: NumberSet;
  /** In its files, and not its messages: they were settled before, and a power cut has brought a deleted file back. */
  stale: NumberSet;
}

export interface Changes {
  main: LogChanges;
  /** As in `held`. */
  held: LogChanges[];
  /** How many messages of a fact the logs had when the checkpoint was written, or got since: what is new to the ledger. */
  counts: Map<Fact, number>;
}

export interface Owners {
  files: Files;
  main: LogState & Unsettled;
  held: readonly FoundHeld[];
  /** Without a checkpoint, what a held log has is taken for its own. */
  checkpointed: boolean;
}

/**
 * A message belongs to one log. At the checkpoint that was the main one when it is unsettled there; else a held log of its
 * topic that has it. Since then it may have moved into a held log, which the blocks behind that log's head show.
 */
export function assignOwners(owners: Owners, facts: readonly Fact[]): Changes {
  const { main, held } = owners;
  const changes: Changes = { main: noChanges(), held: held.map(noChanges), counts: new Map() };
  const moved = assignMoved(owners, changes);

  const note = (log: LogChanges, number: number, fact: Fact) => {
    const set = fact.how === "open" ? log.open : log.ended;
    set.add(number);
    changes.counts.set(fact, (changes.counts.get(fact) ?? 0) + 1);
  };
  const asked: { number: number; fact: Fact }[] = [];
  const byTopic = Map.groupBy(held.keys(), (index) => (held[index] as FoundHeld).state.topic);
  for (const fact of facts) {
    const logs = byTopic.get(fact.entry.topic) ?? [];
    fact.entry.numbers.forEach((number) => {
      const into = moved.has(number) ? (logs.findLast((index) => held[index]?.moved.has(number)) ?? -1) : -1;
      if (into >= 0) note(changes.held[into] as LogChanges, number, fact);
      else if (isIn(main, number)) note(changes.main, number, fact);
      else asked.push({ number, fact });
    });
  }
  const places = findInHeld(
    owners,
    asked.map(({ number, fact }) => ({ number, topic: fact.entry.topic })),
  );
  for (const { number, fact } of asked) {
    const index = places.get(number);
    if (index !== undefined) note(changes.held[index] as LogChanges, number, fact);
  }
  return changes;
}

/** Takes what moved into held logs out of those where it was. Answers all of it. */
function assignMoved({ files, main, held, checkpointed }: Owners, changes: Changes): NumberSet {
  const asked: { number: number; topic: string }[] = [];
  for (const { moved, state } of held) {
    moved.forEach((number) => {
      if (isIn(main, number)) changes.main.movedAway.add(number);
      else asked.push({ number, topic: state.topic });
    });
  }
  const places = findInHeld({ files, main, held, checkpointed }, asked);
  for (const [number, index] of places) (changes.held[index] as LogChanges).movedAway.add(number);
  const all = new NumberSet();
  // Backwards: there may be very many logs, and what a later one has needs no look at each of them.
  for (const [index, { moved }] of [...held.entries()].reverse()) {
    const log = changes.held[index] as LogChanges;
    moved.forEach((number) => {
      if (checkpointed && !isIn(main, number) && !places.has(number)) log.stale.add(number);
      // It moved on from here: the last log counts.
      else if (all.has(number)) log.movedAway.add(number);
    });
    log.stale.forEach((number) => void moved.delete(number));
    moved.forEachRange((from, to) => all.addRange(from, to));
  }
  return all;
}

/** The held log that had the message at the checkpoint, for each that one had. */
function findInHeld({ files, held }: Owners, asked: readonly { number: number; topic: string }[]): Map<number, number> {
  const places = new Map<number, number>();
  if (asked.length === 0) return places;
  const byTopic = Map.groupBy(asked, ({ topic }) => topic);
  for (const [index, { state, found, incomplete }] of held.entries()) {
    /** What may be in it: its numbers have gaps, so only its blocks can tell, as far as they are there. */
    const maybe = new Set<number>();
    let last = 0;
    for (const { number } of byTopic.get(state.topic) ?? []) {
      const within = isIn(state, number) && number < state.head.number;
      if (state.unsettled.has(number) || (within && incomplete)) {
        places.set(number, index);
      } else if (within) {
        maybe.add(number);
        last = Math.max(last, number);
      }
    }
    if (maybe.size === 0) continue;
    visitNumbers(files, found.segments, state.read, (number) => {
      if (maybe.has(number) && !places.has(number)) places.set(number, index);
      return number < last;
    });
  }
  return places;
}

function isIn(log: LogState & Unsettled, number: number): boolean {
  return log.unsettled.has(number) || (number >= log.read.number && !log.settled.has(number));
}

function noChanges(): LogChanges {
  return { ended: new NumberSet(), open: new NumberSet(), movedAway: new NumberSet(), stale: new NumberSet() };
}
