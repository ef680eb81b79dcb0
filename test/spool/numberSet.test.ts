// The set holds what a plain Set would, in order, and comes back from its encoding.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { NumberSet } from "../../src/spool/numberSet.ts";

const near = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 65_500, max: 65_570 }));
const number = fc.oneof(
  near,
  near,
  fc.integer({ min: 1, max: 400_000 }),
  fc.integer({ min: 2 ** 45, max: 2 ** 45 + 50 }),
);
const action = fc.oneof(
  fc.record({ do: fc.constant("add" as const), number }),
  fc.record({ do: fc.constant("delete" as const), number }),
  fc.record({
    do: fc.constantFrom("range" as const, "deleteRange" as const),
    number,
    length: fc.oneof(fc.nat(100), fc.nat(140_000)),
  }),
);

function valuesOf(set: NumberSet): number[] {
  const values: number[] = [];
  set.forEach((value) => {
    values.push(value);
  });
  return values;
}

test("it holds what a plain set would hold", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), fc.array(number, { maxLength: 10 }), (actions, probes) => {
      const set = new NumberSet();
      const plain = new Set<number>();
      for (const step of actions) {
        if (step.do === "add") {
          set.add(step.number);
          plain.add(step.number);
        } else if (step.do === "delete") {
          expect(set.delete(step.number)).toBe(plain.delete(step.number));
        } else if (step.do === "deleteRange") {
          set.deleteRange(step.number, step.number + step.length);
          for (let i = 0; i < step.length; i++) plain.delete(step.number + i);
        } else {
          set.addRange(step.number, step.number + step.length);
          for (let i = 0; i < step.length; i++) plain.add(step.number + i);
        }
      }
      const sorted = [...plain].sort((a, b) => a - b);
      expect(set.size).toBe(sorted.length);
      expect(valuesOf(set)).toEqual(sorted);
      expect([set.first, set.last]).toEqual([sorted[0], sorted.at(-1)]);
      for (const probe of probes) {
        expect(set.has(probe)).toBe(plain.has(probe));
        expect(set.next(probe)).toBe(sorted.find((value) => value >= probe));
        let absent = probe;
        while (plain.has(absent)) absent++;
        expect(set.nextAbsent(probe)).toBe(absent);
        const to = probe + 70_000;
        expect(set.countBetween(probe, to)).toBe(sorted.filter((value) => value >= probe && value < to).length);
      }
      expect(valuesOf(NumberSet.decode(set.encode()) as NumberSet)).toEqual(sorted);
    }),
    { numRuns: 40 },
  );
});

test("a million neighbours are a few bytes, and a million with gaps two bytes each", () => {
  const set = new NumberSet();
  set.addRange(5, 1_000_005);
  expect(set.encode().length).toBeLessThan(8);
  const odd = new NumberSet();
  for (let value = 1; value < 2_000_000; value += 2) odd.add(value);
  expect(odd.encode().length).toBe(2_000_000);
  expect(NumberSet.decode(odd.encode())?.size).toBe(1_000_000);
});

test("bytes that are no encoding give nothing", () => {
  for (const bytes of [
    [1],
    [1, 0],
    [0x80],
    [1, 1, 1],
    Array(9).fill(0xff),
    [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
  ]) {
    expect(NumberSet.decode(Buffer.from(bytes))).toBeUndefined();
  }
  expect(NumberSet.decode(Buffer.alloc(0))?.size).toBe(0);
});
