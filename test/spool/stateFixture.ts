// Checkpoints and journal entries for tests.
import type { CheckpointState } from "../../src/spool/checkpoint.ts";
import { Journal, type JournalEntry, type JournalParts } from "../../src/spool/journal.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import type { FakeFiles } from "../support/fakeFiles.ts";
import { DIRECTORY_ID, numbersOf } from "./logFixture.ts";

export const MACHINE_ID = "ffeeddccbbaa99887766554433221100";

export function accountOf(received = 0, delivered = 0): CheckpointState["ledger"]["total"] {
  return { received, delivered, discarded: 0, discardsByReason: new Map(), possibleDuplicates: 0 };
}

/** A checkpoint of a new directory, but for what is given. */
export function stateOf(more: Partial<CheckpointState> = {}): CheckpointState {
  return {
    directoryId: DIRECTORY_ID,
    machineId: MACHINE_ID,
    clean: false,
    reserved: 1000,
    journal: 1,
    log: { read: { number: 1, segment: 0, offset: 0 }, head: { number: 1, segment: 0, offset: 0 } },
    unsettled: new NumberSet(),
    settled: new NumberSet(),
    held: [],
    ledger: { total: accountOf(), noTopic: accountOf(), topics: () => [] },
    topicsSeen: [],
    sessions: [],
    ...more,
  };
}

/** The batch with these messages. */
export function entryOf(
  topic: string,
  partition: number,
  numbers: Iterable<number>,
  more: Partial<JournalEntry> = {},
): JournalEntry {
  return {
    topic,
    partition,
    clusterId: "cluster",
    producerId: 4711n,
    producerEpoch: 0,
    baseSequence: 0,
    sentAt: 1_795_338_076_304,
    checksum: 0xdeadbeef,
    repeats: false,
    numbers: numbersOf(numbers),
    ...more,
  };
}

/** Timers that go off when the test says so. */
export class Timers {
  readonly waiting = new Map<() => void, number>();

  readonly later = (callback: () => void, ms: number): (() => void) => {
    this.waiting.set(callback, ms);
    return () => this.waiting.delete(callback);
  };

  goOff(): void {
    const due = [...this.waiting.keys()];
    this.waiting.clear();
    for (const callback of due) callback();
  }
}

export const JOURNAL = "/data/journal";

export function openJournal(files: FakeFiles, more: Partial<JournalParts> = {}): Journal {
  files.makeDirectory(more.directory ?? JOURNAL);
  return Journal.open({
    files,
    directory: JOURNAL,
    ordinal: 1,
    directoryId: DIRECTORY_ID,
    machineId: MACHINE_ID,
    carried: [],
    onFailing: () => {},
    wallClock: () => 1_795_338_076_304,
    later: new Timers().later,
    ...more,
  });
}
