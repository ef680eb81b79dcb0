import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { requestChunks } from "../../src/kafka/connectionRequest.ts";
import { initProducerIdRequest } from "../../src/kafka/initProducerId.ts";
import { metadataRequest } from "../../src/kafka/metadata.ts";
import { produceRequest } from "../../src/kafka/produce.ts";
import * as golden from "./golden.ts";

const clicks = (...batches: [number, Uint8Array][]) => ({
  topic: "clicks",
  partitions: batches.map(([partition, batch]) => ({ partition, batch })),
});
const produce = produceRequest({
  acks: -1,
  timeout: 25_000,
  topics: [
    clicks([0, Buffer.from("first batch")], [7, Buffer.from("second")]),
    { topic: "über", partitions: [{ partition: 258, batch: Buffer.from("third") }] },
  ],
});
const metadata = (version: 5 | 7 | 8) =>
  metadataRequest({ topics: ["clicks", "nope"], allowAutoTopicCreation: true, version });

describe("requests are byte for byte those of Kafka's own clients", () => {
  test("Produce v8, with its header", () => {
    const chunks = requestChunks(produce, 9, Buffer.from("test"));
    expect(Buffer.concat(chunks)).toEqual(golden.PRODUCE_REQUEST_FRAME);
    expect(chunks).toHaveLength(1);
  });

  test("a large batch is written as it stands, and only small parts are joined", () => {
    const batch = Buffer.alloc(20_000, "b");
    const request = produceRequest({ acks: 1, timeout: 1, topics: [clicks([0, batch], [1, batch], [2, batch])] });
    const chunks = requestChunks(request, 0, Buffer.from("x"));
    expect(chunks).toHaveLength(6);
    expect(chunks.filter((chunk) => chunk === batch)).toHaveLength(3);
    const frame = Buffer.concat(chunks);
    expect(frame.readInt32BE(0)).toBe(frame.length - 4);
  });

  test("Metadata v5 to v8", () => {
    const body = (...args: Parameters<typeof metadataRequest>) => Buffer.concat(metadataRequest(...args).parts());
    const topics = ["clicks", "nope"];
    expect(body({ topics, allowAutoTopicCreation: true, version: 5 })).toEqual(golden.METADATA_REQUEST);
    expect(body({ topics, allowAutoTopicCreation: true })).toEqual(golden.METADATA_REQUEST);
    expect(body({ topics, allowAutoTopicCreation: true, version: 8 })).toEqual(golden.METADATA_REQUEST_8);
    expect(body({ topics: null, allowAutoTopicCreation: false })).toEqual(golden.METADATA_REQUEST_ALL);
    expect(body({ topics: [], allowAutoTopicCreation: false })).toEqual(golden.METADATA_REQUEST_NONE);
  });

  test("Metadata of a thousand topics", () => {
    const topics = Array.from({ length: 1000 }, (_, n) => `a topic with a long name ${n}`);
    const body = Buffer.concat(metadataRequest({ topics, allowAutoTopicCreation: true }).parts());
    expect(body.readInt32BE(0)).toBe(1000);
    expect(body).toHaveLength(5 + topics.reduce((size, topic) => size + 2 + topic.length, 0));
  });

  test("InitProducerId", () => {
    expect(Buffer.concat(initProducerIdRequest().parts())).toEqual(golden.INIT_PRODUCER_ID_REQUEST);
  });

  test("acks 0 waits for no answer", () => {
    const request = produceRequest({ acks: 0, timeout: 1, topics: [] });
    expect(request.expectResponse).toBe(false);
    expect(request.decode(Buffer.alloc(0))).toEqual({ partitions: [], throttleTime: 0 });
  });
});

describe("answers are read as Kafka writes them", () => {
  test("Produce v8, with the records at fault", () => {
    expect(produce.decode(golden.PRODUCE_RESPONSE)).toEqual({
      partitions: [
        {
          topic: "clicks",
          partition: 0,
          errorCode: 0,
          baseOffset: 5_000_000_000,
          logStartOffset: 17,
          recordErrors: [],
          errorMessage: null,
        },
        {
          topic: "clicks",
          partition: 7,
          errorCode: 87,
          baseOffset: -1,
          logStartOffset: -1,
          recordErrors: [
            { index: 3, message: "null key" },
            { index: 9, message: null },
          ],
          errorMessage: "no key",
        },
      ],
      throttleTime: 321,
    });
  });

  test.each([5, 7, 8] as const)("Metadata v%i", (version) => {
    const epochs = version === 5 ? [-1, -1] : [44, 3];
    expect(metadata(version).decode(golden.METADATA_RESPONSE[version])).toEqual({
      throttleTime: 5,
      brokers: [
        { id: 1, host: "b1.example", port: 9092 },
        { id: 2, host: "b2", port: 9093 },
      ],
      clusterId: "Zm9v",
      controllerId: 2,
      topics: [
        {
          errorCode: 0,
          name: "clicks",
          partitions: [
            { errorCode: 0, id: 1, leader: 2, leaderEpoch: epochs[0] as number, replicas: [2, 1] },
            { errorCode: 5, id: 0, leader: -1, leaderEpoch: epochs[1] as number, replicas: [1] },
          ],
        },
        { errorCode: 3, name: "nope", partitions: [] },
      ],
    });
  });

  test("InitProducerId, with an id beyond 2^53", () => {
    expect(initProducerIdRequest().decode(golden.INIT_PRODUCER_ID_RESPONSE)).toEqual({
      throttleTime: 2,
      errorCode: 0,
      producerId: 9007199254740993n,
      producerEpoch: 3,
    });
  });
});

describe("answers that are not what their grammar says are refused", () => {
  const answers: [string, (body: Buffer) => unknown, Buffer][] = [
    ["Produce", produce.decode, golden.PRODUCE_RESPONSE],
    ["Metadata v5", metadata(5).decode, golden.METADATA_RESPONSE[5]],
    ["Metadata v7", metadata(7).decode, golden.METADATA_RESPONSE[7]],
    ["Metadata v8", metadata(8).decode, golden.METADATA_RESPONSE[8]],
    ["InitProducerId", initProducerIdRequest().decode, golden.INIT_PRODUCER_ID_RESPONSE],
  ];

  test.each(answers)("%s cut short anywhere, or with a byte too many", (_, decode, body) => {
    for (let size = 0; size < body.length; size++) expect(() => decode(body.subarray(0, size))).toThrow("byte");
    expect(() => decode(Buffer.concat([body, Buffer.alloc(1)]))).toThrow("too many");
  });

  test.each(answers)("%s with any four bytes overwritten is read or refused, at once", (_, decode, body) => {
    const count = fc.constantFrom(-1, -2, 0, 1, 0x7fffffff, -0x80000000, 0x10000);
    fc.assert(
      fc.property(fc.nat(body.length - 4), fc.oneof(count, fc.integer()), (at, value) => {
        const damaged = Buffer.from(body);
        damaged.writeInt32BE(value, at);
        try {
          decode(damaged);
        } catch (error) {
          expect((error as Error).name).toBe("DecodeError");
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a huge count is refused before anything is made of it", () => {
    const body = Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 1, 97, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(() => produce.decode(body)).toThrow("array count 2147483647 at byte 0");
  });
});
