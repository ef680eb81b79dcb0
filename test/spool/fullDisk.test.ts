// A disk that is full of what is settled is given back, in whatever order the two threads learn of it.
import { expect, test } from "bun:test";
import { segmentName } from "../../src/spool/segmentWriter.ts";
import { DiskBench } from "./diskBench.ts";

/** The writer waits for room in a disk that has two segments, one of them open: a large block found none, a small one did. */
function fullBench(wordsLate: boolean): { bench: DiskBench; late: () => void } {
  const bench = new DiskBench({ limit: 6000, segmentSize: 2500, credit: 1 });
  while (bench.queue.bytesOnDisk < 1500) bench.append(1, 100);
  expect(bench.append(1, 5000)).toBe(0);
  const late = wordsLate ? bench.holdWords() : () => {};
  expect(bench.append(10, 100)).toBeGreaterThan(0);
  return { bench, late };
}

function expectRoom(bench: DiskBench): void {
  bench.dropSettled();
  expect(bench.append(1, 5000)).toBeGreaterThan(0);
}

function settleSome(bench: DiskBench): void {
  const numbers = bench.take();
  if (numbers !== undefined) bench.settle(numbers);
}

function settleAll(bench: DiskBench): void {
  while (bench.queue.unread > 0) settleSome(bench);
}

test("when the word of the segment that is written to comes after all in it is settled", () => {
  const { bench, late } = fullBench(true);
  settleAll(bench);
  late();
  expectRoom(bench);
});

test("when what is left unsettled turns out to be lost", () => {
  const { bench } = fullBench(false);
  const path = `/log/${segmentName(bench.queue.head.segment)}`;
  const content = bench.files.content(path);
  bench.files.put(path, content.fill(0, content.length - 500));
  while (bench.lost.length === 0) settleSome(bench);
  expectRoom(bench);
});

test("when an fdatasync of an older segment fails at that very moment", async () => {
  const { bench } = fullBench(false);
  bench.files.holdSyncs = true;
  bench.files.failNext("sync", "EIO", ".segment");
  const synced = bench.queue.syncNow();
  // The writer's thread is woken, and busy.
  bench.queue.onRoom(() => {});
  settleAll(bench);
  bench.files.holdSyncs = false;
  bench.files.releaseSyncs();
  await synced;
  bench.writer.tend();
  expectRoom(bench);
});
