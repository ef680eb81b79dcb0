import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SizeLimit } from "../../src/route/sizeLimit.ts";

/** Batches of messages that all have `size` bytes, for brokers that take `limit`; compressed to `ratio` of their size. */
function world(limit: number, size = 100) {
  const known = new SizeLimit();
  const state = { limit, sent: 0, largest: 0, split: 0 };
  const batchOf = (plainBytes: number, ratio: number) => ({
    bytes: Buffer.alloc(Math.max(1, Math.round(plainBytes * ratio))),
    plainBytes,
    count: Math.max(1, Math.round(plainBytes / size)),
  });
  /** Sends a backlog of `plain` bytes, cut as batches are, and cut again as they are when they turn out too large. */
  function deliver(plain: number, ratioOf: () => number): void {
    const line: { plainBytes: number; ratio: number }[] = [];
    let left = plain;
    while (left > 0 || line.length > 0) {
      const next = line.shift() ?? { plainBytes: Math.min(left, 1_000_000, known.most), ratio: ratioOf() };
      const batch = batchOf(next.plainBytes, next.ratio);
      const cut = () => {
        const room = Math.min(known.most, next.plainBytes / 2);
        const parts = Math.ceil(next.plainBytes / room);
        line.unshift(...Array.from({ length: parts }, () => ({ ...next, plainBytes: next.plainBytes / parts })));
      };
      if (line.length === 0) left -= next.plainBytes;
      if (known.isTooLarge(batch)) {
        state.split++;
        known.cut(batch);
        cut();
      } else if (batch.bytes.length > state.limit && batch.count > 1) {
        known.refuse(batch);
        cut();
      } else if (batch.bytes.length <= state.limit) {
        known.accept(batch);
        state.sent++;
        state.largest = Math.max(state.largest, batch.bytes.length);
      }
    }
  }
  return { known, state, deliver };
}

describe("the limit of a topic's batches", () => {
  test("is unknown as long as everything is taken", () => {
    const { known, deliver } = world(1_048_588);
    deliver(50_000_000, () => 1);
    expect([known.known, known.most, known.refusals]).toEqual([undefined, Infinity, 0]);
  });

  test("is learned with few refusals, and used well", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 900_000 }), (limit) => {
        const { known, state, deliver } = world(limit);
        deliver(10_000_000, () => 1);
        expect(known.refusals).toBeLessThanOrEqual(12 + state.sent / 900);
        expect(known.known).toBeGreaterThan(limit);
        expect(known.known).toBeLessThanOrEqual(limit * 2);
        expect(state.largest).toBeGreaterThan(limit / 1.5);
      }),
      { numRuns: 40 },
    );
  });

  test("is of what is sent: the better it is compressed, the larger a batch may grow", () => {
    const { known, state, deliver } = world(50_000);
    deliver(20_000_000, () => 0.1);
    expect(known.refusals).toBeLessThanOrEqual(12);
    expect(known.most).toBeGreaterThan(250_000);
    const before = known.refusals;
    // Data of another kind: what turns out too large is split, not refused.
    deliver(20_000_000, () => 0.5);
    expect(known.refusals - before).toBeLessThanOrEqual(3);
    expect(known.most).toBeLessThan(150_000);
    expect(state.largest).toBeLessThanOrEqual(50_000);
    expect(state.split).toBeLessThanOrEqual(10);
  });

  test("is found again when it was lowered, or raised", () => {
    const { known, state, deliver } = world(100_000);
    deliver(20_000_000, () => 1);
    state.limit = 20_000;
    deliver(5_000_000, () => 1);
    const lowered = known.refusals;
    expect(known.known).toBeLessThanOrEqual(40_000);
    state.limit = 1_048_588;
    deliver(60_000_000, () => 1);
    expect([known.known, known.most]).toEqual([undefined, Infinity]);
    expect(known.refusals).toBe(lowered);
  });

  test("is tried again seldom when it was not raised", () => {
    const { known, state, deliver } = world(10_000);
    deliver(1_000_000, () => 1);
    const [refusals, sent] = [known.refusals, state.sent];
    deliver(100_000_000, () => 1);
    expect(known.refusals - refusals).toBeGreaterThan(0);
    expect(known.refusals - refusals).toBeLessThanOrEqual((state.sent - sent) / 900);
  });

  test("is found again when it was raised, also where two messages are far more than what was refused, and one less", () => {
    const known = new SizeLimit();
    const batchOf = (count: number, size: number) => {
      const plainBytes = 61 + count * size;
      return { bytes: Buffer.alloc(plainBytes), plainBytes, count };
    };
    known.refuse(batchOf(2, 600));
    for (let sent = 0; sent < 5_000 && known.known !== undefined; sent++) {
      const batch = batchOf(Math.max(1, Math.floor((Math.min(known.most, 100_000) - 61) / 950)), 950);
      expect(known.isTooLarge(batch)).toBe(false);
      known.accept(batch);
    }
    expect(known.known).toBeUndefined();
  });

  test("is not judged by a message that is too large alone, nor by the batch that it was in", () => {
    const { known, state, deliver } = world(100_000);
    deliver(1_000_000, () => 1);
    const { known: before, most } = known;
    known.refuse({ bytes: Buffer.alloc(150_000), plainBytes: 150_000, count: 1 });
    known.refuse({ bytes: Buffer.alloc(100), plainBytes: 100, count: 1 });
    known.refuse({ bytes: Buffer.alloc(5_000_000), plainBytes: 5_000_000, count: 9 });
    expect(known.known).toBe(before as number);
    expect(known.most).toBeGreaterThan(most * 0.99);
    deliver(1_000_000, () => 1);
    expect(state.largest).toBeLessThanOrEqual(100_000);
  });
});
