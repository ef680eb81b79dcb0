// Message numbers come back as they went in, and stay small.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { MessageNumbers } from "../../src/spool/numbers.ts";

function numbersOf(values: number[]): MessageNumbers {
  const numbers = new MessageNumbers();
  for (const value of values) numbers.append(value);
  return numbers;
}

function valuesOf(numbers: MessageNumbers): number[] {
  const values: number[] = [];
  numbers.forEach((value, index) => {
    expect(index).toBe(values.length);
    values.push(value);
  });
  return values;
}

const ascending = fc
  .tuple(
    fc.integer({ min: 1, max: 2 ** 40 }),
    fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 45 })), { maxLength: 120 }),
  )
  .map(([first, deltas]) => {
    const values = [first];
    for (const delta of deltas) values.push((values.at(-1) as number) + delta);
    return values;
  });

test("any ascending numbers come back in order, whole and in slices", () => {
  fc.assert(
    fc.property(ascending, fc.nat(130), fc.nat(130), (values, from, to) => {
      const numbers = numbersOf(values);
      expect(valuesOf(numbers)).toEqual(values);
      expect([numbers.count, numbers.first, numbers.last]).toEqual([values.length, values[0] ?? 0, values.at(-1) ?? 0]);
      expect(valuesOf(numbers.slice(from, to))).toEqual(values.slice(from, Math.max(from, to)));
    }),
  );
});

test("numbers up to 2^53 are exact", () => {
  const values = [1, 2, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  expect(valuesOf(numbersOf(values))).toEqual(values);
});

test("neighbours take a byte each", () => {
  const numbers = new MessageNumbers();
  for (let i = 1_000_001; i <= 1_010_000; i++) numbers.append(i);
  expect(numbers.byteLength).toBeLessThan(20_000);
});

test("numbers that do not ascend are refused", () => {
  expect(() => numbersOf([5, 5])).toThrow(RangeError);
  expect(() => numbersOf([5, 4])).toThrow(RangeError);
});

test("cleared numbers start afresh", () => {
  const numbers = numbersOf([7, 8, 400]);
  numbers.clear();
  expect([numbers.count, numbers.first, numbers.last]).toEqual([0, 0, 0]);
  expect(valuesOf(numbers)).toEqual([]);
  numbers.append(3);
  expect(valuesOf(numbers)).toEqual([3]);
});
