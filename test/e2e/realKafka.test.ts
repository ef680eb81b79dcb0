// The real Kafka of the tests, and the witness that reads it back, checked before anything is judged by them.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { produceRecords } from "../support/kafkaProduce.ts";
import { askKafka, parseAddress } from "../support/kafkaSocket.ts";
import { type ReadRecord, readBack } from "../support/readBack.ts";

describe.each(["4.1.0", "3.9.1"] as const)("Kafka %s", (version) => {
  let kafka: Kafka;
  beforeAll(async () => {
    kafka = await startKafka({ version });
  });
  afterAll(() => kafka?.close());

  test("what it acknowledged is read back as it was written", async () => {
    await kafka.createTopic("plain", 3);
    const records = [
      { timestamp: 1_700_000_000_123, key: "key", value: "value" },
      { timestamp: 1_600_000_000_000, key: null, value: "" },
      { timestamp: 1_700_000_000_124, key: "", value: null },
    ];
    expect(await askKafka(kafka.brokers[0] ?? fail(), produceRecords("plain", 2, records))).toBe(0n);
    expect(await askKafka(kafka.brokers[0] ?? fail(), produceRecords("plain", 2, records))).toBe(3n);

    const found = await all(kafka.bootstrap, "plain");
    expect(found.map(plain)).toEqual([...records, ...records]);
    expect(found.map(({ partition, offset }) => [partition, offset])).toEqual([0, 1, 2, 3, 4, 5].map((at) => [2, at]));
  });

  test("what it acknowledged is still there after kill -9, at the same address", async () => {
    await kafka.createTopic("durable");
    const records = Array.from({ length: 1000 }, (_, at) => ({
      timestamp: 1_700_000_000_000,
      key: null,
      value: `${at}`,
    }));
    const address = parseAddress(kafka.bootstrap);
    await askKafka(address, produceRecords("durable", 0, records));
    await kafka.kill(1);
    await expect(askKafka(address, produceRecords("durable", 0, records))).rejects.toThrow();

    await kafka.start(1);
    expect((await all(kafka.bootstrap, "durable")).map(plain)).toEqual(records);
  });

  test("what it rejects is an error, not a record", async () => {
    await kafka.createTopic("small", 1, 1, { "max.message.bytes": "100" });
    const large = [{ timestamp: 0, key: null, value: "x".repeat(1000) }];
    const refused = askKafka(parseAddress(kafka.bootstrap), produceRecords("small", 0, large));
    await expect(refused).rejects.toThrow("MESSAGE_TOO_LARGE");
    expect(await all(kafka.bootstrap, "small")).toEqual([]);
    await expect(readBack(kafka.bootstrap, "missing", () => undefined)).rejects.toThrow("not there");
  });
});

test("three nodes move the leader when one is killed, and take it back into the set", async () => {
  const kafka = await startKafka({ nodes: 3 });
  try {
    await kafka.createTopic("moving", 1, 3);
    const before = await partition(kafka);
    await kafka.kill(before.leader);
    await until(kafka, ({ leader }) => leader !== before.leader && leader >= 0);
    await kafka.start(before.leader);
    await until(kafka, ({ inSync }) => inSync.length === 3);
  } finally {
    await kafka.close();
  }
});

async function all(bootstrap: string, topic: string): Promise<ReadRecord[]> {
  const records: ReadRecord[] = [];
  await readBack(bootstrap, topic, (record) => records.push(record));
  return records;
}

function plain({ timestamp, key, value }: ReadRecord) {
  return { timestamp: Number(timestamp), key: key?.toString() ?? null, value: value?.toString() ?? null };
}

async function until(kafka: Kafka, condition: (view: Awaited<ReturnType<typeof partition>>) => boolean): Promise<void> {
  while (!condition(await partition(kafka))) await Bun.sleep(100); // Kafka tells nobody
}

async function partition(kafka: Kafka) {
  return (await kafka.describe("moving"))?.partitions[0] ?? fail();
}

function fail(): never {
  throw new Error("it is not there");
}
