// Messages are counted by topic as a plain map would, whatever the order, the length of the names and the buffer.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { TopicCounts } from "../../src/spool/topicCounts.ts";
import { encodePartitionKey } from "../../src/wire/frame.ts";
import { frameOf } from "../support/segments.ts";

const topic = fc.oneof(
  fc.constantFrom("a", "b", "ab", "abc", "abcd", "abce", "abcdefgh", "abcdefgi", "x".repeat(249), "__proto__"),
  fc.stringMatching(/^[a-d]{1,6}$/),
);
const message = fc.tuple(topic, fc.boolean());

test("counts are those of a plain map", () => {
  fc.assert(
    fc.property(fc.array(fc.array(message, { minLength: 1 }), { maxLength: 5 }), fc.nat(20), (runs, before) => {
      const counts = new TopicCounts();
      const plain = new Map<string, number>();
      for (const run of runs) {
        const frames = run.map(([name, keyed]) =>
          keyed
            ? encodePartitionKey({
                topic: name,
                timestamp: 1,
                key: Buffer.alloc(0),
                value: Buffer.alloc(3),
                partitionKey: 9,
              })
            : frameOf(name, "value"),
        );
        const bytes = Buffer.concat([Buffer.alloc(before), ...frames]);
        counts.add(bytes, before, bytes.length, run.length);
        for (const [name] of run) plain.set(name, (plain.get(name) ?? 0) + 1);
      }
      expect(counts.toMap()).toEqual(plain);
    }),
  );
});

test("thousands of topics are told apart", () => {
  const counts = new TopicCounts();
  const frames = Array.from({ length: 9000 }, (_, index) => frameOf(`t${index % 3000}`, "v"));
  const bytes = Buffer.concat(frames);
  counts.add(bytes, 0, bytes.length, frames.length);
  const found = counts.toMap();
  expect(found.size).toBe(3000);
  expect(new Set(found.values())).toEqual(new Set([3]));
});

test("what is no frame counts under no topic, and never reads behind its end", () => {
  const counts = new TopicCounts();
  const good = frameOf("t", "v");
  const bytes = Buffer.concat([good, Buffer.alloc(40), good]);
  counts.add(bytes, 0, bytes.length, 3);
  counts.add(good, 0, 12, 1);
  expect(counts.toMap()).toEqual(
    new Map([
      ["t", 1],
      ["", 3],
    ]),
  );
});
