// Who is tried next, when it is of no use any more, how long an answer may take, and how long a broker wants silence.
import { describe, expect, test } from "bun:test";
import { AnswerTime } from "../../src/deliver/answerTime.ts";
import { ReplicaSet } from "../../src/deliver/replicaSet.ts";
import { Throttle } from "../../src/deliver/throttle.ts";
import { Trial } from "../../src/deliver/trial.ts";

describe("of sets that are tried", () => {
  const sets = ["1,2,3", "1,2,4", "1,4,5", "1,3,5"].map((replicas) => new ReplicaSet(1, replicas));
  const [a, b, c, d] = sets as [ReplicaSet, ReplicaSet, ReplicaSet, ReplicaSet];

  test("those are suspected that share followers with one that failed, and none with one that was answered", () => {
    const trial = new Trial(sets);
    trial.fails(a);
    expect(sets.map((set) => trial.suspicion(set))).toEqual([2, 1, 0, 1]);
    trial.answered(b);
    expect(sets.map((set) => trial.suspicion(set))).toEqual([1, 0, 0, 1]);
    trial.answered(c);
    trial.fails(d);
    expect(trial.suspicion(d)).toBe(1);
    expect(trial.useful).toBe(true);
  });

  test("three that fail and none that does not mean the broker, and more is not tried", () => {
    const trial = new Trial(sets);
    for (const set of [a, b]) trial.fails(set);
    expect(trial.over).toBe(false);
    trial.fails(c);
    expect([trial.over, trial.useful]).toEqual([true, false]);
  });

  test("one that was tried counts no more", () => {
    const trial = new Trial([a]);
    trial.fails(a);
    trial.fails(a);
    trial.answered(a);
    trial.answered(b);
    expect([trial.over, trial.useful]).toEqual([false, false]);
  });
});

describe("the patience with a broker", () => {
  test("is half a second for one that is quick", () => {
    const time = new AnswerTime();
    for (let i = 0; i < 50; i++) time.add(5);
    expect(time.patience).toBe(500);
  });

  test("grows with what it takes as a rule, not with one answer that takes for ever", () => {
    const time = new AnswerTime();
    for (let i = 0; i < 50; i++) time.add(5);
    time.add(60_000);
    expect(time.patience).toBeLessThan(600);
    for (let i = 0; i < 100; i++) time.add(2_000);
    expect(time.patience).toBeGreaterThan(7_000);
    expect(time.patience).toBeLessThanOrEqual(8_000);
  });
});

describe("a broker that wants silence", () => {
  test("gets it until the latest end that any connection told of, and it counts once", () => {
    const throttle = new Throttle();
    expect(throttle.tell(0, 1_000_000, 50)).toBe(false);
    expect(throttle.tell(1_000_300, 1_000_000, 50)).toBe(true);
    expect(throttle.tell(1_000_300, 1_000_100, 150)).toBe(false);
    expect(throttle.left(150)).toBe(200);
    expect(throttle.tell(1_000_500, 1_000_100, 150)).toBe(false);
    expect([throttle.left(150), throttle.total]).toEqual([400, 500]);
    expect(throttle.left(1_000)).toBe(0);
    expect(throttle.tell(1_002_100, 1_002_000, 2_000)).toBe(true);
    expect(throttle.total).toBe(600);
  });
});
