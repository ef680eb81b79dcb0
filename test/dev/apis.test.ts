// Each API's answers, byte for byte. The bytes were written down from the protocol's grammar.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import { makeBatch, produceV8, readProduceV8, sealed } from "./makeBatch.ts";
import { bytes, connectRaw, type RawClient } from "./rawClient.ts";

let broker: DevBroker;
let client: RawClient;

beforeEach(async () => {
  broker = await startDevBroker({ partitions: 2 });
  client = await connectRaw(broker.addresses[0]!);
});

afterEach(async () => {
  client.close();
  await broker.stop();
});

async function ask(...parts: (string | Uint8Array)[]): Promise<string> {
  client.send(...parts);
  return (await client.receive()).toString("hex");
}

function hex(text: string): string {
  return bytes(text).toString("hex");
}

/** The port of the only node, as int32. */
function port(): string {
  return broker.addresses[0]!.port.toString(16).padStart(8, "0");
}

const VERSIONS = [
  "0000 0003 0008",
  "0001 0004 000b",
  "0002 0001 0005",
  "0003 0000 0008",
  "0012 0000 0003",
  "0013 0000 0004",
  "0016 0000 0001",
];

test("ApiVersions v0 names each API and its versions", async () => {
  const answer = await ask('0012 0000 00000007 0003 "abc"');
  expect(answer).toBe(hex(`00000007 0000 00000007 ${VERSIONS.join(" ")}`));
});

test("ApiVersions v2 adds the throttle time", async () => {
  const answer = await ask("0012 0002 00000008 ffff");
  expect(answer).toBe(hex(`00000008 0000 00000007 ${VERSIONS.join(" ")} 00000000`));
});

test("ApiVersions v3 is flexible in its body and in the request's header, not in the response's header", async () => {
  const answer = await ask('0012 0003 00000009 0003 "abc" 00  05 "name"  04 "1.0"  00');
  expect(answer).toBe(hex(`00000009 0000 08 ${VERSIONS.map((v) => `${v} 00`).join(" ")} 00000000 00`));
});

test("ApiVersions of a version unknown here is answered in v0 with UNSUPPORTED_VERSION, and the client may go on", async () => {
  const answer = await ask('0012 0004 0000000a ffff 00 05 "name" 04 "1.0" 00');
  expect(answer).toBe(hex("0000000a 0023 00000001 0012 0000 0003"));
  expect(await ask("0012 0000 0000000b ffff")).toStartWith("0000000b0000");
});

test("Metadata v0 with no topics names all there are", async () => {
  broker.createTopic("t", 1);
  const answer = await ask("0003 0000 00000001 ffff 00000000");
  const nodes = `00000001 00000001 0009 "127.0.0.1" ${port()}`;
  const topics = '00000001 0000 0001 "t" 00000001  0000 00000000 00000001 00000001 00000001 00000001 00000001';
  expect(answer).toBe(hex(`00000001 ${nodes} ${topics}`));
});

test("Metadata v1 with no topics names none", async () => {
  broker.createTopic("t", 1);
  const answer = await ask("0003 0001 00000001 ffff 00000000");
  expect(answer).toBe(hex(`00000001 00000001 00000001 0009 "127.0.0.1" ${port()} ffff 00000001 00000000`));
});

test("Metadata v8 makes a topic on first use when asked to", async () => {
  const answer = await ask('0003 0008 00000002 ffff 00000001 0003 "new" 01 00 00');
  const cluster = '0016 "bruce-dev-cluster-0000"';
  const partition = (id: string) => `0000 ${id} 00000001 00000000 00000001 00000001 00000001 00000001 00000000`;
  const topic = `0000 0003 "new" 00 00000002 ${partition("00000000")} ${partition("00000001")} 80000000`;
  const node = `00000001 0009 "127.0.0.1" ${port()} ffff`;
  expect(answer).toBe(hex(`00000002 00000000 00000001 ${node} ${cluster} 00000001 00000001 ${topic} 80000000`));
});

test("Metadata v4 does not make a topic when the client forbids it, and refuses illegal names", async () => {
  const answer = await ask('0003 0004 00000003 ffff 00000002 0001 "x" 0003 "a/b" 00');
  expect(answer).toEndWith(hex('00000002 0003 0001 "x" 00 00000000 0011 0003 "a/b" 00 00000000'));
  expect(broker.topics()).toEqual([]);
});

test("InitProducerId v1 gives each asker an id of its own, with epoch 0", async () => {
  const request = "0016 0001 00000004 ffff ffff 0000ea60";
  expect(await ask(request)).toBe(hex("00000004 00000000 0000 00000000000003e8 0000"));
  expect(await ask(request)).toBe(hex("00000004 00000000 0000 00000000000003e9 0000"));
});

test("InitProducerId refuses transactions", async () => {
  const answer = await ask('0016 0000 00000005 ffff 0002 "tx" 0000ea60');
  expect(answer).toBe(hex("00000005 00000000 002a ffffffffffffffff ffff"));
});

// Written down by hand, see the test of the record batch reader.
const GOLDEN_BATCH =
  "0000000000000000 00000046 ffffffff 02 6fa092f6 0000 00000001 0000018bcfe56800 0000018bcfe5692c" +
  " ffffffffffffffff ffff ffffffff 00000002 12000000026b046869001400d80402010002026801";
/** What the log has of it: offset and leader epoch are filled in. */
const stored = (offset: string) =>
  GOLDEN_BATCH.replace("0000000000000000", offset).replace("00000046 ffffffff", "00000046 00000000");

test("Produce v3, v5 and v8 append and say at which offset", async () => {
  broker.createTopic("t", 2);
  const body = `ffff ffff 00003a98 00000001 0001 "t" 00000001 00000001 00000052 ${GOLDEN_BATCH}`;
  const place = '00000001 0001 "t" 00000001 00000001 0000';
  const none = "ffffffffffffffff";
  const zero = "0000000000000000";
  expect(await ask(`0000 0003 00000001 ffff ${body}`)).toBe(hex(`00000001 ${place} ${zero} ${none} 00000000`));
  expect(await ask(`0000 0005 00000002 ffff ${body}`)).toBe(
    hex(`00000002 ${place} 0000000000000002 ${none} ${zero} 00000000`),
  );
  expect(await ask(`0000 0008 00000003 ffff ${body}`)).toBe(
    hex(`00000003 ${place} 0000000000000004 ${none} ${zero} 00000000 ffff 00000000`),
  );
  const values = broker.records("t", 1).map(({ partition, offset, key, value }) => [partition, offset, key, value]);
  expect(values.slice(0, 3)).toEqual([
    [1, 0, Buffer.from("k"), Buffer.from("hi")],
    [1, 1, null, Buffer.alloc(0)],
    [1, 2, Buffer.from("k"), Buffer.from("hi")],
  ]);
  expect(values).toHaveLength(6);
});

test("Produce with acks 0 is not answered; the request behind it is", async () => {
  broker.createTopic("t", 1);
  client.send(produceV8(1, 0, "t", 0, makeBatch({ values: ["a"] })));
  expect(await ask("0012 0000 00000002 ffff")).toStartWith("00000002");
  expect(broker.records("t")).toHaveLength(1);
});

test("Produce with acks 0 that fails closes the connection", async () => {
  client.send(produceV8(1, 0, "missing", 0, makeBatch({ values: ["a"] })));
  expect(await client.closed).toHaveLength(0);
});

test.each([
  ["UNKNOWN_TOPIC_OR_PARTITION for a topic that is not there", 3, "other", 0, makeBatch({ values: ["a"] })],
  ["UNKNOWN_TOPIC_OR_PARTITION for a partition that is not there", 3, "t", 9, makeBatch({ values: ["a"] })],
  ["MESSAGE_TOO_LARGE beyond max.message.bytes", 10, "t", 0, makeBatch({ values: ["a".repeat(1000)] })],
  ["CORRUPT_MESSAGE when the CRC is wrong", 2, "t", 0, broken(17)],
  ["INVALID_RECORD for half a batch", 87, "t", 0, makeBatch({ values: ["abc"] }).subarray(0, 65)],
  ["INVALID_RECORD for an older format", 87, "t", 0, broken(16)],
  ["INVALID_RECORD for a base offset", 87, "t", 0, broken(7)],
  [
    "INVALID_RECORD for two batches",
    87,
    "t",
    0,
    Buffer.concat([makeBatch({ values: ["a"] }), makeBatch({ values: ["a"] })]),
  ],
  [
    "INVALID_RECORD for a producer without a sequence",
    87,
    "t",
    0,
    makeBatch({ values: ["a"], producerId: 1, epoch: 0 }),
  ],
  ["INVALID_RECORD for control records", 87, "t", 0, withAttributes(32)],
  ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED for transactions", 53, "t", 0, withAttributes(16)],
  ["UNKNOWN_SERVER_ERROR for a codec that is none", -1, "t", 0, withAttributes(7)],
  ["INVALID_RECORD for no record", 87, "t", 0, makeBatch({ values: [] })],
] as const)("Produce answers %s, and appends nothing", async (_name, code, topic, partition, batch) => {
  broker.createTopic("t", 1, undefined, 1000);
  client.send(produceV8(1, -1, topic, partition, batch));
  expect(readProduceV8(await client.receive())).toMatchObject({ code, baseOffset: -1 });
  expect(broker.records("t")).toEqual([]);
});

function withAttributes(attributes: number): Buffer {
  const batch = makeBatch({ values: ["a"] });
  batch.writeInt16BE(attributes, 21);
  return sealed(batch);
}

function broken(at: number): Buffer {
  const batch = makeBatch({ values: ["a"] });
  batch.writeUInt8(batch.readUInt8(at) ^ 1, at);
  return batch;
}

test("Produce answers INVALID_REQUIRED_ACKS for acks there are not", async () => {
  broker.createTopic("t", 1);
  client.send(produceV8(1, 2, "t", 0, makeBatch({ values: ["a"] })));
  expect(readProduceV8(await client.receive()).code).toBe(21);
});

test("Produce answers NOT_LEADER_OR_FOLLOWER at another node than the leader", async () => {
  broker.createTopic("t", 1, () => -1);
  client.send(produceV8(1, -1, "t", 0, makeBatch({ values: ["a"] })));
  expect(readProduceV8(await client.receive()).code).toBe(6);
});

async function appendAt(timestamp: number, ...values: string[]): Promise<void> {
  client.send(produceV8(0, -1, "t", 0, makeBatch({ values, timestamp })));
  expect(readProduceV8(await client.receive()).code).toBe(0);
}

test("ListOffsets v1 and v5 find the end, the beginning and a point in time", async () => {
  broker.createTopic("t", 1);
  await appendAt(1000, "a", "b");
  await appendAt(2000, "c");
  const v1 = (timestamp: string) =>
    ask(`0002 0001 00000001 ffff ffffffff 00000001 0001 "t" 00000001 00000000 ${timestamp}`);
  const v1Answer = (rest: string) => hex(`00000001 00000001 0001 "t" 00000001 00000000 ${rest}`);
  expect(await v1("ffffffffffffffff")).toBe(v1Answer("0000 ffffffffffffffff 0000000000000003"));
  expect(await v1("fffffffffffffffe")).toBe(v1Answer("0000 ffffffffffffffff 0000000000000000"));
  expect(await v1("00000000000005dc")).toBe(v1Answer("0000 00000000000007d0 0000000000000002"));
  expect(await v1("0000000000000bb8")).toBe(v1Answer("0000 ffffffffffffffff ffffffffffffffff"));
  const v5 = await ask(
    '0002 0005 00000002 ffff ffffffff 00 00000001 0001 "t" 00000001 00000000 ffffffff ffffffffffffffff',
  );
  expect(v5).toBe(
    hex('00000002 00000000 00000001 0001 "t" 00000001 00000000 0000 ffffffffffffffff 0000000000000003 00000000'),
  );
});

test("ListOffsets answers for what is not there with an error", async () => {
  const answer = await ask('0002 0001 00000001 ffff ffffffff 00000001 0001 "x" 00000001 00000000 ffffffffffffffff');
  expect(answer).toEndWith(hex("00000000 0003 ffffffffffffffff ffffffffffffffff"));
});

/** A Fetch v4 or v11 request of one partition. */
function fetchRequest(version: 4 | 11, offset: string, maxWait = "000001f4", minBytes = "00000001"): string {
  const limits = `ffffffff ${maxWait} ${minBytes} 00100000 00`;
  if (version === 4) return `0001 0004 00000006 ffff ${limits} 00000001 0001 "t" 00000001 00000000 ${offset} 00100000`;
  const partition = `00000000 ffffffff ${offset} ffffffffffffffff 00100000`;
  return `0001 000b 00000006 ffff ${limits} 00000000 ffffffff 00000001 0001 "t" 00000001 ${partition} 00000000 0000`;
}

test("Fetch v4 and v11 give whole batches, from the one that holds the offset on", async () => {
  broker.createTopic("t", 1);
  const produce = `ffff ffff 00003a98 00000001 0001 "t" 00000001 00000000 00000052 ${GOLDEN_BATCH}`;
  await ask(`0000 0008 00000001 ffff ${produce}`);
  await ask(`0000 0008 00000001 ffff ${produce}`);
  const second = stored("0000000000000002");
  const end = "0000000000000004";
  expect(await ask(fetchRequest(4, "0000000000000003"))).toBe(
    hex(`00000006 00000000 00000001 0001 "t" 00000001 00000000 0000 ${end} ${end} ffffffff 00000052 ${second}`),
  );
  const both = `${stored("0000000000000000")} ${second}`;
  expect(await ask(fetchRequest(11, "0000000000000000"))).toBe(
    hex(
      "00000006 00000000 0000 00000000 00000001" +
        `0001 "t" 00000001 00000000 0000 ${end} ${end} 0000000000000000 ffffffff ffffffff 000000a4 ${both}`,
    ),
  );
});

test("Fetch waits for the first record", async () => {
  broker.createTopic("t", 1);
  const answer = ask(fetchRequest(4, "0000000000000000", "7fffffff"));
  await broker.until(() => broker.requests.Fetch === 1);
  const producer = await connectRaw(broker.addresses[0]!);
  producer.send(produceV8(1, -1, "t", 0, makeBatch({ values: ["now"] })));
  await producer.receive();
  expect(await answer).toContain(Buffer.from("now").toString("hex"));
  producer.close();
});

test("Fetch answers with nothing when its time is over", async () => {
  broker.createTopic("t", 1);
  const zero = "0000000000000000";
  expect(await ask(fetchRequest(4, zero, "00000001"))).toEndWith(hex(`0000 ${zero} ${zero} ffffffff 00000000`));
});

test("Fetch answers OFFSET_OUT_OF_RANGE beyond the end at once", async () => {
  broker.createTopic("t", 1);
  expect(await ask(fetchRequest(4, "0000000000000001", "7fffffff"))).toEndWith(
    hex("0001 ffffffffffffffff ffffffffffffffff ffffffff 00000000"),
  );
});

test("Fetch within a session is told that there is none", async () => {
  const answer = await ask(
    "0001 0007 00000006 ffff ffffffff 00000000 00000000 00100000 00 00000005 00000001 00000000 00000000",
  );
  expect(answer).toBe(hex("00000006 00000000 0046 00000000 00000000"));
});

test("CreateTopics v0 and v4 make topics, once", async () => {
  const topic = (name: string) => `0001 "${name}" 00000003 0001 00000000 00000000`;
  const v0 = await ask(`0013 0000 00000001 ffff 00000001 ${topic("a")} 00001388`);
  expect(v0).toBe(hex('00000001 00000001 0001 "a" 0000'));
  const v4 = await ask(`0013 0004 00000002 ffff 00000002 ${topic("a")} ${topic("b")} 00001388 00`);
  const exists = '0001 "a" 0024 0011 "it exists already"';
  expect(v4).toBe(hex(`00000002 00000000 00000002 ${exists} 0001 "b" 0000 ffff`));
  expect(broker.topics().map(({ name, partitions }) => [name, partitions.length])).toEqual([
    ["a", 3],
    ["b", 3],
  ]);
});

test("CreateTopics takes max.message.bytes, and only looks when asked to", async () => {
  const config = '0011 "max.message.bytes" 0003 "100"';
  const topic = `0001 "t" ffffffff ffff 00000000 00000001 ${config}`;
  await ask(`0013 0004 00000001 ffff 00000001 ${topic} 00001388 01`);
  expect(broker.topics()).toEqual([]);
  await ask(`0013 0004 00000002 ffff 00000001 ${topic} 00001388 00`);
  expect(broker.topics()[0]?.partitions).toHaveLength(2);
  client.send(produceV8(3, -1, "t", 0, makeBatch({ values: ["a".repeat(100)] })));
  expect(readProduceV8(await client.receive()).code).toBe(10);
});

test.each([
  ["an API that is not served", "000a 0000 00000001 ffff"],
  ["a version that is not served", "0000 0009 00000001 ffff"],
  ["a request that ends early", "0003 0001 00000001 ffff 0000"],
  ["a request that goes on behind its end", "0016 0001 00000001 ffff ffff 0000ea60 00"],
  ["an array of more items than there are bytes", "0003 0001 00000001 ffff 7fffffff"],
])("the connection ends at %s", async (_name, request) => {
  client.send(request);
  expect(await client.closed).toHaveLength(0);
});

test.each(["ffffffff", "00000000", "7fffffff"])("the connection ends at a size of %s", async (size) => {
  client.sendRaw(bytes(size));
  expect(await client.closed).toHaveLength(0);
});
