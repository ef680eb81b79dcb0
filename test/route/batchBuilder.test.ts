import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { stampBatch } from "../../src/kafka/recordBatch.ts";
import { readRecordBatch } from "../../src/kafka/recordBatchReader.ts";
import { BatchBuilder } from "../../src/route/batchBuilder.ts";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { MemoryBudget, MemoryUse } from "../../src/route/memoryBudget.ts";
import { encodeAnyPartition, FrameReader } from "../../src/wire/frame.ts";

const none = { codec: "none", level: 1, minSize: 128, maxRatio: 0.75 } as const;

interface Given {
  timestamp: bigint;
  key: Uint8Array;
  value: Uint8Array;
}

function build(messages: readonly Given[], compression: Parameters<BatchBuilder["close"]>[0] = none) {
  const budget = new MemoryBudget(1 << 30);
  const builder = new BatchBuilder(new BufferPool(1 << 26), new MemoryUse(budget), 5);
  const reader = new FrameReader();
  messages.forEach((message, index) => {
    const frame = encodeAnyPartition({ topic: "t", ...message });
    expect(reader.read(frame, 0, frame.length)).toBe(0);
    builder.append(100 + index * 3, frame, reader);
  });
  return { batch: builder.close(compression), budget };
}

const message = fc.record({
  timestamp: fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(1_795_000_000_000n, 1_795_000_001_000n)),
  key: fc.uint8Array({ maxLength: 40 }),
  value: fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ minLength: 100, maxLength: 5000 })),
});

describe("a batch built from frames", () => {
  test("holds what the messages held, whatever their bytes and timestamps", () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 60 }),
        fc.constantFrom("none", "gzip", "zstd"),
        (messages, codec) => {
          const { batch } = build(messages, { codec, level: 1, minSize: 0, maxRatio: 0.9 });
          stampBatch(batch.bytes, { producerId: 7n, producerEpoch: 2, baseSequence: 11 });
          const read = readRecordBatch(batch.bytes);
          expect(read.records.map(({ timestamp, key, value }) => ({ timestamp, key, value }))).toEqual(
            messages.map(({ timestamp, key, value }) => ({
              timestamp,
              key: key.length === 0 ? null : Buffer.from(key),
              value: Buffer.from(value),
            })),
          );
          expect(read.records.map(({ offset }) => offset)).toEqual(messages.map((_, index) => index));
          expect([read.producerId, read.producerEpoch, read.baseSequence]).toEqual([7n, 2, 11]);
          expect(read.maxTimestamp).toBe(messages.map(({ timestamp }) => timestamp).reduce((a, b) => (b > a ? b : a)));
          expect(read.lastOffsetDelta).toBe(messages.length - 1);
        },
      ),
    );
  });

  test("knows the numbers of its messages in the order of its records", () => {
    const { batch } = build(
      [1, 2, 3].map((n) => ({ timestamp: BigInt(n), key: new Uint8Array(), value: Buffer.from([n]) })),
    );
    const numbers: number[] = [];
    batch.numbers.forEach((number) => {
      numbers.push(number);
    });
    expect(numbers).toEqual([100, 103, 106]);
  });

  test("is not compressed when that gains too little, or it is too small", () => {
    const noise = [{ timestamp: 0n, key: new Uint8Array(), value: crypto.getRandomValues(new Uint8Array(4000)) }];
    const zeros = [{ timestamp: 0n, key: new Uint8Array(), value: new Uint8Array(4000) }];
    const codecOf = (given: Given[], minSize: number) => {
      const { batch } = build(given, { codec: "zstd", level: 1, minSize, maxRatio: 0.75 });
      stampBatch(batch.bytes, { producerId: -1n, producerEpoch: -1, baseSequence: -1 });
      return readRecordBatch(batch.bytes).codec;
    };
    expect(codecOf(noise, 0)).toBe(0);
    expect(codecOf(zeros, 0)).toBe(4);
    expect(codecOf(zeros, 5000)).toBe(0);
  });

  test("gives all of its memory back when it is disposed of, once", () => {
    for (const codec of ["none", "zstd"] as const) {
      const value = new Uint8Array(300_000);
      const { batch, budget } = build([{ timestamp: 0n, key: value, value }], {
        codec,
        level: 1,
        minSize: 0,
        maxRatio: 0.9,
      });
      expect(budget.used).toBeGreaterThanOrEqual(batch.bytes.length);
      batch.dispose();
      expect(budget.used).toBe(0);
      expect(() => batch.dispose()).toThrow("twice");
    }
  });
});
