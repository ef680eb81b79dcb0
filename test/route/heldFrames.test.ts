import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { HeldFrames } from "../../src/route/heldFrames.ts";
import { MemoryBudget, MemoryUse } from "../../src/route/memoryBudget.ts";

describe("held frames", () => {
  test("come out in order with their numbers, however they were put in and drained, and leave no memory behind", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ size: fc.oneof(fc.nat(300), fc.nat(90_000)), drain: fc.nat(3) }), { maxLength: 60 }),
        (steps) => {
          const budget = new MemoryBudget(1 << 30);
          const held = new HeldFrames(new BufferPool(1 << 26), new MemoryUse(budget));
          const seen: [number, number][] = [];
          const take = (most: number) => {
            let left = most;
            held.drain(
              () => left-- > 0,
              (number, bytes, start) => {
                const size = bytes.readUInt32BE(start);
                expect(bytes.readUInt32BE(start + 4)).toBe(number);
                seen.push([number, size]);
                return true;
              },
            );
          };
          steps.forEach(({ size, drain }, index) => {
            const frame = Buffer.alloc(size + 8);
            frame.writeUInt32BE(frame.length, 0);
            frame.writeUInt32BE(index, 4);
            const padded = Buffer.concat([Buffer.from("xx"), frame, Buffer.from("yy")]);
            held.append(index, padded, 2, 2 + frame.length);
            take(drain === 0 ? 0 : drain - 1);
          });
          expect(held.count).toBe(steps.length - seen.length);
          take(Number.POSITIVE_INFINITY);
          expect(seen).toEqual(steps.map(({ size }, index) => [index, size + 8]));
          expect([held.count, budget.used]).toEqual([0, 0]);
        },
      ),
    );
  });
});
