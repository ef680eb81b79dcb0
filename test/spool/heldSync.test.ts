// What a held log was told to make safe is safe from a power cut, also when the disk lost it once; and damage is told of.
import { expect, test } from "bun:test";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { HeldFrames } from "../../src/route/heldFrames.ts";
import { MemoryBudget, MemoryUse } from "../../src/route/memoryBudget.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { findHeldLogs } from "../../src/spool/recoverHeld.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { FakeFiles } from "../support/fakeFiles.ts";

const ID = "0123456789abcdef0123456789abcdef";

function open(files: FakeFiles, onLost: (count: number) => void = () => {}, wallClock = Date.now) {
  return new HeldLogs({
    ...{ files, directory: "/held", directoryId: ID, cap: 1 << 30, segment: 1 << 16, wallClock },
    onLost: (_topic, count) => onLost(count),
  });
}

function write(logs: HeldLogs, from: number, count: number): void {
  const frames = new HeldFrames(new BufferPool(1 << 24), new MemoryUse(new MemoryBudget(1 << 30)));
  for (let number = from; number < from + count; number++) {
    const value = Buffer.from(`${number}`.padEnd(500));
    const frame = encodeAnyPartition({ topic: "t", timestamp: 0, key: new Uint8Array(), value });
    frames.append(number, frame, 0, frame.length);
  }
  logs.open("t", undefined).take(frames, () => {});
}

function readAll(logs: HeldLogs): number[] {
  const numbers: number[] = [];
  logs.open("t", undefined).drain(
    () => true,
    (number) => numbers.push(number) > 0,
  );
  return numbers;
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

/** What is in the files, as a start without a checkpoint finds it. */
function found(files: FakeFiles): number[] {
  const search = { files, directory: "/held", quarantine: "/quarantine", directoryId: ID, repair: true, states: [] };
  const numbers: number[] = [];
  for (const { moved } of findHeldLogs({ ...search, onProblem: () => {} }))
    moved.forEach((each) => {
      numbers.push(each);
    });
  return numbers;
}

test.each([1, 2, 3, 4, 5])(
  "a sync makes it safe from a power cut, whatever the disk lost before (seed %d)",
  async (seed) => {
    const files = new FakeFiles(seed);
    files.makeDirectory("/held");
    files.syncDirectory("/");
    const logs = open(files);
    write(logs, 1, 300);
    files.failNext("sync", "EIO", ".segment");
    await logs.sync();
    write(logs, 301, 100);
    files.crash("power");
    const there = found(files);
    expect(there.filter((number) => number <= 300)).toEqual(upTo(300));
  },
);

test("a sync that the disk refuses altogether says so, and can be asked for again", async () => {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  files.syncDirectory("/");
  const logs = open(files);
  write(logs, 1, 10);
  files.setFaults({ lostSync: 1 });
  await expect(logs.sync()).rejects.toThrow("EIO");
  files.setFaults({});
  await logs.sync();
  files.crash("power");
  expect(found(files)).toEqual(upTo(10));
});

test("what is damaged is told of by how many messages it was, and all others come out", () => {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  let lost = 0;
  const logs = open(files, (count) => {
    lost += count;
  });
  write(logs, 1, 1000);
  const [first = ""] = files.list("/held/t");
  const path = `/held/t/${first}`;
  const content = Buffer.from(files.content(path));
  content.fill(0, 1000, 1010);
  files.put(path, content);
  const numbers = readAll(logs);
  expect(numbers.length).toBeGreaterThan(800);
  expect(lost).toBe(1000 - numbers.length);
  expect(logs.open("t", undefined).count).toBe(0);
});

test("what was handed out when it ended comes again, before what was not, and what ended does not", () => {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  const before = open(files);
  write(before, 1, 500);
  before.open("t", undefined).drain(
    () => true,
    (number) => number <= 300,
  );
  const settled = new MessageNumbers();
  for (const number of [1, 2, 3, 200, 299]) settled.append(number);
  before.settle("t", settled, "delivered");
  const [state] = before.states();
  if (state === undefined) throw new Error("there is no log");
  files.crash("process");
  const { segments } = findHeldLogs({
    ...{ files, directory: "/held", quarantine: "/quarantine", directoryId: ID, repair: true, states: [state] },
    onProblem: () => {},
  })[0]?.found ?? { segments: [] };
  const after = open(files);
  const unread = state.unread + state.unsettled.size;
  const restored = { ...state, segments, again: state.unsettled, skip: state.settled, open: new NumberSet(), unread };
  after.restore([{ ...restored, nextOrdinal: 9 }]);
  write(after, 501, 100);
  expect(after.unsettled).toBe(595);
  expect(readAll(after)).toEqual(upTo(600).filter((number) => ![1, 2, 3, 200, 299].includes(number)));
});

test.each([1, 2, 3, 4, 5, 6])(
  "what is removed comes to nobody again, also when a power cut brings it back (seed %d)",
  async (seed) => {
    const files = new FakeFiles(seed);
    files.makeDirectory("/held");
    files.syncDirectory("/");
    const logs = open(files);
    write(logs, 1, 300);
    await logs.sync();
    const numbers = new MessageNumbers();
    for (const number of readAll(logs)) numbers.append(number);
    logs.settle("t", numbers, "delivered");
    logs.drop(logs.garbage());
    const states = logs.states();
    expect(states.length).toBe(1);
    if (seed % 2 === 0) write(logs, 1001, 10);
    files.crash("power");
    const search = { files, directory: "/held", quarantine: "/quarantine", directoryId: ID, repair: true, states };
    for (const { moved } of findHeldLogs({ ...search, onProblem: () => {} }))
      moved.forEach((number) => {
        expect(number).toBeGreaterThan(1000);
      });
    await logs.sync().catch(() => {});
  },
);

test("a file that cannot be removed is known of until it can", () => {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  const logs = open(files);
  write(logs, 1, 10);
  const numbers = new MessageNumbers();
  for (const number of readAll(logs)) numbers.append(number);
  logs.settle("t", numbers, "delivered");
  files.failNext("remove", "EIO");
  logs.drop(logs.garbage());
  expect(logs.states()).toMatchObject([{ topic: "t", unread: 0 }]);
  write(logs, 21, 10);
  expect(readAll(logs)).toEqual(upTo(10).map((number) => number + 20));
  logs.drop(logs.garbage());
  expect(files.list("/held/t").length).toBe(1);
});

test("a file that could not be opened for its sync is synced by the next one", async () => {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  files.syncDirectory("/");
  const logs = open(files);
  write(logs, 1, 10);
  files.failNext("open", "EMFILE");
  await expect(logs.sync()).rejects.toThrow("EMFILE");
  await logs.sync();
  files.crash("power");
  expect(found(files)).toEqual(upTo(10));
});

test.each(["EACCES", "EMFILE", "EIO"])(
  "a file that cannot be opened (%s) is told of until it can, and nothing is lost",
  (code) => {
    const files = new FakeFiles();
    files.makeDirectory("/held");
    let lost = 0;
    const logs = open(files, (count) => {
      lost += count;
    });
    write(logs, 1, 10);
    for (let attempt = 0; attempt < 2; attempt++) {
      files.failNext("open", code, "/t/");
      expect(readAll(logs)).toEqual([]);
      expect(logs.unreadable).toContain(code);
    }
    expect(readAll(logs)).toEqual(upTo(10));
    expect([logs.unreadable, lost]).toEqual([undefined, 0]);
  },
);

test.each([1, 2, 3])(
  "what a process left behind that died is made safe by the next one's sync (seed %d)",
  async (seed) => {
    const files = new FakeFiles(seed);
    files.makeDirectory("/held");
    files.syncDirectory("/");
    write(open(files), 1, 300);
    files.crash("process");
    const search = { files, directory: "/held", quarantine: "/quarantine", directoryId: ID, repair: true, states: [] };
    const [log] = findHeldLogs({ ...search, onProblem: () => {} });
    if (log === undefined) throw new Error("there is no log");
    const after = open(files);
    const none = () => new NumberSet();
    const { state, found: there } = log;
    const sets = { again: none(), skip: none(), open: none() };
    after.restore([{ ...state, ...sets, segments: there.segments, unread: 300, nextOrdinal: 9 }]);
    await after.sync();
    files.crash("power");
    expect(found(files)).toEqual(upTo(300));
  },
);

test("what the last checkpoint made safe is not synced again: there may be thousands of logs", async () => {
  const files = new FakeFiles(1);
  files.makeDirectory("/held");
  files.syncDirectory("/");
  const before = open(files);
  write(before, 1, 300);
  await before.sync();
  const states = before.states();
  const restored = () => {
    files.crash("process");
    const search = { files, directory: "/held", quarantine: "/quarantine", directoryId: ID, repair: true, states };
    const [log] = findHeldLogs({ ...search, onProblem: () => {} });
    if (log === undefined) throw new Error("there is no log");
    const sets = { again: new NumberSet(), skip: new NumberSet(), open: new NumberSet() };
    const after = open(files);
    after.restore([{ ...log.state, ...sets, segments: log.found.segments, nextOrdinal: 9 }]);
    return after;
  };
  const after = restored();
  const { changes } = files;
  await after.sync();
  expect(files.changes).toBe(changes);
  // But what came since is.
  write(after, 301, 10);
  await restored().sync();
  files.crash("power");
  expect(found(files)).toEqual(upTo(310));
});

test("what waits keeps its age over a restart", () => {
  const files = new FakeFiles(1);
  files.makeDirectory("/held");
  const at = (time: number) => open(files, undefined, () => time);
  write(at(1_000), 1, 300);
  const search = { files, directory: "/held", quarantine: "/quarantine", directoryId: ID, repair: true, states: [] };
  const [log] = findHeldLogs({ ...search, onProblem: () => {} });
  if (log === undefined) throw new Error("there is no log");
  const after = at(61_000);
  const sets = { again: new NumberSet(), skip: new NumberSet(), open: new NumberSet() };
  after.restore([{ ...log.state, ...sets, segments: log.found.segments, unread: 300, nextOrdinal: 9 }]);
  const [report] = after.reports();
  expect(report).toMatchObject({ messages: 300, oldestAge: 60_000 });
});
