// What is appended to the queue on disk is read once, in order, whether it is in memory or in files only.
import { expect, test } from "bun:test";
import { DiskBench, freshStart, segmentsIn } from "./diskBench.ts";
import { range, setOf, valuesOf } from "./logFixture.ts";

test("what is read at once comes from memory, and is in the file as well", () => {
  const bench = new DiskBench();
  for (let i = 0; i < 100; i++) {
    expect(bench.append(10)).toBe(i * 10 + 1);
    expect(bench.take()).toEqual(range(i * 10 + 1, i * 10 + 11));
  }
  expect(bench.take()).toBeUndefined();
  expect(bench.files.openFiles).toBe(1);
  expect(bench.queue.readPosition).toEqual(bench.queue.head);
  expect([bench.queue.written, bench.queue.taken, bench.queue.unread, bench.queue.unsettled]).toEqual([
    1000, 1000, 0, 1000,
  ]);
  bench.settle(range(1, 1001));
  expect([bench.queue.settled, bench.queue.unsettled]).toEqual([1000, 0]);
});

test("a backlog costs no memory, and comes in order: from memory, from files, and from memory again", () => {
  const bench = new DiskBench({ credit: 20_000 });
  const sources = new Set<number>();
  let expected = 1;
  const take = (blocks: number) => {
    for (let i = 0; i < blocks; i++) {
      const block = bench.queue.read();
      if (block === undefined) return;
      sources.add(block.bytes.byteLength);
      expect(block.firstNumber).toBe(expected);
      expected += block.count;
      bench.queue.release();
    }
  };
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 400; i++) expect(bench.append(7, 100)).toBeGreaterThan(0);
    expect(bench.queue.bytesWaiting).toBeLessThan(20_000);
    take(round < 3 ? 100 : 700);
    // While it is read it is written to.
    for (let i = 0; i < 50; i++) {
      bench.append(3, 50);
      take(1);
    }
  }
  take(Number.POSITIVE_INFINITY);
  expect(expected - 1).toBe(bench.queue.written);
  expect(bench.queue.unread).toBe(0);
  expect(sources.size).toBeGreaterThan(1);
  bench.append(1);
  expect(bench.take()).toEqual([expected]);
  expect(bench.lost).toEqual([]);
});

test("sources, times, sessions and accounts are the same from memory and from the file", () => {
  const bench = new DiskBench({ credit: 4000 });
  const id = Buffer.alloc(16, 9);
  const taken: unknown[] = [];
  const settled: unknown[] = [];
  bench.queue.watch({
    accountOf: (source, session) => (session === undefined ? source : 1000 + (session[0] as number)),
    onTaken: (...args) => void taken.push(args),
    onSettled: (...args) => void settled.push(args),
    onLost: () => {},
  });
  for (let i = 0; i < 10; i++) {
    bench.append(5, 100, undefined, 3);
    bench.append(5, 100, { id, idHex: id.toString("hex"), position: i * 7 }, 4);
  }
  let index = 0;
  bench.takeAll((block) => {
    const ofSession = index % 2 === 1;
    expect([block.source, block.receivedAt, block.position, block.session?.toString("hex")]).toEqual(
      ofSession ? [4, 5, Math.floor(index / 2) * 7, id.toString("hex")] : [3, 5, 0, undefined],
    );
    expect(block.receiptAccount).toBe(ofSession ? 1009 : 3);
    index++;
  });
  expect(taken.slice(0, 3)).toEqual([
    [3, 1, 5, 0],
    [1009, 6, 5, 5],
    [3, 11, 5, 0],
  ]);
  bench.settle([4, 5, 6, 7, 12], "discarded");
  expect(settled).toEqual([
    [3, 4, 2, "discarded"],
    [1009, 6, 2, "discarded"],
    [3, 12, 1, "discarded"],
  ]);
});

test("a segment goes when it is settled, also when an older one does not", () => {
  const bench = new DiskBench({ segmentSize: 5000 });
  for (let i = 0; i < 40; i++) bench.append(10, 50);
  expect(bench.queue.segments).toBeGreaterThan(5);
  expect(bench.dropSettled()).toEqual([]);
  expect(bench.takeAll()).toEqual(range(1, 401));
  bench.settle([...range(1, 5), ...range(6, 396)]);
  const before = bench.queue.bytesOnDisk;
  const gone = bench.dropSettled();
  expect(gone).toEqual(range(2, bench.queue.head.segment));
  expect(bench.queue.bytesOnDisk).toBeLessThan(before);
  expect(bench.queue.bytesOnDisk).toBe(bench.files.used);
  expect(valuesOf(bench.queue.unsettledNumbers())).toEqual([5, ...range(396, 401)]);
  bench.settle([5]);
  expect(bench.dropSettled()).toEqual([1]);
  bench.append(1);
  expect(bench.take()).toEqual([401]);
});

test("a full disk takes nothing, says so once, and goes on when there is room", () => {
  const bench = new DiskBench({ limit: 20_000, segmentSize: 4000 });
  let appended = 0;
  while (bench.append(10, 50) > 0) appended += 10;
  expect(bench.append(10, 50)).toBe(0);
  expect(bench.calls.full).toBe(1);
  expect(bench.queue.full).toBe(true);
  expect(bench.queue.bytesOnDisk).toBeLessThanOrEqual(20_000);
  expect(bench.takeAll()).toEqual(range(1, appended + 1));
  bench.settle(range(1, appended / 2));
  expect(bench.calls.room).toBe(0);
  bench.dropSettled();
  expect(bench.calls.room).toBe(1);
  expect(bench.append(10, 50)).toBe(appended + 1);
});

test("a disk that is full of one settled segment gets it back", () => {
  const bench = new DiskBench({ limit: 20_000, segmentSize: 1 << 16 });
  let appended = 0;
  while (bench.append(10, 50) > 0) appended += 10;
  expect(bench.takeAll()).toEqual(range(1, appended + 1));
  bench.settle(range(1, appended + 1));
  expect(bench.dropSettled()).toEqual([1]);
  expect(bench.append(10, 50)).toBe(appended + 1);
  expect(bench.take()).toEqual(range(appended + 1, appended + 11));
});

test("numbers are given only when they are reserved", () => {
  const bench = new DiskBench({ start: { ...freshStart(), reserved: 25 } });
  expect([bench.append(10), bench.append(10), bench.append(10), bench.append(10)]).toEqual([1, 11, 0, 0]);
  expect(bench.calls.full).toBe(1);
  bench.queue.reserve(31);
  expect(bench.calls.room).toBe(1);
  expect(bench.append(10)).toBe(21);
  expect(bench.takeAll()).toEqual(range(1, 31));
});

test("a disk that fails loses nothing: messages are in memory until it takes them again", () => {
  for (const code of ["ENOSPC", "EIO", "EROFS"]) {
    const bench = new DiskBench({ credit: 5000, segmentSize: 20_000 });
    for (let i = 0; i < 20; i++) bench.append(10, 50);
    const before = bench.writer.lastNumber;
    bench.files.failNext("write", code);
    expect(bench.append(10, 50)).toBe(before + 1);
    expect([bench.writer.state, bench.queue.state, bench.states]).toEqual(["degraded", "degraded", ["degraded"]]);
    expect([bench.refused(before), bench.refused(before + 1)]).toEqual([false, true]);
    for (let i = 0; i < 20; i++) expect(bench.append(10, 50)).toBeGreaterThan(0);
    bench.files.failNext("open", code, ".segment");
    bench.now += 1000;
    expect(bench.append(10, 50)).toBeGreaterThan(0);
    expect(bench.writer.state).toBe("degraded");
    bench.now += 999;
    bench.append(10, 50);
    expect(bench.writer.state).toBe("degraded");
    bench.now += 1;
    const again = bench.append(10, 50);
    expect([bench.writer.state, bench.states.at(-1)]).toEqual(["disk", "disk"]);
    expect(bench.refused(again)).toBe(false);
    for (let i = 0; i < 40; i++) bench.append(10, 50);
    expect(bench.takeAll()).toEqual(range(1, bench.writer.lastNumber + 1));
    expect([bench.lost, bench.damage]).toEqual([[], []]);
    bench.settle(range(1, bench.writer.lastNumber + 1));
    bench.dropSettled();
    expect(bench.queue.segments).toBe(1);
  }
});

test("while the disk refuses, a full memory takes nothing, and goes on as it is read", () => {
  const bench = new DiskBench({ capacity: 30_000, credit: 3000 });
  for (let i = 0; i < 10; i++) bench.append(10, 50);
  bench.files.readOnly = true;
  let appended = bench.writer.lastNumber;
  while (bench.append(10, 50) > 0) appended += 10;
  expect(bench.writer.lastNumber).toBe(appended);
  expect(bench.calls.full).toBe(0);
  const taken = bench.takeAll();
  expect(taken).toEqual(range(1, appended + 1));
  expect(bench.calls.room).toBe(1);
  expect(bench.append(10, 50)).toBe(appended + 1);
  bench.files.readOnly = false;
  bench.now += 1000;
  bench.writer.tend();
  expect(bench.writer.state).toBe("disk");
  expect(bench.append(10, 50)).toBe(appended + 11);
  expect(bench.takeAll()).toEqual(range(appended + 1, appended + 21));
});

test("short writes are none of the queue's business", () => {
  const bench = new DiskBench({ credit: 1000, segmentSize: 4000 });
  bench.files.setFaults({ shortWrite: 0.5, shortRead: 0.3 });
  for (let i = 0; i < 300; i++) bench.append(1 + (i % 7), i % 90);
  expect(bench.takeAll()).toEqual(range(1, bench.writer.lastNumber + 1));
  expect([bench.states, bench.lost]).toEqual([[], []]);
});

test("a reader that sleeps is woken by a block that is in the file only", async () => {
  const bench = new DiskBench({ credit: 100 });
  const readable = Promise.withResolvers<void>();
  let asleep = false;
  bench.queue.onReadable(() => asleep && readable.resolve());
  expect(bench.take()).toBeUndefined();
  await Bun.sleep(20); // it looks again after 1 ms, and then goes to sleep
  asleep = true;
  const big = bench.append(20, 100);
  await readable.promise;
  expect([big, bench.calls.wake]).toEqual([1, 1]);
  expect(bench.takeAll()).toEqual(range(1, 21));
});

test.each(["EMFILE", "EACCES"])("a read that fails (%s) is tried again later, and nothing is lost", async (code) => {
  const bench = new DiskBench({ credit: 100 });
  for (let i = 0; i < 10; i++) bench.append(10);
  expect(bench.take()).toEqual(range(1, 11)); // the first one finds an empty ring
  const readable = Promise.withResolvers<void>();
  bench.queue.onReadable(() => readable.resolve());
  bench.files.failNext("open", code);
  expect(bench.take()).toBeUndefined();
  expect(bench.calls.readFailures).toBe(1);
  expect(bench.queue.unreadable).toContain(code);
  await readable.promise;
  expect(bench.takeAll()).toEqual(range(11, 101));
  expect(bench.queue.unreadable).toBeUndefined();
});

test("what a stop left is read again, and counts as it did", () => {
  const first = new DiskBench({ segmentSize: 3000 });
  for (let i = 0; i < 30; i++) first.append(10, 50);
  for (let i = 0; i < 20; i++) first.take();
  first.settle([...range(1, 95), ...range(100, 198)]);
  first.dropSettled();
  const { queue, files } = first;
  const unsettled = setOf(valuesOf(queue.unsettledNumbers()));
  const segments = segmentsIn(files);
  const start = {
    ...freshStart(),
    segments,
    read: queue.readPosition,
    again: unsettled,
    skip: setOf([205, ...range(221, 231)]),
    nextNumber: 10_000,
    previousEnd: 301,
  };
  const bench = new DiskBench({ start, segmentSize: 3000 }, files);
  const left = [...range(95, 100), ...range(198, 205), ...range(206, 221), ...range(231, 301)];
  expect([bench.queue.unread, bench.queue.unsettled, bench.queue.written]).toEqual([97, 97, 97]);
  expect(bench.queue.topicsUnread().size).toBe(2);
  expect(bench.append(2)).toBe(10_000);
  expect(bench.takeAll()).toEqual([...left, 10_000, 10_001]);
  expect([bench.queue.unread, bench.queue.unsettled, bench.queue.taken]).toEqual([0, 99, 99]);
  expect([...bench.queue.topicsUnread()]).toEqual([]);
  bench.settle([...left, 10_000, 10_001]);
  expect([bench.lost, bench.queue.unsettled]).toEqual([[], 0]);
  bench.dropSettled();
  expect(bench.queue.segments).toBe(1);
});

test("messages of before the stop belong to no connection of now", () => {
  const first = new DiskBench();
  first.append(3, 0, undefined, 7);
  const segments = segmentsIn(first.files);
  const start = { ...freshStart(), segments, nextNumber: 100, previousEnd: 4 };
  const bench = new DiskBench({ start }, first.files);
  const accounts: number[] = [];
  bench.queue.watch({
    accountOf: (source) => {
      accounts.push(source);
      return source;
    },
    onTaken: () => {},
    onSettled: () => {},
    onLost: () => {},
  });
  bench.append(1, 0, undefined, 7);
  bench.takeAll();
  expect(accounts).toEqual([0, 7]);
});

test("a damaged block is lost once, settled, and told of", () => {
  const bench = new DiskBench({ credit: 1 });
  for (let i = 0; i < 10; i++) bench.append(10, 20);
  const path = "/log/0000000001.segment";
  const content = Buffer.from(bench.files.content(path));
  content[Math.floor(content.length / 2)] = (content[Math.floor(content.length / 2)] as number) ^ 1;
  bench.files.put(path, content);
  const taken = bench.takeAll();
  expect(bench.lost).toHaveLength(1);
  expect(bench.damage).toHaveLength(1);
  expect(taken).toHaveLength(90);
  expect([bench.queue.taken, bench.queue.settled, bench.queue.unread, bench.queue.unsettled]).toEqual([100, 10, 0, 90]);
});
