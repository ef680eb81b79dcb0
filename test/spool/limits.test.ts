// The log gets what disk and volume leave it, and a full disk is made of pieces.
import { expect, test } from "bun:test";
import { largestBlock, logLimit, segmentSize } from "../../src/spool/limits.ts";
import { TopicTotals } from "../../src/spool/topicTotals.ts";

const MB = 1 << 20;

test("whatever is less: what disk leaves besides held and journal, or what the volume has beyond what is to stay free", () => {
  const use = { disk: 1000, minFree: 100, free: 5000, log: 300, held: 200, journal: 50, journalToCome: 0 };
  expect(logLimit(use)).toBe(750);
  expect(logLimit({ ...use, free: 400 })).toBe(600);
  expect(logLimit({ ...use, free: 10 })).toBe(210);
  expect(logLimit({ ...use, free: 0, log: 50 })).toBe(0);
  expect(logLimit({ ...use, held: 2000 })).toBe(0);
  expect(logLimit({ ...use, journalToCome: 30 })).toBe(720);
  expect(logLimit({ ...use, free: 400, journalToCome: 30 })).toBe(570);
});

test("a segment is at most an eighth of the disk, and a block at most a quarter, but never tiny", () => {
  expect([segmentSize(64 * MB, 1024 * MB), segmentSize(64 * MB, 80 * MB), segmentSize(MB, 1000)]).toEqual([
    64 * MB,
    10 * MB,
    65_536,
  ]);
  expect([largestBlock(1024 * MB), largestBlock(0)]).toEqual([256 * MB, 65_536]);
});

test("topics are summed over the segments that were not read, and the indexes are asked for again when they were", () => {
  const indexes = new Map([
    [
      3,
      new Map([
        ["a", 5],
        ["b", 1],
      ]),
    ],
    [4, new Map([["a", 2]])],
    [5, new Map([["c", 9]])],
  ]);
  const asked: number[] = [];
  const totals = new TopicTotals((ordinal) => {
    asked.push(ordinal);
    return indexes.get(ordinal);
  });
  for (const [ordinal, counts] of indexes) totals.add(ordinal, counts);
  totals.add(3, new Map([["a", 100]]));
  expect([...totals.unread(2)]).toEqual([
    ["a", 7],
    ["b", 1],
    ["c", 9],
  ]);
  expect([...totals.unread(3)]).toEqual([
    ["a", 2],
    ["c", 9],
  ]);
  totals.remove(3);
  totals.remove(5);
  expect([...totals.unread(3)]).toEqual([["a", 2]]);
  expect([...totals.unread(9)]).toEqual([]);
  expect(asked).toEqual([3, 5]);
});
