// Every message that is taken is settled once, and counted for its segment and its account, in whatever order.
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Block, emptyBlock } from "../../src/spool/block.ts";
import { Spans } from "../../src/spool/spans.ts";
import { numbersOf, range, setOf, valuesOf } from "./logFixture.ts";

function blockOf(firstNumber: number, count: number, more: Partial<Block> = {}): Block {
  return { ...emptyBlock(Buffer.alloc(0)), firstNumber, count, live: count, ...more };
}

function watched() {
  const taken: [number, number, number, number][] = [];
  const settled: [number, number, number, string][] = [];
  const spans = new Spans({
    onTaken: (...args) => void taken.push(args),
    onSettled: (...args) => void settled.push(args),
  });
  return { spans, taken, settled };
}

test("whatever the order, what is taken and not settled is known, by segment and by account", () => {
  const blocks = fc.array(
    fc.record({ count: fc.integer({ min: 1, max: 30 }), account: fc.nat(2), next: fc.boolean(), gap: fc.nat(3) }),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(
    fc.property(blocks, fc.infiniteStream(fc.nat(99)), fc.integer({ min: 1, max: 99 }), (list, chance, percent) => {
      const { spans, taken, settled } = watched();
      const open = new Map<number, { segment: number; account: number }>();
      const end = { taken: new Map<number, number>(), settled: new Map<number, number>() };
      let number = 1;
      let segment = 1;
      for (const { count, account, next, gap } of list) {
        if (next) segment++;
        number += gap;
        spans.take(blockOf(number, count, { segment, receiptAccount: account }));
        for (const one of range(number, number + count)) open.set(one, { segment, account });
        number += count;
        const done = [...open.keys()].filter(() => (chance.next().value as number) < percent).sort((a, b) => a - b);
        // Some of them are put back instead, and taken again at once.
        const back = done.filter(() => (chance.next().value as number) < 20);
        for (const one of back) {
          spans.untake(one);
          expect(spans.has(one)).toBe(false);
          const of = open.get(one) as { segment: number; account: number };
          spans.take(blockOf(one, 1, { segment: of.segment, receiptAccount: of.account, again: true }));
        }
        spans.settle(numbersOf(done), "delivered");
        for (const one of done) open.delete(one);
        expect(valuesOf(spans.unsettled)).toEqual([...open.keys()].sort((a, b) => a - b));
        for (let each = 1; each <= segment; each++) {
          const inIt = [...open.values()].filter((of) => of.segment === each).length;
          expect(spans.unsettledIn(each)).toBe(inIt);
          expect(spans.pinned().has(each)).toBe(inIt > 0);
        }
      }
      spans.settle(numbersOf([...open.keys()].sort((a, b) => a - b)), "delivered");
      expect(spans.unsettled.size).toBe(0);
      for (const [account, , count] of taken) end.taken.set(account, (end.taken.get(account) ?? 0) + count);
      for (const [account, , count] of settled) end.settled.set(account, (end.settled.get(account) ?? 0) + count);
      expect(end.settled).toEqual(end.taken);
      expect(end.taken.has(0)).toBe(false);
    }),
    { numRuns: 300 },
  );
});

test("runs are told by account, and with how they ended", () => {
  const { spans, taken, settled } = watched();
  spans.take(blockOf(1, 10, { receiptAccount: 7, session: Buffer.alloc(16, 1), position: 100 }));
  spans.take(blockOf(11, 10, { receiptAccount: 8 }));
  spans.take(blockOf(21, 10));
  spans.take(blockOf(31, 10, { receiptAccount: 8, skip: setOf([33, 34, 50]), live: 8 }));
  expect(taken).toEqual([
    [7, 1, 10, 110],
    [8, 11, 10, 0],
    [8, 31, 2, 0],
    [8, 35, 6, 0],
  ]);
  spans.settle(numbersOf([2, 3, ...range(9, 33), 35]), "moved");
  expect(settled).toEqual([
    [7, 2, 2, "moved"],
    [7, 9, 2, "moved"],
    [8, 11, 10, "moved"],
    [8, 31, 2, "moved"],
    [8, 35, 1, "moved"],
  ]);
  expect(() => spans.settle(numbersOf([33]), "moved")).toThrow(RangeError);
});

test("numbers with gaps are taken as they are", () => {
  const { spans, taken } = watched();
  const numbers = Float64Array.from([3, 4, 9, 12, 0, 0]);
  spans.take(blockOf(3, 4, { numbers, receiptAccount: 1, segment: 2, skip: setOf([9]), live: 3 }));
  expect(valuesOf(spans.unsettled)).toEqual([3, 4, 12]);
  expect(taken).toEqual([
    [1, 3, 2, 0],
    [1, 12, 1, 0],
  ]);
  expect(spans.unsettledIn(2)).toBe(3);
});

test("taking twice, settling what was not taken, and putting back what is settled show as defects", () => {
  const spans = new Spans();
  spans.take(blockOf(1, 5));
  expect(() => spans.take(blockOf(5, 2))).toThrow(RangeError);
  expect(() => spans.settle(numbersOf([9]), "delivered")).toThrow(RangeError);
  spans.settle(numbersOf([1]), "delivered");
  expect(() => spans.settle(numbersOf([1]), "delivered")).toThrow(RangeError);
  expect(() => spans.untake(1)).toThrow(RangeError);
});

test("what was taken before the start counts, and is nobody's", () => {
  const { spans, settled } = watched();
  for (const number of [5, 6, 2000]) spans.adopt(number, number < 1000 ? 1 : 3);
  spans.take(blockOf(100, 10, { segment: 2 }));
  expect([...spans.pinned()]).toEqual([1, 2, 3]);
  spans.settle(numbersOf([5, 6, 2000]), "delivered");
  expect([...spans.pinned()]).toEqual([2]);
  expect(settled).toEqual([]);
});

test("messages that wait for long keep nothing of the many that are settled behind them", () => {
  const spans = new Spans({ onSettled: () => {} });
  const objects = () => {
    Bun.gc(true);
    return heapStats().objectCount;
  };
  spans.take(blockOf(1, 10, { receiptAccount: 1, segment: 1 }));
  const before = objects();
  for (let i = 0; i < 20_000; i++) {
    const first = 11 + i * 100;
    spans.take(blockOf(first, 100, { receiptAccount: 1 + (i % 50), segment: 1 + Math.floor(i / 100) }));
    spans.settle(numbersOf(range(first, first + 100)), "delivered");
  }
  expect(objects() - before).toBeLessThan(5000);
  expect(valuesOf(spans.unsettled)).toEqual(range(1, 11));
});

test("where messages in memory alone begin and end is known, of those that are not settled", () => {
  const blocks = fc.array(fc.record({ count: fc.integer({ min: 1, max: 9 }), alone: fc.boolean(), gap: fc.nat(2) }), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(blocks, fc.infiniteStream(fc.nat(99)), fc.nat(70), (list, chance, percent) => {
      const spans = new Spans();
      const open = new Map<number, boolean>();
      let number = 1;
      let segment = 1;
      let before = false;
      for (const { count, alone, gap } of list) {
        number += gap;
        // A segment that failed is left at once.
        if (alone && !before) segment++;
        before = alone;
        spans.take(blockOf(number, count, { segment: alone ? 0 : segment }));
        for (const one of range(number, number + count)) open.set(one, alone);
        number += count;
        const done = [...open.keys()].filter(() => (chance.next().value as number) < percent);
        spans.settle(numbersOf(done), "delivered");
        for (const one of done) open.delete(one);
        const left = [...open.entries()];
        const seams = [...left.keys()].filter((at) => at > 0 && left[at]?.[1] !== left[at - 1]?.[1]);
        expect(spans.seams(numbersOf(open.keys()))).toEqual(seams);
        expect(spans.alone).toBe(spans.unsettledIn(0));
      }
    }),
  );
});

test("what was in memory alone and is written late is so no more", () => {
  const spans = new Spans();
  spans.take(blockOf(1, 10, { segment: 1 }));
  spans.take(blockOf(11, 10, { segment: 0 }));
  spans.take(blockOf(21, 10, { segment: 2 }));
  spans.settle(numbersOf([12, 25]), "delivered");
  expect([spans.alone, spans.seams(numbersOf(range(9, 12)))]).toEqual([9, [2]]);
  spans.move(11, 16, 3);
  expect([spans.alone, spans.unsettledIn(3)]).toEqual([5, 4]);
  spans.untake(16);
  spans.move(16, 21, 3);
  expect([spans.alone, spans.unsettledIn(3), spans.seams(numbersOf(range(9, 24)))]).toEqual([0, 8, []]);
});
