import { expect, test } from "bun:test";
import { LingerClock } from "../../src/route/lingerClock.ts";

function told(clock: LingerClock, count: number) {
  const names: number[] = [];
  const whos = Array.from({ length: count }, (_, index) => ({ lingered: () => void names.push(index) }));
  return { names, whos, clock };
}

test("deadlines are told in their order, of every linger, and the next is named", () => {
  const { names, whos, clock } = told(new LingerClock(), 3);
  const [a, b, c] = whos as [(typeof whos)[0], (typeof whos)[0], (typeof whos)[0]];
  clock.add(a, 0, 50);
  clock.add(b, 10, 50);
  clock.add(c, 10, 5);
  expect(clock.expire(9)).toBe(15);
  expect(clock.expire(15)).toBe(50);
  expect(clock.expire(60)).toBe(Number.POSITIVE_INFINITY);
  expect(names).toEqual([2, 0, 1]);
});

test("however many batches come and go within a long linger, each queue has one deadline: its newest batch's", () => {
  const { names, whos, clock } = told(new LingerClock(), 2);
  for (let now = 0; now < 1000; now++) for (const who of whos) clock.add(who, now, 3_600_000);
  expect(clock.expire(3_600_998)).toBe(3_600_999);
  expect(names).toEqual([]);
  expect(clock.expire(3_600_999)).toBe(Number.POSITIVE_INFINITY);
  expect(names).toEqual([0, 1]);
});
