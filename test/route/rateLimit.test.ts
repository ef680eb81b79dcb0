// A rate limit: so many messages in each interval of the clock by which they were received, however that clock goes.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { RateLimit } from "../../src/route/rateLimit.ts";

const START = Date.UTC(2026, 10, 22, 12);
const rate = { count: 10, interval: 1000 };

function taken(limit: RateLimit, of: typeof rate, at: number, messages: number): number {
  let count = 0;
  for (let message = 0; message < messages; message++) if (!limit.exceeded(of, at)) count++;
  return count;
}

test("lets so many through in each interval, at once or spread out, and no more", () => {
  const limit = new RateLimit();
  expect(taken(limit, rate, START, 4)).toBe(4);
  expect(taken(limit, rate, START + 400, 4)).toBe(4);
  expect(taken(limit, rate, START + 999, 4)).toBe(2);
  expect(taken(limit, rate, START + 1000, 100)).toBe(10);
  expect(taken(limit, rate, START + 1_000_000, 100)).toBe(10);
});

test("begins intervals where the clock does, so a restart finds the same ones", () => {
  const [before, after] = [new RateLimit(), new RateLimit()];
  expect(taken(before, rate, START + 700, 10)).toBe(10);
  expect(taken(after, rate, START + 1000, 20)).toBe(10);
  expect(taken(after, rate, START + 1999, 20)).toBe(0);
});

test("neither opens nor shuts for good when the clock is put back or forward", () => {
  const limit = new RateLimit();
  expect(taken(limit, rate, START, 20)).toBe(10);
  for (const back of [1, 3_600_000, 1e11]) {
    expect(taken(limit, rate, START - back, 20)).toBe(10);
    expect(taken(limit, rate, START - back + 2000, 20)).toBe(10);
  }
  expect(taken(limit, rate, START + 1e12, 20)).toBe(10);
  expect(taken(limit, rate, START + 5000, 20)).toBe(10);
});

test("takes nothing when it is 0, and all when nothing comes beyond it", () => {
  const limit = new RateLimit();
  expect(taken(limit, { count: 0, interval: 1000 }, START, 5)).toBe(0);
  expect(taken(new RateLimit(), { count: 1e15, interval: 1000 }, START, 1000)).toBe(1000);
});

test("another rate holds at once; what came in the same interval counts", () => {
  const limit = new RateLimit();
  expect(taken(limit, { count: 5, interval: 3_600_000 }, START, 10)).toBe(5);
  expect(taken(limit, { count: 8, interval: 3_600_000 }, START, 10)).toBe(3);
  expect(taken(limit, { count: 2, interval: 3_600_000 }, START, 10)).toBe(0);
  expect(taken(limit, { count: 2, interval: 1000 }, START, 10)).toBe(2);
});

test("in time order, each interval has as many as came, up to the count", () => {
  const steps = fc.array(fc.tuple(fc.nat(3000), fc.nat(8)), { maxLength: 100 });
  fc.assert(
    fc.property(steps, fc.nat(12), fc.integer({ min: 1, max: 5000 }), (arrivals, count, interval) => {
      const limit = new RateLimit();
      const of = { count, interval };
      const came = new Map<number, number>();
      const through = new Map<number, number>();
      let at = START;
      for (const [later, messages] of arrivals) {
        at += later;
        const key = Math.floor(at / interval);
        came.set(key, (came.get(key) ?? 0) + messages);
        through.set(key, (through.get(key) ?? 0) + taken(limit, of, at, messages));
      }
      for (const [key, messages] of came) expect(through.get(key)).toBe(Math.min(messages, count));
    }),
  );
});
