import { afterEach, describe, expect, test } from "bun:test";
import { type DevBroker, type DevBrokerOptions, startDevBroker } from "../../src/dev/devBroker.ts";
import type { KafkaConnection, KafkaFailure } from "../../src/kafka/connection.ts";
import { initProducerIdRequest } from "../../src/kafka/initProducerId.ts";
import { metadataRequest } from "../../src/kafka/metadata.ts";
import { produceRequest } from "../../src/kafka/produce.ts";
import { RECORDS_AT, stampBatch, writeBatchHeader } from "../../src/kafka/recordBatch.ts";
import { connectionTo } from "./rawBroker.ts";

let broker: DevBroker | undefined;
let connection: KafkaConnection | undefined;
afterEach(async () => {
  connection?.destroy();
  await broker?.stop();
});

async function start(options: DevBrokerOptions = {}): Promise<{ broker: DevBroker; connection: KafkaConnection }> {
  broker = await startDevBroker(options);
  connection = connectionTo(broker.addresses[0]?.port ?? 0);
  await connection.connect();
  return { broker, connection };
}

/** A batch of short values, without keys. */
function batchOf(values: string[], producerId = -1n, baseSequence = -1): Buffer {
  const records = values.map((value, offset) => {
    const body = Buffer.from([0, 0, offset * 2, 1, value.length * 2, ...Buffer.from(value), 0]);
    return Buffer.from([body.length * 2, ...body]);
  });
  const batch = Buffer.concat([Buffer.alloc(RECORDS_AT), ...records]);
  const time = { high: 0, low: 1_000 };
  writeBatchHeader(batch, batch.length, 0, values.length, time, time);
  stampBatch(batch, { producerId, producerEpoch: producerId < 0n ? -1 : 0, baseSequence });
  return batch;
}

const produce = (batch: Buffer, acks: -1 | 0 | 1 = -1) =>
  produceRequest({ acks, timeout: 1_000, topics: [{ topic: "t", partitions: [{ partition: 0, batch }] }] });
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => Promise.reject(new Error("resolved")),
    (failure: KafkaFailure) => failure,
  );

describe("against the embedded broker", () => {
  test("metadata, a producer id, and batches that arrive once", async () => {
    const { broker, connection } = await start({ partitions: 2 });
    const metadata = await connection.request(metadataRequest({ topics: ["t"], allowAutoTopicCreation: true }));
    expect(metadata.brokers).toEqual([{ id: 1, host: "127.0.0.1", port: broker.addresses[0]?.port as number }]);
    expect(metadata.topics).toMatchObject([{ errorCode: 0, name: "t", partitions: [{ leader: 1 }, { leader: 1 }] }]);
    const { producerId, errorCode } = await connection.request(initProducerIdRequest());
    expect(errorCode).toBe(0);
    const batch = batchOf(["one", "two"], producerId, 0);
    const answers = [await connection.request(produce(batch)), await connection.request(produce(batch))];
    for (const { partitions } of answers) {
      expect(partitions).toMatchObject([{ topic: "t", partition: 0, errorCode: 0, baseOffset: 0, recordErrors: [] }]);
    }
    expect(broker.records("t").map(({ value }) => value?.toString())).toEqual(["one", "two"]);
  });

  test("acks 0", async () => {
    const { broker, connection } = await start();
    broker.createTopic("t");
    expect(await connection.request(produce(batchOf(["quiet"]), 0))).toEqual({ partitions: [], throttleTime: 0 });
    await broker.until(() => broker.records("t").length === 1);
  });

  test("five requests in flight are answered each with its own", async () => {
    const { broker, connection } = await start();
    broker.createTopic("t");
    const answers = await Promise.all([0, 1, 2, 3, 4].map((n) => connection.request(produce(batchOf([`${n}`])))));
    expect(answers.map(({ partitions }) => partitions[0]?.baseOffset)).toEqual([0, 1, 2, 3, 4]);
  });

  test("the records at fault are named", async () => {
    const { broker, connection } = await start();
    broker.createTopic("t");
    const recordErrors = [{ index: 1, message: "no key" }];
    broker.faults.once("Produce", { kind: "error", code: 87, recordErrors, message: "bad" });
    const { partitions } = await connection.request(produce(batchOf(["a", "b"])));
    expect(partitions).toMatchObject([{ errorCode: 87, recordErrors, errorMessage: "bad" }]);
  });

  test("a throttled connection waits", async () => {
    const { broker, connection } = await start();
    broker.createTopic("t");
    broker.faults.once("Produce", { kind: "throttle", time: 40 });
    await connection.request(produce(batchOf(["a"])));
    const until = connection.throttledUntil;
    expect(until).toBeGreaterThan(performance.now());
    await connection.request(produce(batchOf(["b"])));
    expect(performance.now()).toBeGreaterThanOrEqual(until);
  });

  test.each([
    ["a response cut short", { kind: "cut", after: 10 }, "closed"],
    ["a closed connection", { kind: "cut" }, "closed"],
    ["a size that is negative", { kind: "size", size: -7 }, "garbage"],
    ["a size that is huge", { kind: "size", size: 0x7ffffff0 }, "garbage"],
    ["another's correlation id", { kind: "correlationId", id: 99 }, "garbage"],
    ["garbage", { kind: "garbage", bytes: Buffer.from("no Kafka at all, this") }, "garbage"],
  ] as const)("%s ends the connection, and the next one works", async (_, fault, kind) => {
    const { broker, connection } = await start();
    broker.createTopic("t");
    broker.faults.once("Produce", fault);
    expect(await failureOf(connection.request(produce(batchOf(["a"]))))).toMatchObject({ kind });
    expect(connection.open).toBe(false);
    const next = connectionTo(broker.addresses[0]?.port as number);
    await next.connect();
    expect((await next.request(produce(batchOf(["b"])))).partitions[0]?.errorCode).toBe(0);
    next.destroy();
  });
});
