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
}

export interface Changes {
  main: LogChanges;
  /** As in `held`. */
  held: LogChanges[];
  /** How many messages of a fact the logs had when the checkpoint was written, or got since: what is new to the ledger. */
  counts: Map<Fact, number>;
}

/**
 * A message belongs to one log. At the checkpoint that was the main one when it is unsettled there; else a held log of its
 * topic that has it. Since then it may have moved into a held log, which the blocks behind that log's head show.
 */
export function assignOwners(
  files: Files,
  main: LogState & Unsettled,
  held: readonly FoundHeld[],
  facts: readonly Fact[],
): Changes {
  const changes: Changes = { main: noChanges(), held: held.map(noChanges), counts: new Map() };
  /** For each held log what may be in it: only its blocks can tell. */
  const maybe = held.map(() => new Map<number, Fact | "moved">());

  const allMoved = new NumberSet();
  for (const { moved } of held) moved.forEachRange((from, to) => allMoved.addRange(from, to));
  const byTopic = Map.groupBy(held.keys(), (index) => (held[index] as FoundHeld).state.topic);

  const isIn = (log: LogState & Unsettled, number: number) =>
    log.unsettled.has(number) || (number >= log.read.number && !log.settled.has(number));
  const note = (log: LogChanges, number: number, fact: Fact) => {
    const set = fact.how === "open" ? log.open : log.ended;
    set.add(number);
    changes.counts.set(fact, (changes.counts.get(fact) ?? 0) + 1);
  };
  const ask = (number: number, topic: string, what: Fact | "moved", into = -1) => {
    for (const index of byTopic.get(topic) ?? []) {
      const { state } = held[index] as FoundHeld;
      const { unsettled, head } = state;
      if (index === into) continue;
      if (unsettled.has(number)) {
        if (what === "moved") (changes.held[index] as LogChanges).movedAway.add(number);
        else note(changes.held[index] as LogChanges, number, what);
        return;
      }
      if (isIn(state, number) && number < head.number) maybe[index]?.set(number, what);
    }
  };

  for (const fact of facts) {
    fact.entry.numbers.forEach((number) => {
      const into = allMoved.has(number) ? held.findLastIndex(({ moved }) => moved.has(number)) : -1;
      if (into >= 0) note(changes.held[into] as LogChanges, number, fact);
      else if (isIn(main, number)) note(changes.main, number, fact);
      else ask(number, fact.entry.topic, fact);
    });
  }
  for (const [index, { moved, state }] of held.entries()) {
    moved.forEach((number) => {
      if (isIn(main, number)) changes.main.movedAway.add(number);
      else ask(number, state.topic, "moved", index);
      // It moved on from here: the last log counts.
      if (held.findLastIndex((other) => other.moved.has(number)) !== index)
        (changes.held[index] as LogChanges).movedAway.add(number);
    });
  }

  for (const [index, { state, found }] of held.entries()) {
    const numbers = maybe[index] as Map<number, Fact | "moved">;
    if (numbers.size === 0) continue;
    let last = 0;
    for (const number of numbers.keys()) last = Math.max(last, number);
    visitNumbers(files, found.segments, state.read, (number) => {
      const what = numbers.get(number);
      if (what === "moved") (changes.held[index] as LogChanges).movedAway.add(number);
      else if (what !== undefined) note(changes.held[index] as LogChanges, number, what);
      return number < last;
    });
  }
  return changes;
}

function noChanges(): LogChanges {
  return { ended: new NumberSet(), open: new NumberSet(), movedAway: new NumberSet() };
}
