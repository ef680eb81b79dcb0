// The ring gives back every block once, in order and unharmed, whatever the sizes, and never loses a wake-up.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { createRingMemory, RingReader, RingWriter } from "../../src/spool/ring.ts";

function setUp(capacity: number, origin = 0) {
  const calls = { wake: 0, room: 0 };
  const memory = createRingMemory(capacity, origin);
  const writer = new RingWriter(memory, () => calls.wake++);
  const reader = new RingReader(memory, () => calls.room++);
  return { calls, writer, reader, memory };
}

function filled(length: number, value: number): Buffer {
  return Buffer.alloc(length, value);
}

// Positions are shared by their low 32 bits, in eights: the interesting places are where those change sign and wrap.
const ORIGINS = [0, 2 ** 34, 2 ** 35, 2 ** 36 + 2 ** 34];

test("a model of random appends, reads and releases holds, wherever the positions begin", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("append" as const), length: fc.integer({ min: 1, max: 300 }) }),
    fc.record({ do: fc.constant("take" as const), length: fc.constant(0) }),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 400, max: 1200 }),
      fc.array(step, { maxLength: 200 }),
      fc.constantFrom(...ORIGINS),
      fc.nat(4),
      (capacity, steps, place, before) => {
        const { writer, reader } = setUp(capacity, Math.max(0, place - before * 500));
        const model: { number: number; content: Buffer }[] = [];
        let number = 1;
        for (const { do: action, length } of steps) {
          if (action === "append") {
            const content = filled(length, number % 251);
            const taken = writer.append(number, 2, number * 10, number * 100, content, 0, length);
            if (model.length === 0 && length <= writer.largest) expect(taken).toBe(true);
            if (taken) model.push({ number: number++, content });
          } else {
            const expected = model.shift();
            const block = reader.read();
            expect(block === undefined).toBe(expected === undefined);
            if (block === undefined || expected === undefined) continue;
            expect(block.firstNumber).toBe(expected.number);
            expect([block.count, block.source, block.receivedAt]).toEqual([
              2,
              expected.number * 10,
              expected.number * 100,
            ]);
            expect(block.bytes.subarray(block.start, block.end).equals(expected.content)).toBe(true);
            reader.release();
          }
          expect(reader.bytesWaiting).toBe(model.reduce((sum, { content }) => sum + content.length, 0));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("a ring that is emptied each time stays at its beginning, and keeps its whole capacity", () => {
  const { writer, reader } = setUp(100_000);
  for (let i = 1; i < 1000; i++) {
    writer.append(i, 1, 0, 0, filled(700, 1), 0, 700);
    expect(reader.read()?.start).toBe(48);
    reader.release();
  }
  expect(writer.append(1000, 1, 0, 0, filled(writer.largest, 2), 0, writer.largest)).toBe(true);
  expect(reader.read()?.end).toBe(writer.capacity);
});

test("a reader that sleeps is woken once, and one that has something to read does not sleep", () => {
  const { writer, reader, calls } = setUp(1000);
  writer.append(1, 1, 0, 0, filled(8, 1), 0, 8);
  expect(reader.sleep()).toBe(false);
  reader.read();
  reader.release();
  expect(reader.read()).toBeUndefined();
  expect(calls.wake).toBe(0);
  expect(reader.sleep()).toBe(true);
  writer.append(2, 1, 0, 0, filled(8, 1), 0, 8);
  writer.append(3, 1, 0, 0, filled(8, 1), 0, 8);
  expect(calls.wake).toBe(1);
});

test("the writer is told of room once, and only when there is enough for what it wanted", () => {
  const { writer, reader, calls } = setUp(1080);
  for (let i = 1; i <= 9; i++) expect(writer.append(i, 1, 0, 0, filled(60, 1), 0, 60)).toBe(true);
  expect(writer.append(11, 1, 0, 0, filled(400, 1), 0, 400)).toBe(false);
  const rooms: number[] = [];
  for (let i = 1; i <= 9; i++) {
    reader.read();
    reader.release();
    rooms.push(calls.room);
  }
  expect(rooms).toEqual([0, 0, 0, 1, 1, 1, 1, 1, 1]);
  expect(writer.append(11, 1, 0, 0, filled(400, 1), 0, 400)).toBe(true);
});

test("a writer opened anew goes on where the last one stopped", () => {
  const { writer, reader, memory } = setUp(1000, 2 ** 36);
  let last = writer;
  for (let i = 1; i <= 50; i++) {
    expect(last.append(i, 1, 0, 0, filled(100 + i, i), 0, 100 + i)).toBe(true);
    last = new RingWriter(memory, () => {});
    expect(last.append(i, 1, 0, 0, filled(8, i), 0, 8)).toBe(true);
    for (const length of [100 + i, 8]) {
      const block = reader.read();
      expect([block?.firstNumber, (block?.end ?? 0) - (block?.start ?? 0)]).toEqual([i, length]);
      reader.release();
    }
    expect(reader.read()).toBeUndefined();
  }
  expect(last.writtenMessages).toBe(100);
});

test("a block that can never fit is refused", () => {
  const { writer } = setUp(1000);
  expect(writer.append(1, 1, 0, 0, filled(953, 1), 0, 953)).toBe(false);
  expect(writer.append(1, 1, 0, 0, filled(952, 1), 0, 952)).toBe(true);
});

test("two threads pass a million messages through a small ring", async () => {
  const memory = createRingMemory(10_000);
  const woken = { resolve: () => {} };
  const worker = new Worker(new URL("./ringWriter.worker.ts", import.meta.url));
  const room = new Int32Array(new SharedArrayBuffer(4));
  worker.onmessage = () => woken.resolve();
  const reader = new RingReader(memory, () => {
    Atomics.store(room, 0, 1);
    Atomics.notify(room, 0);
  });
  worker.postMessage({ memory, room, messages: 1_000_000 });
  let next = 1;
  while (next <= 1_000_000) {
    const wake = new Promise<void>((resolve) => {
      woken.resolve = resolve;
    });
    const block = reader.read();
    if (block === undefined) {
      if (reader.sleep()) await wake;
      continue;
    }
    if (block.firstNumber !== next || block.bytes[block.end - 1] !== next % 256) throw new Error(`lost at ${next}`);
    next += block.count;
    reader.release();
  }
  expect(reader.writtenMessages).toBe(1_000_000);
  worker.terminate();
});
