// The broker's rules for idempotent producers, over the wire.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import { makeBatch, produceV8, readProduceV8 } from "./makeBatch.ts";
import { connectRaw, type RawClient } from "./rawClient.ts";

const OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
const INVALID_PRODUCER_EPOCH = 47;

let broker: DevBroker;
let client: RawClient;

beforeEach(async () => {
  broker = await startDevBroker();
  broker.createTopic("t", 2);
  client = await connectRaw(broker.addresses[0]!);
});

afterEach(async () => {
  client.close();
  await broker.stop();
});

interface Sent {
  sequence: number;
  values?: string[];
  producerId?: number;
  epoch?: number;
  partition?: number;
}

async function send({ sequence, values = ["a"], producerId = 7, epoch = 0, partition = 0 }: Sent) {
  client.send(produceV8(0, -1, "t", partition, makeBatch({ values, producerId, epoch, sequence })));
  const { code, baseOffset } = readProduceV8(await client.receive());
  return { code, baseOffset };
}

test("batches in sequence are appended", async () => {
  expect(await send({ sequence: 0, values: ["a", "b", "c"] })).toEqual({ code: 0, baseOffset: 0 });
  expect(await send({ sequence: 3 })).toEqual({ code: 0, baseOffset: 3 });
  expect(broker.records("t")).toHaveLength(4);
});

test("a batch that comes again is answered with its first offset and not appended", async () => {
  await send({ sequence: 0 });
  await send({ sequence: 1, values: ["b", "c"] });
  expect(await send({ sequence: 1, values: ["b", "c"] })).toEqual({ code: 0, baseOffset: 1 });
  expect(broker.records("t")).toHaveLength(3);
});

test("whatever is in it: only sequences are compared", async () => {
  await send({ sequence: 0, values: ["a"] });
  expect(await send({ sequence: 0, values: ["other"] })).toEqual({ code: 0, baseOffset: 0 });
  expect(broker.records("t").map((record) => String(record.value))).toEqual(["a"]);
});

test("the last five batches are remembered, no more", async () => {
  for (let sequence = 0; sequence < 6; sequence++) await send({ sequence });
  expect(await send({ sequence: 1 })).toEqual({ code: 0, baseOffset: 1 });
  expect(await send({ sequence: 0 })).toMatchObject({ code: OUT_OF_ORDER_SEQUENCE_NUMBER });
  expect(broker.records("t")).toHaveLength(6);
});

test("a batch with the first sequence of a known one and another count is out of order", async () => {
  await send({ sequence: 0, values: ["a", "b"] });
  expect(await send({ sequence: 0, values: ["a"] })).toMatchObject({ code: OUT_OF_ORDER_SEQUENCE_NUMBER });
});

test("a gap is out of order, and leaves the sequence as it was", async () => {
  await send({ sequence: 0 });
  expect(await send({ sequence: 2 })).toEqual({ code: OUT_OF_ORDER_SEQUENCE_NUMBER, baseOffset: -1 });
  expect(await send({ sequence: 1 })).toMatchObject({ code: 0 });
});

test("an unknown producer may begin anywhere", async () => {
  expect(await send({ sequence: 41 })).toMatchObject({ code: 0 });
  expect(await send({ sequence: 42 })).toMatchObject({ code: 0 });
});

test("a newer epoch begins at 0, an older one is refused", async () => {
  await send({ sequence: 0 });
  expect(await send({ sequence: 1, epoch: 1 })).toMatchObject({ code: OUT_OF_ORDER_SEQUENCE_NUMBER });
  expect(await send({ sequence: 0, epoch: 1 })).toMatchObject({ code: 0 });
  expect(await send({ sequence: 1, epoch: 0 })).toMatchObject({ code: INVALID_PRODUCER_EPOCH });
  expect(await send({ sequence: 0, epoch: 0 })).toMatchObject({ code: INVALID_PRODUCER_EPOCH });
});

test("sequences go on at 0 behind 2^31 - 1", async () => {
  await send({ sequence: 0x7ffffffe, values: ["a", "b", "c"] });
  expect(await send({ sequence: 0x7ffffffe, values: ["a", "b", "c"] })).toEqual({ code: 0, baseOffset: 0 });
  expect(await send({ sequence: 1 })).toEqual({ code: 0, baseOffset: 3 });
});

test("each producer and each partition has sequences of its own", async () => {
  await send({ sequence: 0, producerId: 1 });
  expect(await send({ sequence: 0, producerId: 2 })).toMatchObject({ code: 0 });
  expect(await send({ sequence: 0, producerId: 1, partition: 1 })).toMatchObject({ code: 0, baseOffset: 0 });
  expect(broker.records("t")).toHaveLength(3);
});

test("a restarted broker remembers only the last batch", async () => {
  await send({ sequence: 0 });
  await send({ sequence: 1 });
  broker.stopNode(1);
  broker.startNode(1);
  client = await connectRaw(broker.addresses[0]!);
  expect(await send({ sequence: 1 })).toEqual({ code: 0, baseOffset: 1 });
  expect(await send({ sequence: 0 })).toMatchObject({ code: OUT_OF_ORDER_SEQUENCE_NUMBER });
});

test("an expired producer's batch is appended again", async () => {
  await send({ sequence: 0 });
  broker.forgetProducers();
  expect(await send({ sequence: 0 })).toEqual({ code: 0, baseOffset: 1 });
});
