// kafkajs, which knows nothing of this broker, writes to it.
import { afterEach, beforeEach, expect, test } from "bun:test";
// biome-ignore lint/style/noRestrictedImports: an independent client is the point of this test.
import { CompressionTypes, Kafka, logLevel } from "kafkajs";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";

let broker: DevBroker;
let kafka: Kafka;

beforeEach(async () => {
  broker = await startDevBroker({ brokers: 2, partitions: 2 });
  kafka = new Kafka({ brokers: broker.bootstrap.split(","), logLevel: logLevel.NOTHING });
});

afterEach(async () => {
  await broker.stop();
});

test("its admin makes topics and sees them", async () => {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "made", numPartitions: 3 }] });
  expect(await admin.listTopics()).toEqual(["made"]);
  const { topics } = await admin.fetchTopicMetadata({ topics: ["made"] });
  expect(topics[0]?.partitions.map(({ partitionId, leader }) => [partitionId, leader])).toEqual([
    [0, 1],
    [1, 2],
    [2, 1],
  ]);
  expect((await admin.describeCluster()).brokers).toHaveLength(2);
  await admin.disconnect();
});

test.each([
  ["uncompressed", CompressionTypes.None],
  ["gzip", CompressionTypes.GZIP],
])("what its producer sends is there: %s", async (_name, compression) => {
  const producer = kafka.producer({ idempotent: true, allowAutoTopicCreation: true });
  await producer.connect();
  const messages = Array.from({ length: 100 }, (_, i) => ({
    key: i % 2 === 0 ? `k${i}` : null,
    value: `v${i}`,
    partition: i % 2,
    timestamp: String(1_700_000_000_000 + i),
    headers: { n: String(i) },
  }));
  await producer.send({ topic: "t", messages, compression });
  await producer.send({ topic: "t", messages: [{ value: null, partition: 0 }], compression });
  await producer.disconnect();
  const records = broker.records("t");
  expect(records).toHaveLength(101);
  expect(records.slice(0, 2)).toMatchObject([
    { partition: 0, offset: 0, timestamp: 1_700_000_000_000n, key: Buffer.from("k0"), value: Buffer.from("v0") },
    { partition: 0, offset: 1, timestamp: 1_700_000_000_002n, key: Buffer.from("k2"), value: Buffer.from("v2") },
  ]);
  expect(records[50]).toMatchObject({ value: null });
  expect(records[100]).toMatchObject({ partition: 1, offset: 49, key: null, value: Buffer.from("v99") });
  expect(records[100]?.headers).toEqual([{ key: "n", value: Buffer.from("99") }]);
});
