import { describe, expect, test } from "bun:test";
import { defaultSettings, topicSettings } from "../../src/config/settings.ts";
import { BatchQueue } from "../../src/route/batchQueue.ts";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { LingerClock } from "../../src/route/lingerClock.ts";
import { MemoryBudget } from "../../src/route/memoryBudget.ts";
import { encodeAnyPartition, FrameReader } from "../../src/wire/frame.ts";

function queueWith(overrides: Partial<ReturnType<typeof topicSettings>>) {
  const settings = {
    ...topicSettings(defaultSettings({ env: {}, uid: 0 }), "t"),
    codec: "none" as const,
    ...overrides,
  };
  const around = {
    pool: new BufferPool(1 << 26),
    memory: new MemoryBudget(1 << 30),
    heldMemory: new MemoryBudget(1 << 30),
    linger: new LingerClock(),
  };
  let announced = 0;
  const queue = new BatchQueue(
    around,
    () => settings,
    () => announced++,
  );
  const reader = new FrameReader();
  let number = 10;
  const append = (size: number, now = 0, receivedAt = 0, turn?: number) => {
    const frame = encodeAnyPartition({ topic: "t", timestamp: 0, key: new Uint8Array(), value: new Uint8Array(size) });
    reader.read(frame, 0, frame.length);
    queue.append(now, turn ?? ++number, frame, reader, receivedAt);
  };
  return { queue, append, around, announced: () => announced };
}

describe("a batch is due", () => {
  test("when its linger is over, and not a millisecond before", () => {
    const { queue, append, around } = queueWith({ linger: 50 });
    append(10, 1000);
    expect(around.linger.expire(1049)).toBe(1050);
    expect(queue.due).toBe(false);
    expect(around.linger.expire(1050)).toBe(Number.POSITIVE_INFINITY);
    expect(queue.due).toBe(true);
    expect(queue.take()?.count).toBe(1);
    expect([queue.due, queue.empty]).toEqual([false, true]);
  });

  test("when it has its bytes, announced once however it grows", () => {
    const { queue, append, announced } = queueWith({ bytes: 1000 });
    for (let i = 0; i < 20; i++) append(100);
    expect([queue.due, announced()]).toEqual([true, 1]);
    expect(queue.take()?.count).toBe(20);
  });

  test("when it has its count", () => {
    const { queue, append } = queueWith({ messages: 3 });
    append(1);
    append(1);
    expect(queue.due).toBe(false);
    append(1);
    expect(queue.due).toBe(true);
  });

  test("when it is hurried", () => {
    const { queue, append } = queueWith({});
    append(1);
    queue.hurry();
    expect(queue.take()?.count).toBe(1);
    expect(queue.take()).toBeUndefined();
  });

  test("and a linger that was for a batch long taken does not hurry the next", () => {
    const { queue, append, around } = queueWith({ linger: 50, messages: 2 });
    append(1, 0);
    append(1, 1);
    expect(queue.take()?.count).toBe(2);
    append(1, 40);
    around.linger.expire(60);
    expect(queue.due).toBe(false);
    around.linger.expire(90);
    expect(queue.due).toBe(true);
  });
});

describe("batches that wait for their partition", () => {
  test("grow to request_bytes and no further, and are taken in order", () => {
    const { queue, append } = queueWith({ bytes: 1000, requestBytes: 5000 });
    for (let i = 0; i < 100; i++) append(100);
    const taken = [];
    for (let batch = queue.take(); batch !== undefined; batch = queue.take()) taken.push(batch);
    expect(taken.length).toBeGreaterThan(2);
    for (const batch of taken) expect(batch.bytes.length).toBeLessThanOrEqual(5000);
    queue.hurry();
    for (let batch = queue.take(); batch !== undefined; batch = queue.take()) taken.push(batch);
    expect(taken.reduce((sum, { count }) => sum + count, 0)).toBe(100);
    const firsts = taken.map(({ numbers }) => numbers.first);
    expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
  });

  test("a record larger than request_bytes gets a batch of its own", () => {
    const { queue, append } = queueWith({ requestBytes: 5000 });
    append(10);
    append(9000);
    append(10);
    queue.hurry();
    const counts = [];
    for (let batch = queue.take(); batch !== undefined; batch = queue.take()) counts.push(batch.count);
    expect(counts).toEqual([1, 1, 1]);
  });
});

describe("with max_age", () => {
  test("the messages of a batch came close together, since it is given up as a whole", () => {
    const { queue, append } = queueWith({ maxAge: 16_000, linger: 3_600_000 });
    for (let second = 0; second < 10; second++) append(1, 0, 1_000_000 + second * 500);
    const old: number[] = [];
    const batches = queue.takeOver((receivedAt) => receivedAt < 1_002_600);
    for (const { count, receivedAt } of batches) old.push(count, receivedAt);
    expect(old).toEqual([3, 1_001_000, 3, 1_002_500]);
    expect(queue.takeOver(() => true).map(({ count }) => count)).toEqual([3, 1]);
    expect([queue.empty, queue.due, queue.takeOver(() => true)]).toEqual([true, false, []]);
  });

  test("a batch lingers no longer than half of it", () => {
    const { queue, append, around } = queueWith({ maxAge: 1000, linger: 3_600_000 });
    append(1, 0, 1_000_000);
    around.linger.expire(499);
    expect(queue.due).toBe(false);
    around.linger.expire(500);
    expect(queue.due).toBe(true);
  });

  test("what is not over stays, and what is behind it", () => {
    const { queue, append, around } = queueWith({ maxAge: 1000 });
    append(1, 0, 1_000_000);
    append(1, 0, 1_000_900);
    append(1, 0, 1_000_100);
    expect(queue.takeOver((receivedAt) => receivedAt < 1_000_500).map(({ count }) => count)).toEqual([1]);
    for (const batch of queue.takeOver(() => true)) batch.dispose();
    expect(around.memory.used).toBeGreaterThan(0); // the first was not disposed of
  });
});

test("a message out of turn begins a batch of its own", () => {
  const { queue, append, around } = queueWith({});
  for (let index = 0; index < 3; index++) append(1);
  append(1, 0, 0, 1);
  append(1);
  const taken = [];
  queue.hurry();
  for (let batch = queue.take(); batch !== undefined; batch = queue.take()) {
    taken.push([batch.numbers.first, batch.numbers.last]);
    batch.dispose();
  }
  expect(taken).toEqual([
    [11, 13],
    [1, 14],
  ]);
  expect(around.memory.used).toBe(0);
});
