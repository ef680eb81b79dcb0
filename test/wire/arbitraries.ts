// Random messages for the property tests.
import fc from "fast-check";

export interface TestMessage {
  topic: string;
  timestamp: bigint;
  key: Buffer;
  value: Buffer;
  partitionKey: number | undefined;
}

const TOPIC_CHARACTERS = [..."abcxyzABCXYZ0189._-"];

export function messages(maxValue = 60): fc.Arbitrary<TestMessage> {
  return fc.record({
    topic: fc
      .string({ unit: fc.constantFrom(...TOPIC_CHARACTERS), minLength: 1, maxLength: 20 })
      .filter((topic) => topic !== "." && topic !== ".."),
    timestamp: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    key: fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    value: fc.uint8Array({ maxLength: maxValue }).map((bytes) => Buffer.from(bytes)),
    partitionKey: fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { nil: undefined }),
  });
}
