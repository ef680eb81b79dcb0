// The memory queue numbers messages without gaps and knows at any moment how many are unsettled.

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { MemoryQueue, openMemoryQueueWriter } from "../../src/spool/memoryQueue.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";

function numbersOf(values: number[]): MessageNumbers {
  const numbers = new MessageNumbers();
  for (const value of values) numbers.append(value);
  return numbers;
}

const FRAMES = Buffer.alloc(64, 7);

test("messages settled in any order leave nothing unsettled", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      fc.infiniteStream(fc.nat(4)),
      (counts, partitions, choice) => {
        const queue = new MemoryQueue(100_000);
        const writer = openMemoryQueueWriter(queue.memory, () => {});
        const batches = Array.from({ length: partitions }, () => new MessageNumbers());
        let expected = 1;
        for (const count of counts) {
          expect(writer.append(3, 12, FRAMES, 0, 8, count)).toBe(expected);
          const block = queue.read();
          expect([block?.firstNumber, block?.count, block?.source, block?.receivedAt]).toEqual([
            expected,
            count,
            3,
            12,
          ]);
          queue.release();
          for (let i = 0; i < count; i++) {
            const batch = batches[(choice.next().value as number) % partitions] as MessageNumbers;
            batch.append(expected + i);
            if (batch.count < 30) continue;
            queue.settle(batch, "delivered");
            batch.clear();
          }
          expected += count;
        }
        const rest = batches.reduce((sum, batch) => sum + batch.count, 0);
        expect(queue.unsettled).toBe(rest);
        for (const batch of batches.reverse()) queue.settle(batch, "delivered");
        expect([queue.written, queue.taken, queue.settled, queue.unsettled]).toEqual([
          expected - 1,
          expected - 1,
          expected - 1,
          0,
        ]);
      },
    ),
  );
});

test("a full queue takes nothing, numbers nothing, and says when there is room", () => {
  const queue = new MemoryQueue(256);
  const writer = openMemoryQueueWriter(queue.memory, () => {});
  let rooms = 0;
  queue.onRoom(() => rooms++);
  expect(writer.append(0, 0, FRAMES, 0, 64, 1)).toBe(1);
  expect(writer.append(0, 0, FRAMES, 0, 64, 1)).toBe(2);
  expect(writer.append(0, 0, FRAMES, 0, 64, 1)).toBe(0);
  expect(queue.bytesWaiting).toBe(128);
  expect(queue.read()?.firstNumber).toBe(1);
  queue.release();
  expect(rooms).toBe(1);
  expect(writer.append(0, 0, FRAMES, 0, 64, 1)).toBe(3);
  expect(queue.written).toBe(3);
});

/** A queue whose calls back can be awaited. */
function watched() {
  const queue = new MemoryQueue(10_000);
  const calls = { wakes: 0, readable: 0, next: Promise.withResolvers<void>() };
  queue.onReadable(() => {
    calls.readable++;
    calls.next.resolve();
    calls.next = Promise.withResolvers();
  });
  const writer = openMemoryQueueWriter(queue.memory, () => {
    calls.wakes++;
    queue.wake();
  });
  return { queue, writer, calls };
}

test("a reader that found nothing is called back once when something came, also long after", async () => {
  const { queue, writer, calls } = watched();
  queue.wake();
  expect(queue.read()).toBeUndefined();
  expect(queue.read()).toBeUndefined();
  const called = calls.next.promise;
  const append = setInterval(() => writer.append(0, 0, FRAMES, 0, 64, 1), 20);
  await called;
  clearInterval(append);
  expect([calls.readable, calls.wakes, queue.written]).toEqual([1, 1, 1]);
  writer.append(0, 0, FRAMES, 0, 64, 1);
  expect([calls.readable, calls.wakes]).toEqual([1, 1]);
});

test("while messages keep coming the reader looks by itself, and the writer wakes nobody", async () => {
  const { queue, writer, calls } = watched();
  for (let i = 1; i <= 20; i++) {
    expect(queue.read()).toBeUndefined();
    const called = calls.next.promise;
    for (let j = 0; j < 5; j++) writer.append(0, 0, FRAMES, 0, 64, 1);
    await called;
    for (let j = 0; j < 5; j++) {
      queue.read();
      queue.release();
    }
  }
  expect(calls).toMatchObject({ wakes: 0, readable: 20 });
});

test("settling a message twice, or one never read, is a defect that shows", () => {
  const queue = new MemoryQueue(1000);
  const writer = openMemoryQueueWriter(queue.memory, () => {});
  writer.append(0, 0, FRAMES, 0, 64, 1);
  expect(() => queue.settle(numbersOf([1]), "delivered")).toThrow(RangeError);
  queue.read();
  queue.release();
  queue.settle(numbersOf([1]), "delivered");
  expect(() => queue.settle(numbersOf([1]), "delivered")).toThrow(RangeError);
});

test("a message that waits for long keeps nothing of the many that are settled behind it", () => {
  const queue = new MemoryQueue(100_000);
  const writer = openMemoryQueueWriter(queue.memory, () => {});
  const count = 1000;
  const take = () => {
    const first = writer.append(0, 0, FRAMES, 0, 8, count);
    queue.read();
    queue.release();
    return first;
  };
  const objects = () => {
    Bun.gc(true);
    return heapStats().objectCount;
  };
  const held = take();
  const numbers = new MessageNumbers();
  const before = objects();
  for (let round = 0; round < 20_000; round++) {
    const first = take();
    numbers.clear();
    for (let index = 0; index < count; index++) numbers.append(first + index);
    queue.settle(numbers, "delivered");
  }
  expect(objects() - before).toBeLessThan(5000);
  expect(queue.unsettled).toBe(count);
  queue.settle(numbersOf([held, held + 999]), "delivered");
  expect(() => queue.settle(numbers, "delivered")).toThrow("settled twice");
  expect(queue.unsettled).toBe(count - 2);
});
