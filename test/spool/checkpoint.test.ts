// One of the two slots is always whole, whatever happens while the other one is written.
import { expect, test } from "bun:test";
import type { Account } from "../../src/observe/ledger.ts";
import { CheckpointStore } from "../../src/spool/checkpoint.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { setOf, valuesOf } from "./logFixture.ts";
import { accountOf, stateOf } from "./stateFixture.ts";

const DIRECTORY = "/data";

function storeOn(files: FakeFiles): CheckpointStore {
  files.makeDirectory(DIRECTORY);
  files.syncDirectory("/");
  return new CheckpointStore(files, DIRECTORY, () => 5000);
}

function reload(files: FakeFiles) {
  return new CheckpointStore(files, DIRECTORY).load();
}

test("what was written is read again", async () => {
  const files = new FakeFiles();
  const store = storeOn(files);
  expect(store.load()).toEqual({ checkpoint: undefined, damaged: [] });
  expect(store.firstJournal).toBe(0);
  const odd: Account = { ...accountOf(7, 3), discarded: 2, discardsByReason: new Map([["malformed", 2]]) };
  const topics: [string, Account][] = [
    ["__proto__", odd],
    ["17", accountOf(1, 1)],
  ];
  const state = stateOf({
    clean: true,
    unsettled: setOf([3, 4, 5, 2 ** 40]),
    settled: setOf([90]),
    held: [
      {
        name: "a@3",
        topic: "a",
        partition: 3,
        reason: "leaderless",
        read: { number: 5, segment: 1, offset: 64 },
        head: { number: 50, segment: 2, offset: 900 },
        unread: 12,
        unsettled: setOf([1]),
        settled: setOf([]),
      },
    ],
    ledger: { total: odd, noTopic: accountOf(), topics: () => topics },
    topicsSeen: ["a", "b"],
    sessions: [["00".repeat(16), 12, 99]],
  });
  await store.write(state);
  const { checkpoint } = reload(files);
  const { ledger: _, ...others } = state;
  expect(checkpoint).toMatchObject({ ...others, generation: 1, writtenAt: 5000 });
  expect(valuesOf(checkpoint?.unsettled ?? setOf([]))).toEqual([3, 4, 5, 2 ** 40]);
  expect(checkpoint?.ledger.total).toEqual(odd);
  expect([...(checkpoint?.ledger.topics() ?? [])].sort()).toEqual([...topics].sort());
});

test("the slots are written in turn, and the newer one counts", async () => {
  const files = new FakeFiles();
  const store = storeOn(files);
  for (let journal = 1; journal <= 5; journal++) {
    await store.write(stateOf({ journal }));
    expect(reload(files).checkpoint).toMatchObject({ generation: journal, journal });
    expect(store.firstJournal).toBe(Math.max(1, journal - 1));
  }
  // Goes on after a restart where it was.
  const next = new CheckpointStore(files, DIRECTORY);
  next.load();
  expect(next.firstJournal).toBe(4);
  await next.write(stateOf({ journal: 6 }));
  expect(reload(files).checkpoint).toMatchObject({ generation: 6, journal: 6 });
  expect(next.firstJournal).toBe(5);
});

test("a write cut at any byte leaves the checkpoint before, or is there in full", async () => {
  const files = new FakeFiles();
  const store = storeOn(files);
  await store.write(stateOf({ journal: 1 }));
  await store.write(stateOf({ journal: 2 }));
  const old = Buffer.from(files.content("/data/checkpoint.0"));
  await store.write(stateOf({ journal: 3, topicsSeen: ["longer than before"] }));
  const whole = Buffer.from(files.content("/data/checkpoint.0"));
  const length = whole.indexOf(0, 40);
  for (let cut = 0; cut <= length; cut++) {
    files.put("/data/checkpoint.0", Buffer.concat([whole.subarray(0, cut), old.subarray(cut)]));
    expect(reload(files).checkpoint?.journal).toBe(cut < length ? 2 : 3);
  }
});

test("any byte flipped costs at most that slot; with both gone there is none, and no error", async () => {
  const files = new FakeFiles();
  const store = storeOn(files);
  await store.write(stateOf({ journal: 1 }));
  await store.write(stateOf({ journal: 2 }));
  const whole = Buffer.from(files.content("/data/checkpoint.1"));
  const end = whole.indexOf(0, 40);
  for (let at = 0; at < end + 10; at++) {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] as number) ^ 0x10;
    files.put("/data/checkpoint.1", bytes);
    const { checkpoint, damaged } = reload(files);
    // Four bytes of the header, and all behind the content, say nothing.
    const matters = at < end && !(at >= 28 && at < 32);
    expect(checkpoint?.journal).toBe(matters ? 1 : 2);
    expect(damaged).toEqual(matters ? ["/data/checkpoint.1"] : []);
  }
  files.put("/data/checkpoint.0", Buffer.from("no checkpoint"));
  files.put("/data/checkpoint.1", Buffer.alloc(0));
  expect(reload(files)).toEqual({ checkpoint: undefined, damaged: ["/data/checkpoint.0", "/data/checkpoint.1"] });
});

test.each(["write", "sync", "open"] as const)("when %s fails, the checkpoint before is still there", async (call) => {
  const files = new FakeFiles();
  const store = storeOn(files);
  await store.write(stateOf({ journal: 1 }));
  if (call !== "open") await store.write(stateOf({ journal: 2 }));
  const before = call === "open" ? 1 : 2;
  for (let round = 0; round < 3; round++) {
    files.failNext(call, "EIO", "checkpoint");
    await expect(store.write(stateOf({ journal: 9 }))).rejects.toThrow("EIO");
    expect(reload(files).checkpoint?.journal).toBe(before);
    expect(store.firstJournal).toBe(before);
  }
  await store.write(stateOf({ journal: 10 }));
  expect(reload(files).checkpoint?.journal).toBe(10);
});

test("a power cut at any moment leaves one of the last two checkpoints", async () => {
  for (let seed = 1; seed <= 100; seed++) {
    const files = new FakeFiles(seed);
    const store = storeOn(files);
    let written = 0;
    let tried = 0;
    files.dieAfter(seed % 30);
    try {
      for (tried = 1; tried < 20; tried++) {
        await store.write(stateOf({ journal: tried }));
        written = tried;
      }
    } catch {}
    files.crash(seed % 2 === 0 ? "power" : "process");
    const journal = reload(files).checkpoint?.journal ?? 0;
    expect(journal).toBeGreaterThanOrEqual(written);
    expect(journal).toBeLessThanOrEqual(tried);
  }
});

test("there is room for the next checkpoints on a disk that got full", async () => {
  const files = new FakeFiles();
  const store = storeOn(files);
  await store.write(stateOf({ journal: 1 }));
  await store.write(stateOf({ journal: 2 }));
  files.capacity = files.used;
  const topicsSeen = Array.from({ length: 1000 }, (_, index) => `topic ${index}`);
  for (let journal = 3; journal < 10; journal++) await store.write(stateOf({ journal, topicsSeen }));
  expect(reload(files).checkpoint?.journal).toBe(9);
});

test("a checkpoint says what was so when it was asked for, also when it has to wait", async () => {
  const files = new FakeFiles();
  const store = storeOn(files);
  const { promise, resolve } = Promise.withResolvers<void>();
  const unsettled = setOf([1, 2]);
  const written = store.write(stateOf({ unsettled }), promise);
  unsettled.delete(1);
  expect(reload(files).checkpoint).toBeUndefined();
  resolve();
  await written;
  expect(valuesOf(reload(files).checkpoint?.unsettled ?? setOf([]))).toEqual([1, 2]);
  const failing = Promise.reject(new Error("EIO: held logs"));
  await expect(store.write(stateOf({ journal: 7 }), failing)).rejects.toThrow("held logs");
  expect(reload(files).checkpoint?.journal).toBe(1);
});
