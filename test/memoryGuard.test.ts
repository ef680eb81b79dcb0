import { afterEach, beforeEach, expect, type Mock, spyOn, test } from "bun:test";
import { guardMemory } from "../src/memoryGuard.ts";

const BUFFERED = 128e6;
let collections = 0;
let used = 0;
let looks = 0;
let mocks: Mock<() => unknown>[];

beforeEach(() => {
  collections = used = looks = 0;
  const collect = spyOn(Bun, "gc").mockImplementation(() => {
    collections++;
  });
  const rss = spyOn(process.memoryUsage, "rss").mockImplementation(() => {
    looks++;
    return used;
  });
  mocks = [collect, rss] as unknown as Mock<() => unknown>[];
});
afterEach(() => {
  for (const mock of mocks) mock.mockRestore();
});

/** Resolves when `progress` was asked so often. */
function counted() {
  let asked = 0;
  let wake = () => {};
  const waits = (times: number) => {
    const end = asked + times;
    return new Promise<void>((resolve) => {
      wake = () => asked >= end && resolve();
    });
  };
  return {
    waits,
    ask: () => {
      asked++;
      wake();
    },
  };
}

test("garbage is collected when more memory is used than may be, and again only when more has come", async () => {
  const { ask, waits } = counted();
  let progress = 0;
  const guard = guardMemory(BUFFERED, () => {
    ask();
    return progress++;
  });
  try {
    used = BUFFERED + 69e6;
    await waits(2);
    expect(collections).toBe(0);
    used = BUFFERED + 80e6;
    await waits(4);
    expect(collections).toBe(1);
    used = BUFFERED + 91e6;
    await waits(3);
    expect(collections).toBe(2);
  } finally {
    guard.stop();
  }
});

test("nothing is looked at while nothing happens", async () => {
  const { ask, waits } = counted();
  used = BUFFERED * 2;
  const guard = guardMemory(BUFFERED, () => {
    ask();
    return 7;
  });
  try {
    await waits(3);
    expect([looks, collections]).toEqual([0, 0]);
  } finally {
    guard.stop();
  }
});
