// Frames written one after the other into the same memory are those that the encoders make.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { encodeAnyPartition, encodePartitionKey } from "../../src/wire/frame.ts";
import { FrameWriter } from "../../src/wire/frameWriter.ts";

test("a frame is the one that the encoders make of the same message", () => {
  const writer = new FrameWriter("clicks");
  const message = fc.record({
    key: fc.uint8Array({ maxLength: 300 }),
    value: fc.uint8Array({ maxLength: 5000 }),
    timestamp: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    partitionKey: fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(message, ({ key, value, timestamp, partitionKey }) => {
      const from = Buffer.concat([Buffer.from("before"), key, Buffer.from("between"), value]);
      const keyEnd = 6 + key.length;
      const bits = BigInt.asUintN(64, timestamp);
      const halves = { high: Number(bits >> 32n) | 0, low: Number(bits & 0xffffffffn) };
      const parts = { timestamp: halves, keyStart: 6, keyEnd, valueStart: keyEnd + 7, valueEnd: from.length };
      writer.write(from, parts, partitionKey);
      const plain = { topic: "clicks", timestamp, key, value };
      const expected =
        partitionKey === undefined ? encodeAnyPartition(plain) : encodePartitionKey({ ...plain, partitionKey });
      expect(writer.bytes.subarray(0, writer.length)).toEqual(expected);
    }),
  );
});
