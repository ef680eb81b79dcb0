// What is in a log comes out of it once, in order, from whatever place on; what is damaged is told of, and no more is lost.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { ReadFailure } from "../../src/spool/logSegments.ts";
import { LogFixture, messagesIn, numbersOf, range, readAllOf, setOf, valuesOf } from "./logFixture.ts";

/** Three segments of three blocks with 10 messages each: 1 to 90. */
function threeSegments(): LogFixture {
  const log = new LogFixture();
  for (let segment = 0; segment < 3; segment++) {
    log.segment();
    for (let block = 0; block < 3; block++) log.block(10);
  }
  return log;
}

test("everything comes once and in order, across segments, also what is appended later", () => {
  const log = threeSegments();
  const reader = log.reader();
  expect(readAllOf(reader)).toEqual(range(1, 91));
  expect(reader.atEnd).toBe(true);
  log.block(5);
  log.segment();
  log.block(5);
  expect(readAllOf(reader)).toEqual(range(91, 101));
  expect(reader.position).toEqual(log.head);
  expect([log.lost, log.damage]).toEqual([[], []]);
});

test("segments that the reader was not told of are found", () => {
  const log = threeSegments();
  const reader = log.reader({ segments: log.segments.slice(0, 1) });
  expect(readAllOf(reader)).toEqual(range(1, 91));
});

test("reading goes on from any place", () => {
  const log = threeSegments();
  const first = log.reader();
  for (let taken = 0; taken < 90; taken += 10) {
    const reader = log.reader({ at: first.position });
    expect(readAllOf(reader)).toEqual(range(taken + 1, 91));
    first.next();
  }
  expect(readAllOf(log.reader({ at: first.position }))).toEqual([]);
});

test("no block is read beyond the one asked for", () => {
  const log = threeSegments();
  const reader = log.reader();
  expect(readAllOf(reader, 20)).toEqual(range(1, 21));
  expect(readAllOf(reader, 20)).toEqual([]);
  expect(readAllOf(reader)).toEqual(range(21, 91));
});

test("bytes behind what the writer has published are not looked at", () => {
  const log = threeSegments();
  const published = log.head;
  const reader = log.reader();
  readAllOf(reader);
  log.head = published;
  const file = log.segments[2]?.path as string;
  log.files.put(file, Buffer.concat([log.files.content(file).subarray(0, published.offset), Buffer.alloc(500, 0x62)]));
  expect(readAllOf(reader)).toEqual([]);
  expect(readAllOf(log.reader())).toEqual(range(1, 91));
  expect([log.lost, log.damage]).toEqual([[], []]);
});

test("messages taken before are read again first, those settled are passed over, and nothing counts as lost", () => {
  const log = threeSegments();
  const reader = log.reader({
    at: { number: 41, segment: 2, offset: log.blocks[4]?.offset as number },
    again: setOf([3, 4, 12, 35, 39, 77]),
    skip: setOf([41, 42, 50, ...range(51, 61), 90]),
  });
  const blocks = [];
  for (let block = reader.next(); block !== undefined; block = reader.next()) {
    blocks.push({ again: block.again, numbers: messagesIn(block) });
  }
  expect(blocks).toEqual([
    { again: true, numbers: [3, 4] },
    { again: true, numbers: [12] },
    { again: true, numbers: [35, 39] },
    { again: false, numbers: range(43, 50) },
    { again: false, numbers: range(61, 71) },
    { again: false, numbers: range(71, 81) },
    { again: false, numbers: range(81, 90) },
  ]);
  expect(log.lost).toEqual([]);
  reader.next();
  expect([reader.again.size, reader.skip.size]).toEqual([0, 0]);
});

test("what was put back is read again before anything else", () => {
  const log = threeSegments();
  const reader = log.reader();
  expect(readAllOf(reader, 60)).toEqual(range(1, 61));
  for (const number of [15, 31, 32]) reader.untake(number);
  expect(readAllOf(reader)).toEqual([15, 31, 32, ...range(61, 91)]);
  expect(() => log.reader().untake(15)).toThrow(RangeError);
});

test("a damaged block costs its own messages only, and they are named", () => {
  const log = threeSegments();
  log.harm(4);
  expect(readAllOf(log.reader())).toEqual([...range(1, 41), ...range(51, 91)]);
  expect(log.lost).toEqual([{ from: 41, to: 51, again: false }]);
  const { offset, size, path } = log.blocks[4] as (typeof log.blocks)[number];
  expect(log.damage).toEqual([{ path, ordinal: 2, from: offset, to: offset + size, unreadable: false }]);
});

test("the last block of a segment damaged: the next segment tells what is lost", () => {
  for (const seal of [true, false]) {
    const log = new LogFixture();
    for (let segment = 0; segment < 3; segment++) {
      log.segment({ seal });
      for (let block = 0; block < 3; block++) log.block(10);
    }
    for (const index of [2, 5, 8]) log.harm(index);
    expect(readAllOf(log.reader())).toEqual([...range(1, 21), ...range(31, 51), ...range(61, 81)]);
    expect(log.lost).toEqual([
      { from: 21, to: 31, again: false },
      { from: 51, to: 61, again: false },
      { from: 81, to: 91, again: false },
    ]);
    expect(log.damage.map(({ ordinal }) => ordinal)).toEqual([1, 2, 3]);
  }
});

test("what was settled already is not lost when it is damaged, and what was taken before is lost as such", () => {
  const log = threeSegments();
  log.harm(1);
  log.harm(4);
  const again = setOf([5, 11, 13, 14, 25]);
  const at = { number: 31, segment: 2, offset: 64 };
  expect(readAllOf(log.reader({ at, again, skip: setOf([...range(41, 45), 50]) }))).toEqual([
    5,
    25,
    ...range(31, 41),
    ...range(51, 91),
  ]);
  expect(log.lost).toEqual([
    { from: 11, to: 12, again: true },
    { from: 13, to: 15, again: true },
    { from: 45, to: 50, again: false },
  ]);
});

test("a whole segment gone, or its header damaged, costs what was in it", () => {
  for (const gone of [true, false]) {
    const log = threeSegments();
    const path = log.segments[1]?.path as string;
    if (gone) log.files.remove(path);
    else log.files.put(path, Buffer.alloc(3000, 7));
    const again = setOf([33]);
    expect(readAllOf(log.reader())).toEqual([...range(1, 31), ...range(61, 91)]);
    expect(log.lost).toEqual([{ from: 31, to: 61, again: false }]);
    const at = { number: 61, segment: 3, offset: 64 };
    expect(readAllOf(log.reader({ at, again }))).toEqual(range(61, 91));
    expect(log.lost.at(-1)).toEqual({ from: 33, to: 34, again: true });
  }
});

test("numbers that were never used are no loss", () => {
  const log = new LogFixture();
  log.segment();
  log.block(10);
  log.segment({ firstNumber: 1000, previousEnd: 11 });
  log.block(10);
  log.segment({ firstNumber: 3000, previousEnd: 1015 });
  log.block(10);
  expect(readAllOf(log.reader())).toEqual([...range(1, 11), ...range(1000, 1010), ...range(3000, 3010)]);
  expect(log.lost).toEqual([{ from: 1010, to: 1015, again: false }]);
});

test("numbers that the next segment will leave out are no loss before it is there", () => {
  const log = new LogFixture();
  log.segment();
  log.block(10);
  log.head = { ...log.head, number: 5000 };
  const reader = log.reader({ unused: { from: 11, to: 5000 } });
  expect(readAllOf(reader)).toEqual(range(1, 11));
  expect([reader.number, log.lost]).toEqual([5000, []]);
  log.segment({ firstNumber: 5000, previousEnd: 11 });
  log.block(3);
  expect(readAllOf(reader)).toEqual(range(5000, 5003));
  expect(log.lost).toEqual([]);
});

test("what a failed append left behind is not taken for messages", () => {
  const log = threeSegments();
  // The same numbers are given again, in the next segment: what is in the old one never counted.
  const head = log.head;
  log.block(4);
  log.head = head;
  log.segment({ seal: false });
  log.block(7);
  const found = readAllOf(log.reader());
  expect(found).toEqual(range(1, 98));
  expect(log.lost).toEqual([]);
});

test("a log with gaps gives its numbers, what was put back first, and passes over what is settled", () => {
  const log = new LogFixture();
  log.segment();
  log.numbered([3, 7, 8, 20]);
  log.numbered([21, 40]);
  log.segment();
  log.numbered([41, 50, 1000]);
  const reader = log.reader({ gaps: true, skip: setOf([7, 21, 40, 45]) });
  expect(readAllOf(reader)).toEqual([3, 8, 20, 41, 50, 1000]);
  reader.untake(8);
  reader.untake(50);
  expect(readAllOf(reader)).toEqual([8, 50]);
  expect(readAllOf(log.reader({ gaps: true, again: setOf([8, 9, 21]), at: log.head }))).toEqual([8, 21]);
  expect(log.lost).toEqual([{ from: 9, to: 10, again: true }]);
});

test("single messages are found wherever they are, taken or not", () => {
  const log = new LogFixture();
  for (let segment = 0; segment < 4; segment++) {
    log.segment({ seal: segment % 2 === 0 });
    for (let block = 0; block < 40; block++) log.block(25, 200);
  }
  const reader = log.reader();
  readAllOf(reader, 1500);
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 4100 }), { maxLength: 40 }), (values) => {
      const wanted = values.sort((a, b) => a - b);
      const found: number[] = [];
      const count = reader.fetch(numbersOf(wanted), (number, bytes, start, end) => {
        found.push(number);
        expect(bytes.toString("latin1", start, end)).toContain(`${number} x`);
        expect(bytes.readInt32BE(start)).toBe(end - start);
      });
      expect(found).toEqual(wanted.filter((number) => number <= 4000));
      expect(count).toBe(found.length);
    }),
    { numRuns: 50 },
  );
  expect(readAllOf(reader)).toEqual(range(1501, 4001));
});

test("a disk that fails for a while loses nothing; one that does not give a block again loses that block", () => {
  const log = threeSegments();
  const reader = log.reader();
  log.files.failNext("open", "EMFILE");
  expect(() => reader.next()).toThrow(ReadFailure);
  log.files.failNext("read", "EIO");
  expect(() => reader.next()).toThrow(ReadFailure);
  expect(readAllOf(reader)).toEqual(range(1, 91));
});

test("what the disk never gives again is lost, and no more", () => {
  const log = threeSegments();
  const reader = log.reader();
  const found: number[] = [];
  const readOn = (rounds: number) => {
    for (let round = 0; round < rounds; round++) {
      try {
        found.push(...readAllOf(reader));
        return;
      } catch (error) {
        expect(error).toBeInstanceOf(ReadFailure);
      }
    }
  };
  reader.next();
  reader.close(); // gives back what was read ahead
  const { read } = log.files;
  log.files.read = (fd, bytes, start, end, position) => {
    if (position < 1500 && position + end - start > 700) throw Object.assign(new Error("EIO"), { code: "EIO" });
    return read.call(log.files, fd, bytes, start, end, position);
  };
  readOn(5);
  log.files.read = read;
  readOn(1);
  expect(found.at(-1)).toBe(90);
  const lost = log.lost.flatMap(({ from, to }) => range(from, to));
  expect([...range(1, 11), ...found, ...lost].sort((a, b) => a - b)).toEqual(range(1, 91));
  expect(lost.length).toBeGreaterThan(0);
});

test("a segment that is settled can go, and memory and files are given back", () => {
  const log = threeSegments();
  const reader = log.reader();
  readAllOf(reader);
  reader.fetch(numbersOf([5]), () => {});
  for (const { ordinal, path } of log.segments) {
    reader.drop(ordinal);
    log.files.remove(path);
  }
  reader.close();
  expect(log.files.openFiles).toBe(1); // the writer's own
  expect(reader.fetch(numbersOf([5]), () => {})).toBe(0);
  log.block(1);
  log.writer?.close();
});

test("whatever is read again, passed over and damaged: each message comes once, or is told of, or was settled", () => {
  const scenario = fc.record({
    blocks: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 25 }),
    perSegment: fc.integer({ min: 1, max: 6 }),
    seal: fc.boolean(),
    harmed: fc.array(fc.nat(24), { maxLength: 4 }),
    readFrom: fc.nat(25),
    settled: fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 60 }),
    step: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(scenario, ({ blocks, perSegment, seal, harmed, readFrom, settled, step }) => {
      const log = new LogFixture();
      blocks.forEach((count, index) => {
        if (index % perSegment === 0) log.segment({ seal });
        log.block(count);
      });
      const bad = new Set(harmed.filter((index) => index < blocks.length));
      for (const index of bad) log.harm(index);
      const from = log.blocks[readFrom];
      const at = {
        number: from?.firstNumber ?? log.head.number,
        segment: from?.ordinal ?? 0,
        offset: from?.offset ?? 0,
      };
      if (from === undefined) Object.assign(at, log.head);
      const skipped = new Set(settled.filter((number) => number < log.head.number));
      const all = range(1, log.head.number);
      const reader = log.reader({
        at,
        again: setOf(all.filter((number) => number < at.number && !skipped.has(number))),
        skip: setOf(all.filter((number) => number >= at.number && skipped.has(number))),
      });
      const found: number[] = [];
      for (let most = step; most < log.head.number + step; most += step) found.push(...readAllOf(reader, most));
      const isBad = (number: number) =>
        bad.has(log.blocks.findLastIndex(({ firstNumber }) => firstNumber <= number)) && !skipped.has(number);
      expect(found).toEqual(all.filter((number) => !skipped.has(number) && !isBad(number)));
      const lost = log.lost.flatMap((run) => range(run.from, run.to).map((number) => ({ number, again: run.again })));
      expect(lost.map(({ number }) => number).sort((a, b) => a - b)).toEqual(all.filter(isBad));
      for (const { number, again } of lost) expect(again).toBe(number < at.number);
      expect(valuesOf(reader.again)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
