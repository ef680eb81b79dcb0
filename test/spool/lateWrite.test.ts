// The disk took nothing for a while: when it does again, what was in memory alone is written down too, and outlives a crash.
import { expect, test } from "bun:test";
import type { Block } from "../../src/spool/block.ts";
import { createRingMemory, RingReader, RingWriter } from "../../src/spool/ring.ts";
import { DiskBench, freshStart, segmentsIn } from "./diskBench.ts";
import { range, setOf, valuesOf } from "./logFixture.ts";

const id = Buffer.alloc(16, 9);
const session = (position: number) => ({ id, idHex: id.toString("hex"), position });

/** The disk takes nothing from now on. `again` has it take everything, `some` only so many writes. */
function refuse(bench: DiskBench, most = 0): { again: () => void; some: () => void } {
  const { files } = bench;
  const write = files.write.bind(files);
  let left = 0;
  files.write = (...args) => {
    if (left-- <= 0) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    return write(...args);
  };
  const allow = (writes: number) => () => {
    left = writes;
    bench.now += 1000;
    bench.writer.tend();
  };
  return { again: allow(Number.POSITIVE_INFINITY), some: allow(most) };
}

/** The same directory after a kill, by a checkpoint that knows `settled` of what was taken up to `read`. */
function restart(bench: DiskBench, settled: number[] = []): DiskBench {
  const { readPosition: read } = bench.queue;
  const unsettled = valuesOf(bench.queue.unsettledNumbers());
  bench.files.crash("process");
  const segments = segmentsIn(bench.files);
  const previousEnd = Math.max(read.number, segments.at(-1)?.end ?? 1);
  return new DiskBench(
    {
      start: {
        ...freshStart(),
        segments,
        read,
        again: setOf(unsettled.filter((number) => !settled.includes(number))),
        nextNumber: 10_000,
        previousEnd,
        nextOrdinal: (segments.at(-1)?.ordinal ?? 0) + 1,
      },
    },
    bench.files,
  );
}

test("taken or not, all of it is in a file, in the order of the numbers, and in none of a log's wrong places", () => {
  const bench = new DiskBench({ segmentSize: 3000 });
  for (let i = 0; i < 5; i++) bench.append(10, 50);
  const disk = refuse(bench);
  for (let i = 0; i < 10; i++) bench.append(10, 50, i % 2 === 0 ? session(i * 10) : undefined);
  for (let i = 0; i < 9; i++) bench.take();
  expect(bench.queue.inMemoryAlone).toBe(100);
  disk.again();
  expect([bench.writer.state, bench.queue.inMemoryAlone]).toEqual(["disk", 0]);
  for (let i = 0; i < 5; i++) bench.append(10, 50);
  const segments = segmentsIn(bench.files);
  for (const [index, { firstNumber, previousEnd, end }] of segments.entries()) {
    expect([firstNumber, previousEnd]).toEqual([segments[index - 1]?.end ?? 1, firstNumber]);
    expect(end).toBeGreaterThan(firstNumber);
  }
  expect(segments.at(-1)?.end).toBe(201);
  expect(bench.queue.bytesOnDisk).toBe(bench.files.used);

  const next = restart(bench);
  const positions: number[] = [];
  const look = ({ session, position }: Block) => void (session !== undefined && positions.push(position));
  expect(next.takeAll(look)).toEqual(range(1, 201));
  expect(positions).toEqual([0, 20, 40, 60, 80]);
  expect([next.lost, next.damage]).toEqual([[], []]);
});

test("without a crash nothing comes twice, and the files go when all of them is settled", () => {
  const bench = new DiskBench({ segmentSize: 3000 });
  for (let i = 0; i < 5; i++) bench.append(10, 50);
  const disk = refuse(bench);
  for (let i = 0; i < 10; i++) bench.append(10, 50);
  const taken: number[] = [];
  for (let i = 0; i < 9; i++) taken.push(...(bench.take() ?? []));
  disk.again();
  for (let i = 0; i < 5; i++) bench.append(10, 50);
  taken.push(...bench.takeAll());
  expect(taken).toEqual(range(1, 201));
  bench.settle([...range(1, 60), ...range(61, 201)]);
  // One that was in memory alone keeps the file that it is in now.
  bench.dropSettled();
  expect(segmentsIn(bench.files).some((each) => each.firstNumber <= 60 && each.end > 60)).toBe(true);
  bench.settle([60]);
  bench.dropSettled();
  expect(bench.queue.segments).toBe(1);
  expect(bench.lost).toEqual([]);
});

test("words that come late do no harm: what was taken meanwhile counts where it is", () => {
  const bench = new DiskBench({ segmentSize: 3000 });
  const disk = refuse(bench);
  for (let i = 0; i < 10; i++) bench.append(10, 50);
  for (let i = 0; i < 3; i++) bench.take();
  const tell = bench.holdWords();
  disk.again();
  for (let i = 0; i < 3; i++) bench.take();
  tell();
  expect(bench.queue.inMemoryAlone).toBe(0);
  bench.takeAll();
  expect(bench.queue.inMemoryAlone).toBe(0);
  bench.settle(range(2, 101));
  bench.dropSettled();
  expect(restart(bench).takeAll()).toEqual([1]);
});

test("a disk that refuses in the middle has what it took, and gets the rest the next time", () => {
  const bench = new DiskBench({ segmentSize: 100_000 });
  const disk = refuse(bench, 6);
  for (let i = 0; i < 10; i++) bench.append(10, 50);
  disk.some();
  expect(bench.writer.state).toBe("degraded");
  expect(bench.queue.inMemoryAlone).toBe(60);
  bench.append(10, 50);
  disk.again();
  expect([bench.writer.state, bench.queue.inMemoryAlone]).toEqual(["disk", 0]);
  expect(restart(bench).takeAll()).toEqual(range(1, 111));
});

test("what is settled is not written down", () => {
  const bench = new DiskBench();
  const disk = refuse(bench);
  for (let i = 0; i < 10; i++) bench.append(10, 50);
  bench.takeAll();
  bench.settle(range(1, 96));
  bench.queue.tellSettled();
  disk.again();
  expect(segmentsIn(bench.files).map(({ firstNumber, end }) => [firstNumber, end])).toEqual([[91, 101]]);
});

test("it counts as safe from a power cut when that file was synced, and not before", async () => {
  const bench = new DiskBench();
  bench.append(5);
  const disk = refuse(bench);
  for (let i = 0; i < 10; i++) bench.append(10, 50);
  await bench.queue.syncNow();
  expect(bench.refused(50)).toBe(true);
  const tell = bench.holdWords();
  disk.again();
  expect([bench.refused(50), bench.writer.synced]).toEqual([false, 5]);
  tell();
  expect(bench.writer.synced).toBe(5);
  await bench.queue.syncNow();
  expect([bench.refused(50), bench.writer.synced]).toEqual([false, 105]);
});

test("a sync that was on its way does not cover what was written late meanwhile", async () => {
  const bench = new DiskBench();
  bench.append(5);
  const disk = refuse(bench);
  bench.append(10, 50);
  const { sync } = bench.files;
  const seen: number[] = [];
  bench.files.sync = async (fd) => {
    seen.push(bench.writer.synced);
    if (seen.length === 1) disk.again();
    await sync.call(bench.files, fd);
  };
  bench.writer.syncSoon();
  await bench.queue.syncNow();
  expect(Math.max(...seen)).toBe(5);
  expect(bench.writer.synced).toBe(15);
});

test("`disk` and `min_free_disk` hold for what is written late: it waits in memory for room", () => {
  const bench = new DiskBench({ limit: 20_000, segmentSize: 4000, capacity: 100_000 });
  while (bench.queue.bytesOnDisk < 12_000) bench.append(10, 50);
  const last = bench.writer.lastNumber;
  const disk = refuse(bench);
  while (bench.writer.lastNumber < last + 300) bench.append(10, 50);
  const end = bench.writer.lastNumber + 1;
  disk.again();
  expect(bench.writer.state).toBe("degraded");
  expect(bench.queue.bytesOnDisk).toBeLessThanOrEqual(20_000);
  bench.takeAll();
  bench.settle(range(1, last + 101));
  bench.dropSettled();
  bench.queue.tellSettled();
  bench.now += 1000;
  bench.writer.tend();
  expect([bench.writer.state, bench.queue.inMemoryAlone]).toEqual(["disk", 0]);
  expect(bench.queue.bytesOnDisk).toBeLessThanOrEqual(20_000);
  expect(restart(bench).takeAll()).toEqual(range(last + 101, end));
});

test("more than fits into memory: the newest are written down, the others are known to be in memory alone", () => {
  const bench = new DiskBench({ capacity: 30_000 });
  bench.append(10, 50);
  const disk = refuse(bench);
  const numbers: number[] = [];
  for (let i = 0; i < 50; i++) {
    expect(bench.append(10, 50)).toBeGreaterThan(0);
    numbers.push(...bench.takeAll());
  }
  disk.again();
  const { aloneTo } = bench.writer;
  expect(bench.queue.inMemoryAlone).toBe(aloneTo - 10);
  expect(aloneTo).toBeGreaterThan(10);
  expect(aloneTo).toBeLessThan(300);
  expect([bench.refused(aloneTo), bench.refused(aloneTo + 1)]).toEqual([true, false]);
  bench.append(10, 50);
  bench.takeAll();
  const next = restart(bench);
  expect(next.takeAll()).toEqual([...range(1, 11), ...range(aloneTo + 1, 521)]);
  // A crash counts the others as lost: they are a gap in the numbers.
  expect(next.lost.map(({ from }) => from)).toEqual(range(11, aloneTo + 1));
});

test("a ring that keeps has what fits in it, whatever was read of it", () => {
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 200; round++) {
    const memory = createRingMemory(2000 + 8 * random(100));
    const writer = new RingWriter(memory, () => {});
    const reader = new RingReader(memory, () => {});
    let number = 1;
    let first = 0;
    for (let step = 0; step < 200; step++) {
      if (step === 20) {
        writer.keep();
        first = number;
      }
      if (random(2) === 0) {
        const bytes = Buffer.alloc(1 + random(random(4) === 0 ? 1900 : 300), number % 251);
        if (writer.append(number, 1, 0, 0, bytes, 0, bytes.length)) number++;
      } else if (reader.read() !== undefined) reader.release();
    }
    let expected = Math.max(first, writer.missed + 1);
    let sum = 0;
    for (let kept = writer.oldestKept; kept !== undefined; kept = writer.oldestKept) {
      expect(kept.firstNumber).toBe(expected++);
      const bytes = writer.bytes.subarray(kept.start, kept.end);
      expect(bytes.every((byte) => byte === kept.firstNumber % 251)).toBe(true);
      sum += bytes.length;
      writer.dropOldestKept();
    }
    expect(expected).toBe(number);
    expect(sum).toBeLessThanOrEqual(writer.capacity);
  }
});

test("without room on the volume and with nothing to give back, messages go through memory until there is room", () => {
  const bench = new DiskBench({ segmentSize: 4000, limit: 20_000 });
  while (bench.append(10, 50) > 0);
  const full = bench.writer.lastNumber;
  bench.queue.setLimit(0);
  // What waits on disk decides, not what the volume lacks.
  bench.queue.goOnWithoutRoom(false);
  expect([bench.append(10, 50), bench.writer.state]).toEqual([0, "disk"]);
  bench.takeAll();
  bench.settle(range(1, full + 1));
  bench.queue.goOnWithoutRoom(false);
  expect(bench.writer.state).toBe("disk");
  bench.dropSettled();
  expect(bench.append(10, 50)).toBe(0);
  bench.queue.goOnWithoutRoom(false);
  expect(bench.append(10, 50)).toBe(full + 1);
  expect([bench.writer.state, bench.queue.full, bench.queue.inMemoryAlone]).toEqual(["degraded", false, 10]);
  // A little room is none: it would be used up at once.
  bench.queue.setLimit(3000);
  bench.now += 1000;
  bench.writer.tend();
  expect(bench.writer.state).toBe("degraded");
  bench.queue.setLimit(20_000);
  bench.now += 1000;
  bench.writer.tend();
  expect([bench.writer.state, bench.queue.inMemoryAlone, bench.states]).toEqual(["disk", 0, ["degraded", "disk"]]);
  expect(restart(bench).takeAll()).toEqual(range(full + 1, full + 11));
});
