// The age of messages: right while the clocks agree, and never too much when the wall clock is set.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MessageAge } from "../../src/route/messageAge.ts";

const START = Date.UTC(2026, 10, 22);
const HOUR = 3_600_000;
const YEAR = 8760 * HOUR;

/** Time that passes, and a wall clock that may be set. */
function host(wall = START) {
  const at = { monotonic: 5000, wall };
  const age = new MessageAge({ wall: () => at.wall, monotonic: () => at.monotonic });
  return {
    age,
    now: () => at.wall,
    pass: (ms: number) => {
      at.wall += ms;
      at.monotonic += ms;
    },
    set: (by: number) => {
      at.wall += by;
    },
  };
}

describe("the age of a message", () => {
  test("is the time since it came", () => {
    const { age, now, pass } = host();
    const came = now();
    expect(age.of(came)).toBe(0);
    pass(1234);
    expect(age.of(came)).toBe(1234);
    // Also of one of an earlier run.
    expect(age.of(START - 2 * HOUR)).toBe(2 * HOUR + 1234);
  });

  test("is not changed by a clock that is put forward by years, nor by one that is put back", () => {
    const { age, now, pass, set } = host();
    const came = now();
    pass(1000);
    set(10 * YEAR);
    expect(age.of(came)).toBe(1000);
    pass(1000);
    const later = now();
    set(-10 * YEAR - HOUR);
    age.look();
    pass(500);
    expect([age.of(came), age.of(later)]).toEqual([2500, 500]);
    pass(2 * HOUR);
    // It may also have come when the clock showed that time again.
    expect([age.of(came), age.of(later)]).toEqual([HOUR + 2500, 2 * HOUR + 500]);
  });

  test("of what came with a clock that was never set counts from then, in this run, and from the start, of another", () => {
    const { age, now, pass, set } = host(12_345);
    const came = now();
    pass(1000);
    set(START - 12_345);
    pass(1000);
    expect(age.of(came)).toBe(2000);
    const next = host(START);
    next.pass(3000);
    expect(next.age.of(came)).toBe(3000);
  });

  test("that bears a time yet to come counts from the start", () => {
    const { age, pass } = host();
    pass(1000);
    expect(age.of(START + YEAR)).toBe(1000);
    pass(1000);
    expect(age.of(START + YEAR)).toBe(2000);
  });

  test("is nothing for one of which nobody knows when it came", () => {
    const { age, pass } = host();
    pass(YEAR);
    expect(age.of(0)).toBe(0);
  });

  test("is not made more by a process that was put to sleep between one clock and the other", () => {
    let slept = 0;
    let reads = 0;
    const age = new MessageAge({
      wall: () => START + slept,
      monotonic: () => {
        // After the wall clock was read, now and then.
        if (++reads % 6 === 2) slept += 60_000;
        return 1000 + slept;
      },
    });
    for (let look = 0; look < 100; look++) age.look();
    expect(Math.abs(age.of(START) - slept)).toBeLessThanOrEqual(60_000);
    expect(age.of(START)).toBeGreaterThan(50 * 60_000);
  });
});

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ pass: fc.nat(HOUR) }) },
  { weight: 2, arbitrary: fc.record({ set: fc.integer({ min: -2 * HOUR, max: 2 * HOUR }) }) },
  { weight: 1, arbitrary: fc.record({ set: fc.integer({ min: -5 * YEAR, max: 5 * YEAR }) }) },
);

test("whatever is done to the clock, no message of this run seems older than it is", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.nat(START * 2), (steps, wall) => {
      const { age, now, pass, set } = host(wall);
      const came: { stamp: number; after: number }[] = [];
      let passed = 0;
      for (const each of steps) {
        came.push({ stamp: now(), after: passed });
        if ("pass" in each) {
          pass(each.pass);
          passed += each.pass;
        } else if (now() + each.set > 0) {
          // Smaller ones are not noticed.
          age.look();
          set(Math.abs(each.set) > 500 ? each.set : 0);
        }
        for (const { stamp, after } of came) if (stamp > 0) expect(age.of(stamp)).toBeLessThanOrEqual(passed - after);
      }
    }),
    { numRuns: 200 },
  );
});

test("a clock that is only put forward, however often, leaves ages exact", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(HOUR), fc.integer({ min: 1000, max: YEAR })), { maxLength: 60 }), (steps) => {
      const { age, now, pass, set } = host();
      const came: { stamp: number; after: number }[] = [];
      let passed = 0;
      for (const [time, by] of steps) {
        came.push({ stamp: now(), after: passed });
        pass(time + 1);
        passed += time + 1;
        age.look();
        set(by);
        for (const { stamp, after } of came) expect(age.of(stamp)).toBe(passed - after);
      }
    }),
  );
});
