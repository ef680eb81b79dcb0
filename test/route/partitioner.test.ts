import { describe, expect, test } from "bun:test";
import { murmur2, murmur2Index, partitionKeyIndex } from "../../src/route/partitioner.ts";

describe("partitioners", () => {
  test("murmur2 hashes as Kafka's Java client does (values from its own unit tests)", () => {
    const cases: [string, number][] = [
      ["21", -973932308],
      ["foobar", -790332482],
      ["a-little-bit-long-string", -985981536],
      ["a-little-bit-longer-string", -1486304829],
      ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
      ["abc", 479470107],
    ];
    for (const [text, hash] of cases) {
      const bytes = Buffer.from(`<<${text}>>`);
      expect(murmur2(bytes, 2, bytes.length - 2)).toBe(hash);
    }
  });

  test("a hash chooses among all partitions and is never negative", () => {
    const key = Buffer.from("21");
    expect(murmur2Index(key, 0, key.length, 7)).toBe((-973932308 & 0x7fffffff) % 7);
  });

  test("a PartitionKey takes the non-negative remainder", () => {
    expect([0, 5, -1, -7, 2 ** 31 - 1, -(2 ** 31)].map((key) => partitionKeyIndex(key, 3))).toEqual([0, 2, 2, 2, 1, 1]);
    expect(Object.is(partitionKeyIndex(-3, 3), 0)).toBe(true);
  });
});
