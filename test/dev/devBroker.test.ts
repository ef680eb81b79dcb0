import { afterEach, expect, test } from "bun:test";
import { type DevBroker, type DevBrokerOptions, startDevBroker } from "../../src/dev/devBroker.ts";
import { makeBatch, produceV8, readProduceV8 } from "./makeBatch.ts";
import { connectRaw, framed, type RawClient } from "./rawClient.ts";

let stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

async function start(options: DevBrokerOptions): Promise<DevBroker> {
  const broker = await startDevBroker(options);
  stops.push(broker.stop);
  return broker;
}

async function connect(broker: DevBroker, node = 1): Promise<RawClient> {
  const client = await connectRaw(broker.addresses[node - 1]!);
  stops.push(client.close);
  return client;
}

async function produce(client: RawClient, topic: string, partition: number, ...values: string[]) {
  client.send(produceV8(1, -1, topic, partition, makeBatch({ values })));
  return readProduceV8(await client.receive());
}

test("pipelined requests are answered in order, wherever the stream is cut", async () => {
  const broker = await start({});
  broker.createTopic("t");
  const count = 20;
  const stream = Buffer.concat(
    Array.from({ length: count }, (_, i) => framed(produceV8(i, -1, "t", 0, makeBatch({ values: [`v${i}`] })))),
  );
  for (const step of [1, 3, 7, 100, stream.length]) {
    const client = await connect(broker);
    for (let at = 0; at < stream.length; at += step) client.sendRaw(stream.subarray(at, at + step));
    for (let i = 0; i < count; i++)
      expect(readProduceV8(await client.receive())).toMatchObject({ correlationId: i, code: 0 });
  }
  expect(broker.records("t")).toHaveLength(5 * count);
});

test("a request of 15 MB goes in and comes out again", async () => {
  const broker = await start({ maxMessageBytes: 16_000_000 });
  broker.createTopic("t");
  const client = await connect(broker);
  const large = "x".repeat(15_000_000);
  expect((await produce(client, "t", 0, large)).code).toBe(0);
  const limits = "ffffffff 00000000 00000001 00000001 00";
  client.send(`0001 0004 00000006 ffff ${limits} 00000001 0001 "t" 00000001 00000000 0000000000000000 00000001`);
  expect((await client.receive()).length).toBeGreaterThan(15_000_000);
  expect(broker.records("t")[0]?.value?.length).toBe(15_000_000);
});

test("each node listens on a port of its own and serves what it leads", async () => {
  const broker = await start({ brokers: 3, partitions: 3 });
  expect(broker.bootstrap.split(",")).toHaveLength(3);
  broker.createTopic("t");
  for (const node of [1, 2, 3]) {
    const client = await connect(broker, node);
    const codes = [];
    for (const partition of [0, 1, 2]) codes.push((await produce(client, "t", partition, "a")).code);
    expect(codes).toEqual([1, 2, 3].map((leader) => (leader === node ? 0 : 6)));
  }
});

test("a partition moves with its records", async () => {
  const broker = await start({ brokers: 2 });
  broker.createTopic("t", 1, () => 1);
  const first = await connect(broker, 1);
  const second = await connect(broker, 2);
  await produce(first, "t", 0, "a");
  broker.setLeader("t", 0, 2);
  expect((await produce(first, "t", 0, "b")).code).toBe(6);
  expect(await produce(second, "t", 0, "b")).toMatchObject({ code: 0, baseOffset: 1 });
  expect(broker.topics()[0]?.partitions[0]).toEqual({ id: 0, leader: 2, leaderEpoch: 1, startOffset: 0, endOffset: 2 });
});

test("a stopped node closes its connections, leads nothing, and comes back on its port", async () => {
  const broker = await start({ brokers: 2, partitions: 2 });
  broker.createTopic("t");
  const client = await connect(broker, 2);
  broker.stopNode(2);
  await client.closed;
  await expect(connectRaw(broker.addresses[1]!)).rejects.toThrow();
  expect(broker.topics()[0]?.partitions.map((partition) => partition.leader)).toEqual([1, -1]);
  const metadata = await connect(broker, 1);
  metadata.send('0003 0001 00000001 ffff 00000001 0001 "t"');
  const answer = await metadata.receive();
  expect(answer.readInt32BE(4)).toBe(1);
  expect(answer.toString("hex")).toContain("000500000001ffffffff");
  broker.startNode(2);
  expect((await produce(await connect(broker, 2), "t", 1, "a")).code).toBe(0);
});

test("beyond maxBytesKept the oldest batches fall away, of whatever topic", async () => {
  const broker = await start({ maxBytesKept: 1000 });
  broker.createTopic("old");
  broker.createTopic("new");
  const client = await connect(broker);
  await produce(client, "old", 0, "a".repeat(300));
  await produce(client, "new", 0, "b".repeat(300));
  await produce(client, "new", 0, "c".repeat(300));
  const range = () => broker.topics().map(({ partitions }) => [partitions[0]?.startOffset, partitions[0]?.endOffset]);
  expect(range()).toEqual([
    [1, 1],
    [0, 2],
  ]);
  await produce(client, "new", 0, "d".repeat(2000));
  expect(range()).toEqual([
    [1, 1],
    [2, 3],
  ]);
  expect(broker.records("new").map((record) => record.offset)).toEqual([2]);
});

test("a deleted topic is gone, and may be made again from the start", async () => {
  const broker = await start({});
  broker.createTopic("t");
  const client = await connect(broker);
  await produce(client, "t", 0, "a");
  broker.deleteTopic("t");
  expect((await produce(client, "t", 0, "a")).code).toBe(3);
  broker.createTopic("t");
  expect(await produce(client, "t", 0, "b")).toMatchObject({ code: 0, baseOffset: 0 });
});

test("onRecords gets each batch appended, decoded, with its offsets, and no duplicate", async () => {
  const seen: string[] = [];
  const broker = await start({
    onRecords: (topic, partition, batch) => {
      for (const record of batch.records) seen.push(`${topic}/${partition}@${record.offset} ${record.value}`);
    },
  });
  broker.createTopic("t");
  const client = await connect(broker);
  for (const sequence of [0, 2, 2]) {
    const batch = makeBatch({ values: ["a", "b"], producerId: 1, epoch: 0, sequence });
    client.send(produceV8(1, -1, "t", 0, batch));
    await client.receive();
  }
  expect(seen).toEqual(["t/0@0 a", "t/0@1 b", "t/0@2 a", "t/0@3 b"]);
});

test("what onRecords throws ends the connection and is told", async () => {
  const errors: unknown[] = [];
  const oops = new Error("oops");
  const broker = await start({
    onError: (error) => errors.push(error),
    onRecords: () => {
      throw oops;
    },
  });
  broker.createTopic("t");
  const client = await connect(broker);
  client.send(produceV8(1, -1, "t", 0, makeBatch({ values: ["a"] })));
  await client.closed;
  expect(errors).toEqual([oops]);
});

test("it listens on a port that was asked for, and says so when that is taken", async () => {
  const broker = await start({});
  const port = broker.addresses[0]!.port;
  await expect(startDevBroker({ port })).rejects.toThrow(String(port));
});

test("stop ends every connection, also one that waits in a Fetch", async () => {
  const broker = await start({});
  broker.createTopic("t");
  const client = await connect(broker);
  const limits = "ffffffff 7fffffff 00000001 00100000 00";
  client.send(`0001 0004 00000006 ffff ${limits} 00000001 0001 "t" 00000001 00000000 0000000000000000 00100000`);
  await broker.until(() => broker.requests.Fetch === 1);
  await broker.stop();
  await client.closed;
});
