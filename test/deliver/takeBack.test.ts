// Batches taken apart are the frames they were made of, in the order of their numbers, whatever batches they were in.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { takeBack, type Unsent } from "../../src/deliver/takeBack.ts";
import type { CompressionSettings } from "../../src/route/batch.ts";
import { BatchBuilder } from "../../src/route/batchBuilder.ts";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { MemoryBudget, MemoryUse } from "../../src/route/memoryBudget.ts";
import { encodeAnyPartition, encodePartitionKey, FrameReader } from "../../src/wire/frame.ts";

const codec = fc.constantFrom("none" as const, "gzip" as const, "zstd" as const);
const message = fc.record({
  key: fc.uint8Array({ maxLength: 5 }),
  value: fc.uint8Array({ maxLength: 200 }),
  timestamp: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  /** Which destination, and whether a new batch begins there. */
  to: fc.nat(3),
  fresh: fc.boolean(),
});

test("messages come back from any batches as they went in, by number, and leave no memory behind", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 40 }), codec, (messages, name) => {
      const budget = new MemoryBudget(1 << 30);
      const memory = new MemoryUse(budget);
      const pool = new BufferPool(1 << 24);
      const compression: CompressionSettings = { codec: name, level: 1, minSize: 100, maxRatio: 1 };
      const unsent: Unsent[] = [0, 1, 2, 3].map((partition) => ({
        batches: [],
        partitionKey: partition === 3 ? undefined : partition,
      }));
      const open: (BatchBuilder | undefined)[] = [];
      const reader = new FrameReader();
      const close = (to: number) => {
        const builder = open[to];
        open[to] = undefined;
        if (builder !== undefined) unsent[to]?.batches.push(builder.close(compression));
      };
      const expected = messages.map(({ key, value, timestamp, to, fresh }, index) => {
        const number = index * 3 + 1;
        const parts = { topic: "t", timestamp, key, value };
        const frame = to === 3 ? encodeAnyPartition(parts) : encodePartitionKey({ ...parts, partitionKey: to });
        reader.read(frame, 0, frame.length);
        if (fresh) close(to);
        open[to] ??= new BatchBuilder(pool, memory, 0);
        open[to].append(number, frame, reader);
        return [number, frame.toString("hex")];
      });
      for (const to of unsent.keys()) close(to);
      const found: [number, string][] = [];
      takeBack("t", unsent, (number, bytes, length) => void found.push([number, bytes.toString("hex", 0, length)]));
      expect(found).toEqual(expected as [number, string][]);
      expect(budget.used).toBe(0);
    }),
  );
});
