// What the journal was told is found in it again, whatever happened to its files.
import { expect, test } from "bun:test";
import type { EntryEnd, JournalEntry } from "../../src/spool/journal.ts";
import { journalName, listJournals } from "../../src/spool/journalFile.ts";
import { decodeEntry, decodeJournalHeader, JOURNAL_HEADER } from "../../src/spool/journalFormat.ts";
import { replayJournal } from "../../src/spool/journalReplay.ts";
import type { MessageNumbers } from "../../src/spool/numbers.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { range } from "./logFixture.ts";
import { entryOf, JOURNAL, openJournal, Timers } from "./stateFixture.ts";

const DELIVERED: EntryEnd = { kind: "delivered" };
const RETURNED: EntryEnd = { kind: "returned" };
const DISCARDED: EntryEnd = { kind: "discarded", reason: "rejected_by_broker" };

function listOf(numbers: MessageNumbers): number[] {
  const list: number[] = [];
  numbers.forEach((number) => void list.push(number));
  return list;
}

function replayed(files: FakeFiles, from = 1) {
  const ends: string[] = [];
  const told = (entry: JournalEntry, how: EntryEnd) => {
    const what = how.kind === "discarded" ? how.reason : how.kind;
    ends.push(`${what} ${entry.topic}/${entry.partition} ${listOf(entry.numbers)}`);
  };
  const { open, problems, header, lastOrdinal, end } = replayJournal(files, JOURNAL, from, told);
  const opened = open.map((entry) => `${entry.topic}/${entry.partition} ${listOf(entry.numbers)}`);
  return { ends, open: opened.sort(), entries: open, problems, header, lastOrdinal, end };
}

test("a batch on its way is found with all that it takes to send it again", () => {
  const files = new FakeFiles();
  const journal = openJournal(files);
  const entry = entryOf("töpic", 2 ** 31 - 1, [5, 6, 900, 2 ** 52], {
    clusterId: "",
    producerId: -1n,
    producerEpoch: -1,
    baseSequence: -1,
    checksum: 2 ** 32 - 1,
  });
  journal.sending([entry, entryOf("other", 0, range(10, 300), { producerId: 2n ** 62n, baseSequence: 2 ** 31 - 1 })]);
  files.crash("process");
  const { entries, problems, header, lastOrdinal } = replayed(files);
  expect(problems).toEqual([]);
  expect(header?.ordinal).toBe(1);
  expect(lastOrdinal).toBe(1);
  expect(entries).toHaveLength(2);
  for (const [index, found] of entries.entries()) {
    const { numbers, ...rest } = journal.openEntries()[index] as JournalEntry;
    expect(found).toMatchObject(rest);
    expect(listOf(found.numbers)).toEqual(listOf(numbers));
  }
});

test("the next batch of a partition says that the one before was delivered, and no other partition's does", () => {
  const files = new FakeFiles();
  const journal = openJournal(files);
  journal.sending([entryOf("a", 0, [1, 2]), entryOf("a", 1, [3]), entryOf("b", 0, [4])]);
  journal.sending([entryOf("a", 0, [5])]);
  expect(replayed(files)).toMatchObject({ ends: ["delivered a/0 1,2"], open: ["a/0 5", "a/1 3", "b/0 4"] });
});

test("each end of a batch is found", () => {
  const files = new FakeFiles();
  const timers = new Timers();
  const journal = openJournal(files, { later: timers.later });
  journal.sending([entryOf("a", 0, [1]), entryOf("a", 1, [2]), entryOf("a", 2, [3]), entryOf("a", 3, [4])]);
  journal.ended("a", 1, DISCARDED);
  journal.ended("a", 2, RETURNED);
  expect(replayed(files)).toMatchObject({ ends: ["rejected_by_broker a/1 2"], open: ["a/0 1", "a/3 4"] });
  // Delivered is not worth a write of its own at once.
  const { bytes } = journal;
  journal.ended("a", 0, DELIVERED);
  expect(journal.bytes).toBe(bytes);
  expect([...timers.waiting.values()]).toEqual([100]);
  timers.goOff();
  expect(replayed(files)).toMatchObject({ ends: ["rejected_by_broker a/1 2", "delivered a/0 1"], open: ["a/3 4"] });
  // It goes along with the next write, and a batch that has ended does not end again.
  journal.ended("a", 3, DELIVERED);
  journal.ended("a", 3, DISCARDED);
  journal.sending([entryOf("a", 1, [5])]);
  expect(timers.waiting.size).toBe(0);
  expect(replayed(files)).toMatchObject({
    ends: ["rejected_by_broker a/1 2", "delivered a/0 1", "delivered a/3 4"],
    open: ["a/1 5"],
  });
});

test("a batch that was returned, and whose messages go again, was not delivered", () => {
  const files = new FakeFiles();
  const journal = openJournal(files);
  journal.sending([entryOf("a", 0, [1, 2, 3, 4])]);
  journal.ended("a", 0, RETURNED);
  journal.sending([entryOf("a", 0, [1, 2])]);
  journal.sending([entryOf("a", 0, [3, 4])]);
  expect(replayed(files)).toMatchObject({ ends: ["delivered a/0 1,2"], open: ["a/0 3,4"] });
});

test("a new file begins with what is open, and stands for itself", () => {
  const files = new FakeFiles();
  const journal = openJournal(files);
  journal.sending([entryOf("a", 0, [1]), entryOf("a", 1, [2]), entryOf("a", 2, [3])]);
  journal.ended("a", 1, DELIVERED);
  expect(journal.rotate()).toBe(2);
  journal.ended("a", 2, DISCARDED);
  expect(replayed(files, 2)).toMatchObject({ ends: ["rejected_by_broker a/2 3"], open: ["a/0 1"] });
  const both = { ends: ["delivered a/1 2", "rejected_by_broker a/2 3"], open: ["a/0 1"], problems: [] };
  expect(replayed(files, 1)).toMatchObject(both);
  journal.removeBefore(2);
  expect(listJournals(files, JOURNAL)).toEqual([2]);
  expect(journal.bytes).toBe(files.content(`${JOURNAL}/${journalName(2)}`).length);
  // After a restart as well.
  journal.close();
  const next = openJournal(files, { ordinal: 3, carried: replayed(files, 2).entries });
  next.sending([entryOf("a", 0, [9])]);
  expect(replayed(files, 3)).toMatchObject({ ends: ["delivered a/0 1"], open: ["a/0 9"] });
  expect(replayed(files, 2)).toMatchObject({ ends: ["rejected_by_broker a/2 3", "delivered a/0 1"], open: ["a/0 9"] });
  next.close();
  expect(files.openFiles).toBe(0);
});

/** A file in which one partition has seen everything. */
function eventful(files: FakeFiles): { bytes: Buffer; ends: number[] } {
  const path = `${JOURNAL}/${journalName(1)}`;
  const journal = openJournal(files);
  const ends = [JOURNAL_HEADER];
  const act = (action: () => void) => {
    action();
    journal.flush();
    ends.push(endOfEntries(files.content(path)));
  };
  act(() => journal.sending([entryOf("a", 0, [1, 2])]));
  act(() => journal.sending([entryOf("a", 0, [3])]));
  act(() => journal.ended("a", 0, RETURNED));
  act(() => journal.sending([entryOf("a", 0, [4])]));
  act(() => journal.ended("a", 0, DISCARDED));
  act(() => journal.sending([entryOf("a", 0, [5])]));
  act(() => journal.ended("a", 0, DELIVERED));
  act(() => journal.sending([entryOf("a", 0, [6])]));
  act(() => journal.sending([entryOf("a", 0, [7])]));
  journal.close();
  return { bytes: Buffer.from(files.content(path).subarray(0, ends.at(-1))), ends };
}

/** Behind them is room for more. */
function endOfEntries(content: Uint8Array): number {
  const bytes = Buffer.from(content);
  const seed = decodeJournalHeader(bytes)?.seed ?? 0;
  let end = JOURNAL_HEADER;
  for (let found = decodeEntry(bytes, end, seed); found !== undefined; found = decodeEntry(bytes, end, seed))
    end = found.next;
  expect(bytes.subarray(end).every((byte) => byte === 0)).toBe(true);
  return end;
}

test("a file that is cut at any byte says what its whole entries say", () => {
  const files = new FakeFiles();
  const { bytes, ends } = eventful(files);
  const path = `${JOURNAL}/${journalName(1)}`;
  const at = (size: number) => {
    files.put(path, bytes.subarray(0, size));
    const { ends, open, problems } = replayed(files);
    return { ends, open, problems };
  };
  for (let size = 0; size <= bytes.length; size++) {
    const whole = ends.filter((end) => end <= size).at(-1) ?? 0;
    expect(at(size)).toEqual({ ...at(whole), problems: [] });
  }
  expect(at(bytes.length).open).toEqual(["a/0 7"]);
});

/** What is not known any more when one of the entries of `eventful` is damaged: its own batch, or why one was discarded. */
const COSTS = [
  "delivered a/0 1,2",
  undefined,
  undefined,
  "rejected_by_broker a/0 4",
  "rejected_by_broker a/0 4",
  "delivered a/0 5",
  undefined,
  "delivered a/0 6",
  "delivered a/0 6",
];

test("a flipped byte costs what that entry alone said, and never makes anything delivered that was not", () => {
  const files = new FakeFiles();
  const { bytes, ends } = eventful(files);
  const whole = replayed(files);
  const delivered = ["delivered a/0 1,2", "delivered a/0 5", "delivered a/0 6"];
  expect(whole).toMatchObject({ open: ["a/0 7"] });
  expect(whole.ends).toEqual([delivered[0] as string, "rejected_by_broker a/0 4", ...delivered.slice(1)]);
  for (let at = JOURNAL_HEADER; at < bytes.length; at++) {
    for (const bit of [0x01, 0x80, 0xff]) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ bit;
      files.put(`${JOURNAL}/${journalName(1)}`, flipped);
      const found = replayed(files);
      const damaged = ends.findLastIndex((end) => end <= at);
      expect(found.ends).toEqual(whole.ends.filter((end) => end !== COSTS[damaged]));
      expect(found.open).toEqual(damaged === 8 ? ["a/0 6"] : ["a/0 7"]);
      expect(found.problems).toHaveLength(damaged === 8 ? 0 : 1);
    }
  }
});

test("a damaged header costs nothing, for the first entry tells the seed", () => {
  const files = new FakeFiles();
  const journal = openJournal(files);
  journal.sending([entryOf("a", 0, [1])]);
  journal.rotate();
  journal.sending([entryOf("a", 0, [2])]);
  const path = `${JOURNAL}/${journalName(1)}`;
  const whole = Buffer.from(files.content(path));
  for (let at = 0; at < JOURNAL_HEADER; at++) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] as number) ^ 0x20;
    files.put(path, flipped);
    const found = replayed(files);
    expect(found).toMatchObject({ ends: ["delivered a/0 1"], open: ["a/0 2"], problems: [{ path }] });
    flipped[JOURNAL_HEADER + 20] = 0xff;
    files.put(path, flipped);
    expect(replayed(files)).toMatchObject({ ends: ["delivered a/0 1"], open: ["a/0 2"], problems: [{ path }] });
  }
  files.put(path, Buffer.from(whole).fill(0, 0, JOURNAL_HEADER));
  expect(replayed(files).problems).toEqual([]);
});

test("while the disk fails nothing throws, and when it recovers all of it is in a new file", () => {
  for (const code of ["ENOSPC", "EIO"]) {
    const files = new FakeFiles();
    const timers = new Timers();
    const told: (string | undefined)[] = [];
    const journal = openJournal(files, { later: timers.later, onFailing: (why) => told.push(why) });
    journal.sending([entryOf("a", 0, [1]), entryOf("a", 1, [2])]);
    files.failNext("write", code);
    journal.sending([entryOf("a", 0, [3])]);
    expect(journal.failing).toContain(code);
    journal.ended("a", 1, DISCARDED);
    journal.sending([entryOf("a", 0, [4])]);
    expect(told).toHaveLength(1);
    files.failNext("open", code);
    timers.goOff();
    expect(journal.failing).toContain(code);
    timers.goOff();
    expect(journal.failing).toBeUndefined();
    expect(told).toEqual([expect.stringContaining(code), undefined]);
    journal.sending([entryOf("a", 1, [5])]);
    const all = ["delivered a/0 1", "rejected_by_broker a/1 2", "delivered a/0 3"];
    const found = replayed(files);
    expect(found.ends.toSorted()).toEqual(all.toSorted());
    expect(found.open.toSorted()).toEqual(["a/0 4", "a/1 5"]);
    journal.close();
    expect(files.openFiles).toBe(0);
  }
});

test("a disk that takes no new file leaves the old one in use, and its ordinal is the answer", () => {
  const files = new FakeFiles();
  const journal = openJournal(files);
  journal.sending([entryOf("a", 0, [1])]);
  for (const call of ["open", "write"] as const) {
    files.failNext(call, "ENOSPC");
    expect(journal.rotate()).toBe(1);
    expect(journal.failing).toBeUndefined();
    journal.sending([entryOf("a", 0, call === "open" ? [2] : [3])]);
  }
  expect(replayed(files)).toMatchObject({ ends: ["delivered a/0 1", "delivered a/0 2"], open: ["a/0 3"] });
  expect(journal.rotate()).toBe(2);
  expect(replayed(files)).toMatchObject({ ends: ["delivered a/0 1", "delivered a/0 2"], open: ["a/0 3"] });
});

test("what was counted as possible duplicates is found, once for each time, in the files from a checkpoint on", () => {
  const files = new FakeFiles();
  const timers = new Timers();
  const journal = openJournal(files, { later: timers.later });
  journal.sending([entryOf("a", 0, [1, 2]), entryOf("b", 0, [3])]);
  journal.sending([entryOf("a", 0, [1, 2], { producerId: 2n, repeats: true })]);
  journal.sending([
    entryOf("a", 0, [1, 2], { producerId: 3n, repeats: true }),
    entryOf("b", 0, [3], { repeats: true }),
  ]);
  const repeated = (from: number) => Object.fromEntries(replayJournal(files, JOURNAL, from, () => {}).repeated);
  expect(repeated(1)).toEqual({ a: 4, b: 1 });
  expect(replayed(files)).toMatchObject({ ends: [], open: ["a/0 1,2", "b/0 3"] });
  journal.rotate();
  expect(repeated(2)).toEqual({});
  // It is written again when the disk said that it was not, and it was.
  const write = files.write.bind(files);
  files.write = (...args) => {
    write(...args);
    files.write = write;
    throw new Error("EIO");
  };
  journal.sending([entryOf("a", 0, [1, 2], { producerId: 4n, repeats: true })]);
  expect(journal.failing).toBe("EIO");
  timers.goOff();
  expect(journal.failing).toBeUndefined();
  expect(repeated(2)).toEqual({ a: 2 });
});

test("a start on a full disk goes on with the file of the run before, and what is torn at its end is no harm", () => {
  const files = new FakeFiles();
  const first = openJournal(files, { room: 10_000 });
  first.sending([entryOf("a", 0, [1]), entryOf("a", 1, [2])]);
  first.sending([entryOf("a", 0, [3])]);
  files.crash("process");
  const path = `${JOURNAL}/${journalName(1)}`;
  const torn = Buffer.from(files.content(path));
  torn.fill("brj1", endOfEntries(torn), endOfEntries(torn) + 400);
  files.put(path, torn);
  const { entries, header, end } = replayed(files);
  files.failNext("write", "ENOSPC");
  const told: unknown[] = [];
  const last = header && { header, end };
  const second = openJournal(files, { ordinal: 2, last, carried: entries, onFailing: (why) => told.push(why) });
  expect(second.failing).toBeUndefined();
  expect(second.ordinal).toBe(1);
  second.ended("a", 1, DISCARDED);
  second.sending([entryOf("a", 0, [4])]);
  const ends = ["delivered a/0 1", "rejected_by_broker a/1 2", "delivered a/0 3"];
  expect(replayed(files)).toMatchObject({ ends, open: ["a/0 4"] });
  // When there is room again, it stands for what the new one does not say, until a checkpoint knows it.
  expect(second.rotate()).toBe(2);
  second.sending([entryOf("a", 1, [5])]);
  expect(replayed(files)).toMatchObject({ ends, open: ["a/0 4", "a/1 5"] });
  expect(replayed(files, 2)).toMatchObject({ ends: [], open: ["a/0 4", "a/1 5"] });
  expect(second.bytes).toBe(files.content(path).length + files.content(`${JOURNAL}/${journalName(2)}`).length);
  second.removeBefore(2);
  expect(listJournals(files, JOURNAL)).toEqual([2]);
  expect(told).toEqual([]);
  second.close();
  expect(files.openFiles).toBe(0);
});

/** Files whose directories are safe from a power cut. */
function durable(seed: number): FakeFiles {
  const files = new FakeFiles(seed);
  files.makeDirectory(JOURNAL);
  for (const directory of ["/", "/data"]) files.syncDirectory(directory);
  return files;
}

test("a failed sync begins a new file", async () => {
  const files = durable(1);
  const journal = openJournal(files);
  journal.sending([entryOf("a", 0, [1]), entryOf("a", 1, [2])]);
  files.failNext("sync", "EIO");
  await journal.sync();
  expect(journal.ordinal).toBe(2);
  expect(journal.failing).toBeUndefined();
  await journal.sync();
  files.crash("power");
  expect(replayed(files, 2)).toMatchObject({ ends: [], open: ["a/0 1", "a/1 2"] });
});

test("what was synced survives a power cut, and what was not does no harm", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const files = durable(seed);
    const journal = openJournal(files);
    for (let number = 1; number <= 10; number++) {
      journal.sending([entryOf("a", 0, [number])]);
      if (number === 3) journal.rotate();
    }
    await journal.sync();
    for (let number = 11; number <= 20; number++) {
      journal.sending([entryOf("a", 0, [number])]);
      if (number === 15) journal.rotate();
    }
    files.crash("power");
    const { ends, open } = replayed(files);
    expect(ends.slice(0, 9)).toEqual(range(1, 10).map((number) => `delivered a/0 ${number}`));
    const last = Number(open[0]?.split(" ")[1]);
    expect(open).toHaveLength(1);
    expect(last).toBeGreaterThanOrEqual(10);
  }
});
