// Batches made of the records of another one.
import { expect, test } from "bun:test";
import { cutBatch } from "../../src/deliver/rebuildBatch.ts";
import { BatchBuilder } from "../../src/route/batchBuilder.ts";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { MemoryBudget, MemoryUse } from "../../src/route/memoryBudget.ts";

const compression = { codec: "none", level: 1, minSize: 128, maxRatio: 0.75 } as const;

test("a batch that is cut into its messages takes no more memory meanwhile than what comes of it, and one", () => {
  const budget = new MemoryBudget(1 << 30);
  let most = 0;
  class Watched extends MemoryUse {
    override add(bytes: number): void {
      super.add(bytes);
      most = Math.max(most, this.used);
    }
  }
  const memory = new Watched(budget);
  const pool = new BufferPool(1 << 30);
  const builder = new BatchBuilder(pool, memory, 0);
  const frame = Buffer.alloc(8 + 10, "x");
  const parts = { timestampAt: 0, keyStart: 8, keyEnd: 8, valueStart: 8, valueEnd: frame.length };
  for (let number = 1; number <= 2_000; number++) builder.append(number, frame, parts);
  const batch = builder.close(compression);
  const before = memory.used;
  const cut = cutBatch(batch, 1, { compression, pool });
  expect(cut.map(({ count }) => count)).toEqual(new Array(2_000).fill(1));
  const sizes = cut.reduce((sum, { bytes }) => sum + bytes.length, 0);
  expect(memory.used).toBe(sizes);
  expect(most).toBeLessThanOrEqual(before + sizes + 2 * 2048);
  for (const each of cut) each.dispose();
  expect(memory.used).toBe(0);
});
