// What counts as safe from a power cut is; what an fdatasync failed for never does, and its file gets nothing more.
import { expect, test } from "bun:test";
import { DiskBench, freshStart, segmentsIn } from "./diskBench.ts";

/** Resolves when the syncs of that bench have nothing more to do. */
async function rest(bench: DiskBench): Promise<void> {
  await bench.queue.syncNow();
}

test("what was written before an fdatasync began is safe after it, and what came meanwhile is not yet", async () => {
  const bench = new DiskBench({ segmentSize: 1000 });
  for (let i = 0; i < 30; i++) bench.append(3);
  bench.files.holdSyncs = true;
  const done = Promise.withResolvers<number>();
  bench.queue.onRoom(() => done.resolve(bench.writer.synced));
  bench.writer.syncSoon();
  bench.append(1);
  bench.files.holdSyncs = false;
  bench.files.releaseSyncs();
  expect(await done.promise).toBe(90);
  await rest(bench);
  expect(bench.writer.synced).toBe(91);
  bench.files.crash("power");
  expect(segmentsIn(bench.files).reduce((sum, { messages }) => sum + messages, 0)).toBe(91);
});

test("one that is asked for wakes the writer's thread, once for however many asked", async () => {
  const bench = new DiskBench();
  bench.append(5);
  const woken = Promise.withResolvers<void>();
  bench.queue.onRoom(() => woken.resolve());
  bench.writer.syncSoon();
  bench.writer.syncSoon();
  await woken.promise;
  expect(bench.writer.synced).toBe(5);
});

test("one that asks while another sync ends is told when its own messages are safe, however late its word comes", async () => {
  const bench = new DiskBench();
  const told: number[] = [];
  bench.queue.onRoom(() => told.push(bench.writer.synced));
  bench.append(5);
  bench.files.holdSyncs = true;
  bench.queue.told({ type: "syncWanted" });
  // Appended and asked for after the first has begun; the word of it comes when that one is over.
  bench.append(5);
  const late = bench.holdWords();
  bench.writer.syncSoon();
  bench.files.holdSyncs = false;
  bench.files.releaseSyncs();
  while (bench.writer.synced < 5) await Bun.sleep(1);
  await Bun.sleep(1);
  expect(told).toEqual([]);
  late();
  while (bench.writer.synced < 10) await Bun.sleep(1);
  await rest(bench);
  expect(told).toEqual([10]);
});

test("one that asks for what is safe already is told at once", async () => {
  const bench = new DiskBench();
  bench.append(5);
  await rest(bench);
  const told: number[] = [];
  bench.queue.onRoom(() => told.push(bench.writer.synced));
  const { changes } = bench.files;
  bench.writer.syncSoon();
  await rest(bench);
  expect(told).toEqual([5]);
  expect(bench.files.changes).toBe(changes);
});

test("an interval syncs by itself, and only when there is something new", async () => {
  const bench = new DiskBench({ sync: 1 });
  const { files, writer, queue } = bench;
  const synced = async (number: number) => {
    while (writer.synced < number) await Bun.sleep(1);
  };
  bench.append(5);
  await synced(5);
  const { changes } = files;
  await Bun.sleep(10);
  expect(files.changes).toBe(changes);
  bench.append(5);
  await synced(10);
  expect(queue.sync).toEqual({ age: 0, failures: 0 });
  await queue.stop();
});

test("always: each append is followed by an fdatasync, also one that came while another was on its way", async () => {
  const bench = new DiskBench({ sync: "always" });
  const synced = async (number: number) => {
    while (bench.writer.synced < number) await Bun.sleep(1);
  };
  bench.append(5);
  await synced(5);
  bench.files.holdSyncs = true;
  bench.append(5);
  await Bun.sleep(1);
  bench.append(5);
  bench.files.holdSyncs = false;
  bench.files.releaseSyncs();
  await synced(15);
  await bench.queue.stop();
});

test("it can be made more often, less often or not at all while messages come", async () => {
  const bench = new DiskBench({ sync: "never" });
  const synced = async (number: number) => {
    while (bench.writer.synced < number) await Bun.sleep(1);
  };
  bench.append(5);
  bench.queue.setSync("always");
  await synced(5);
  bench.append(5);
  await synced(10);
  bench.queue.setSync(1);
  bench.append(5);
  await synced(15);
  bench.queue.setSync("never");
  // The last append before may have been promised one.
  bench.append(5);
  await rest(bench);
  const { changes } = bench.files;
  bench.append(5);
  await Bun.sleep(20);
  expect(bench.writer.synced).toBe(20);
  expect(bench.files.changes).toBeGreaterThanOrEqual(changes);
  bench.queue.setSync("always");
  bench.queue.setSync("always");
  await synced(25);
  bench.append(5);
  await synced(30);
  await bench.queue.stop();
});

test("after one that failed, the segment gets nothing more, its messages are never safe, and later ones are", async () => {
  const bench = new DiskBench();
  bench.append(5);
  await rest(bench);
  bench.append(5);
  bench.files.failNext("sync", "EIO", ".segment");
  await rest(bench);
  expect([bench.calls.syncFailures, bench.queue.sync.failures]).toEqual([1, 1]);
  expect([5, 6, 10].map((number) => bench.refused(number))).toEqual([false, true, true]);
  // Nobody had asked the writer yet: what it still appends to the old segment is refused as well.
  const { segment } = bench.queue.head;
  bench.append(5);
  expect(bench.queue.head.segment).toBe(segment + 1);
  await rest(bench);
  expect(bench.writer.synced).toBe(15);
  expect([5, 6, 10, 11, 15].map((number) => bench.refused(number))).toEqual([false, true, true, false, false]);
  expect(bench.calls.syncFailures).toBe(1);
  expect(bench.takeAll()).toHaveLength(15);
});

test("a second failure does not make safe what an earlier one covered", async () => {
  const bench = new DiskBench();
  for (let round = 0; round < 2; round++) {
    bench.append(5);
    bench.files.failNext("sync", "EIO", ".segment");
    await rest(bench);
    bench.append(5);
    await rest(bench);
  }
  // Numbers 6 to 10 are safe, and count as failed together with what is around them.
  expect([1, 5, 11, 15, 16, 20].map((number) => bench.refused(number))).toEqual([true, true, true, true, false, false]);
  const { writer } = bench;
  expect([writer.refusedSync(1, 20), writer.refusedSync(16, 20), writer.refusedSync(14, 14)]).toEqual([15, 0, 14]);
});

test("what is in memory alone is refused, and what a process left when it died is synced too", async () => {
  const bench = new DiskBench();
  bench.append(5);
  bench.files.failNext("write", "ENOSPC");
  bench.append(5);
  await rest(bench);
  expect([5, 6, 10, 11].map((number) => bench.refused(number))).toEqual([false, true, true, false]);
  bench.now += 1000;
  bench.append(5);
  await rest(bench);
  expect([5, 6, 10, 11].some((number) => bench.refused(number))).toBe(false);

  const left = new DiskBench();
  left.append(5);
  left.files.crash("process");
  const segments = segmentsIn(left.files);
  const start = { ...freshStart(), segments, nextNumber: 100, previousEnd: 6 };
  const next = new DiskBench({ start }, left.files);
  expect(next.writer.synced).toBe(0);
  await rest(next);
  expect(next.writer.synced).toBe(99);
  left.files.crash("power");
  expect(segmentsIn(left.files)[0]?.messages).toBe(5);
});

test("always: a segment that cannot be opened leaves the event loop its turn", async () => {
  const bench = new DiskBench({ sync: "always" });
  const { files, writer, queue } = bench;
  // Told of nothing, so that the segment has to be looked for; and that fails for as long as there are no descriptors.
  queue.told = () => {};
  bench.append(5);
  const { open } = files;
  files.open = () => {
    throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
  };
  void queue.syncNow();
  await Bun.sleep(5);
  expect(writer.synced).toBe(0);
  files.open = open;
  await queue.stop();
  expect(writer.synced).toBe(5);
});
