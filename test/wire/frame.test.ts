// Frames are read and written as existing clients write them, and bytes that are no frame are told apart.
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  ANY_PARTITION,
  encodeAnyPartition,
  encodePartitionKey,
  FrameFault,
  FrameReader,
  PARTITION_KEY,
} from "../../src/wire/frame.ts";
import { isLegalTopic } from "../../src/wire/topic.ts";
import { messages, type TestMessage } from "./arbitraries.ts";
import vectors from "./vectors/frames.json";

function encode(message: TestMessage): Buffer {
  const { partitionKey } = message;
  return partitionKey === undefined ? encodeAnyPartition(message) : encodePartitionKey({ ...message, partitionKey });
}

function decode(bytes: Buffer, start: number, end: number): TestMessage | FrameFault {
  const reader = new FrameReader();
  const fault = reader.read(bytes, start, end);
  if (fault !== FrameFault.Ok) return fault;
  return {
    topic: bytes.toString("latin1", reader.topicStart, reader.topicEnd),
    timestamp: bytes.readBigInt64BE(reader.timestampAt),
    key: Buffer.from(bytes.subarray(reader.keyStart, reader.keyEnd)),
    value: Buffer.from(bytes.subarray(reader.valueStart, reader.valueEnd)),
    partitionKey: reader.apiKey === PARTITION_KEY ? reader.partitionKey : undefined,
  };
}

function faultOf(bytes: Buffer): FrameFault {
  return new FrameReader().read(bytes, 0, bytes.length);
}

for (const vector of vectors.frames) {
  test(`captured frame: ${vector.name}`, () => {
    const bytes = Buffer.from(vector.hex, "hex");
    const message: TestMessage = {
      topic: vector.topic,
      timestamp: BigInt(vector.timestampMs),
      key: Buffer.from(vector.keyHex, "hex"),
      value: Buffer.from(vector.valueHex, "hex"),
      partitionKey: vector.partitionKey,
    };
    expect(decode(bytes, 0, bytes.length)).toEqual(message);
    expect(encode(message).toString("hex")).toBe(vector.hex);
    expect(vector.apiKey).toBe(message.partitionKey === undefined ? ANY_PARTITION : PARTITION_KEY);
  });
}

test("what is encoded is decoded, wherever it lies, with any int64 as timestamp", () => {
  fc.assert(
    fc.property(messages(), fc.nat(20), fc.nat(20), (message, before, after) => {
      const frame = encode(message);
      const bytes = Buffer.concat([Buffer.alloc(before, 0xff), frame, Buffer.alloc(after, 0xff)]);
      expect(decode(bytes, before, bytes.length)).toEqual(message);
      const numeric = { ...message, timestamp: Number(BigInt.asIntN(53, message.timestamp)) };
      expect(decode(encode(numeric as never), 0, frame.length)).toMatchObject({ timestamp: BigInt(numeric.timestamp) });
    }),
  );
});

test("a frame cut short at any place, or with a byte more inside its size, is malformed", () => {
  fc.assert(
    fc.property(messages(), (message) => {
      const frame = encode(message);
      for (let length = 0; length < Math.min(frame.length, 300); length++) {
        expect(faultOf(frame.subarray(0, length))).toBe(FrameFault.Malformed);
        if (length < 8) continue;
        const cut = Buffer.from(frame.subarray(0, length));
        cut.writeInt32BE(length, 0);
        expect(faultOf(cut)).toBe(FrameFault.Malformed);
      }
      const longer = Buffer.concat([frame, Buffer.alloc(1)]);
      longer.writeInt32BE(longer.length, 0);
      expect(faultOf(longer)).toBe(FrameFault.Malformed);
    }),
    { numRuns: 30 },
  );
});

test("any bytes are classified, and what is called a frame is one", () => {
  const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array));
  const nearly = fc
    .tuple(messages(), fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { minLength: 1, maxLength: 4 }))
    .map(([message, changes]) => {
      const frame = encode(message);
      for (const [at, byte] of changes) if (at < frame.length) frame[at] = byte;
      return frame;
    });
  fc.assert(
    fc.property(fc.oneof(bytes, nearly), (candidate) => {
      const result = decode(candidate, 0, candidate.length);
      if (typeof result === "number") expect(result).toBeWithin(FrameFault.Malformed, FrameFault.BadTopic + 1);
      else expect(encode(result).equals(candidate.subarray(0, candidate.readInt32BE(0)))).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

const GOOD = encodePartitionKey({
  topic: "orders",
  timestamp: 1,
  key: Buffer.from("k"),
  value: Buffer.from("v"),
  partitionKey: 7,
});

// Offsets in GOOD: size 0, apiKey 4, version 6, flags 8, partitionKey 10, topic 14, timestamp 22, key 30, value 35.
const BROKEN: [name: string, fault: FrameFault, change: (frame: Buffer) => void][] = [
  ["a negative size", FrameFault.Malformed, (frame) => frame.writeInt32BE(-1, 0)],
  ["size 0", FrameFault.Malformed, (frame) => frame.writeInt32BE(0, 0)],
  ["a size less than any message's", FrameFault.Malformed, (frame) => frame.writeInt32BE(7, 0)],
  ["a size beyond the end", FrameFault.Malformed, (frame) => frame.writeInt32BE(frame.length + 1, 0)],
  ["an API key of no message", FrameFault.UnsupportedApiKey, (frame) => frame.writeInt16BE(258, 4)],
  ["the API key of a Sync", FrameFault.UnsupportedApiKey, (frame) => frame.writeInt16BE(512, 4)],
  ["a negative API key", FrameFault.UnsupportedApiKey, (frame) => frame.writeInt16BE(-1, 4)],
  ["version 1", FrameFault.UnsupportedVersion, (frame) => frame.writeInt16BE(1, 6)],
  ["version 256", FrameFault.UnsupportedVersion, (frame) => frame.writeInt16BE(256, 6)],
  ["flags", FrameFault.Malformed, (frame) => frame.writeInt16BE(1, 8)],
  ["a negative topic length", FrameFault.Malformed, (frame) => frame.writeInt16BE(-1, 14)],
  ["an empty topic", FrameFault.Malformed, (frame) => frame.writeInt16BE(0, 14)],
  ["a topic beyond the end", FrameFault.Malformed, (frame) => frame.writeInt16BE(32767, 14)],
  ["a topic with a space", FrameFault.BadTopic, (frame) => frame.write(" ", 18)],
  ["a topic with a zero byte", FrameFault.BadTopic, (frame) => frame.write("\0", 16)],
  ["a topic with a byte above 127", FrameFault.BadTopic, (frame) => frame.writeUInt8(0xe9, 21)],
  ["a negative key length", FrameFault.Malformed, (frame) => frame.writeInt32BE(-1, 30)],
  ["a key beyond the end", FrameFault.Malformed, (frame) => frame.writeInt32BE(0x7fffffff, 30)],
  ["a key that leaves no value", FrameFault.Malformed, (frame) => frame.writeInt32BE(2, 30)],
  ["a negative value length", FrameFault.Malformed, (frame) => frame.writeInt32BE(-1, 35)],
  ["a value shorter than what is there", FrameFault.Malformed, (frame) => frame.writeInt32BE(0, 35)],
  ["a value longer than what is there", FrameFault.Malformed, (frame) => frame.writeInt32BE(2, 35)],
];

for (const [name, fault, change] of BROKEN) {
  test(`${name} is recognised`, () => {
    const frame = Buffer.from(GOOD);
    expect(faultOf(frame)).toBe(FrameFault.Ok);
    change(frame);
    expect(faultOf(frame)).toBe(fault);
  });
}

test("topics are legal as Kafka says", () => {
  const legal = (topic: string) => isLegalTopic(Buffer.from(topic), 0, Buffer.byteLength(topic));
  for (const topic of ["a", "A.b_c-9", "...", ".a", "a.", "..a", "x".repeat(249)])
    expect([topic, legal(topic)]).toEqual([topic, true]);
  for (const topic of ["", ".", "..", "a b", "a/b", "é", "a\n", "x".repeat(250)])
    expect([topic, legal(topic)]).toEqual([topic, false]);
});
