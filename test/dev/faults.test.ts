// Each kind of fault does what it says, to the request it was ordered for and no other.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import { createFaultScript } from "../../src/dev/faults.ts";
import { makeBatch, produceV8, readProduceV8 } from "./makeBatch.ts";
import { bytes, connectRaw, type RawClient } from "./rawClient.ts";

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

function send(value = "a", correlationId = 1, partition = 0): void {
  client.send(produceV8(correlationId, -1, "t", partition, makeBatch({ values: [value] })));
}

async function ask(value = "a", partition = 0) {
  send(value, 1, partition);
  return readProduceV8(await client.receive());
}

function values(): string[] {
  return broker.records("t").map((record) => String(record.value));
}

describe("rules", () => {
  test("once acts once, times as often as it says, always until it is removed", async () => {
    broker.faults.once("Produce", { kind: "error", code: 7 });
    const twice = broker.faults.times(2, "Produce", { kind: "error", code: 8 });
    const always = broker.faults.always("Produce", { kind: "error", code: 9 });
    const codes = [await ask(), await ask(), await ask(), await ask(), await ask()].map(({ code }) => code);
    expect(codes).toEqual([7, 8, 8, 9, 9]);
    expect([twice.hits, always.hits]).toEqual([2, 2]);
    await twice.done;
    always.remove();
    expect((await ask()).code).toBe(0);
  });

  test("clear removes them all", async () => {
    broker.faults.always("Produce", { kind: "silent" });
    broker.faults.clear();
    expect((await ask()).code).toBe(0);
  });

  test("act on the node, topic, partition or connection they name, or where a function says so", async () => {
    const error = { kind: "error", code: 7 } as const;
    broker.faults.always({ node: 2 }, error);
    broker.faults.always({ topic: "u" }, error);
    broker.faults.always({ topic: "t", partition: 1 }, error);
    broker.faults.always({ api: "Metadata" }, error);
    broker.faults.always({ connection: 2 }, error);
    broker.faults.always((request) => request.attempt === 2, error);
    expect((await ask()).code).toBe(0);
    expect((await ask()).code).toBe(7);
    expect((await ask("a", 1)).code).toBe(7);
    expect((await ask()).code).toBe(0);
  });

  test("see the request, and may decide by it", async () => {
    const rule = broker.faults.always("Produce", (request) =>
      request.partitions[0]?.batch?.includes("bad") ? { kind: "error", code: 87 } : undefined,
    );
    expect((await ask("good")).code).toBe(0);
    expect((await ask("bad")).code).toBe(87);
    expect(await rule.hit).toMatchObject({ api: "Produce", apiVersion: 8, node: 1, attempt: 2, topics: ["t"] });
    expect(values()).toEqual(["good"]);
  });

  test("can be made before the broker", async () => {
    const script = createFaultScript();
    script.once("Produce", { kind: "error", code: 7 });
    const other = await startDevBroker({ script });
    other.createTopic("t");
    const raw = await connectRaw(other.addresses[0]!);
    raw.send(produceV8(1, -1, "t", 0, makeBatch({ values: ["a"] })));
    expect(readProduceV8(await raw.receive()).code).toBe(7);
    raw.close();
    await other.stop();
  });
});

describe("errors", () => {
  test("come without appending, or after it", async () => {
    broker.faults.once("Produce", { kind: "error", code: 7 });
    broker.faults.once("Produce", { kind: "error", code: 7, append: true });
    expect(await ask("lost")).toMatchObject({ code: 7, baseOffset: -1 });
    expect(await ask("kept")).toMatchObject({ code: 7, baseOffset: -1 });
    expect(values()).toEqual(["kept"]);
  });

  test("are only for the partitions named", async () => {
    broker.faults.always("Produce", { kind: "error", code: 6, only: [{ topic: "t", partition: 1 }] });
    expect((await ask("a", 0)).code).toBe(0);
    expect((await ask("a", 1)).code).toBe(6);
  });

  test("name the records at fault, and throttle", async () => {
    broker.faults.once("Produce", {
      kind: "error",
      code: 87,
      recordErrors: [{ index: 3, message: "no key" }],
      message: "bad",
      throttleTime: 5,
    });
    send();
    const answer = (await client.receive()).toString("hex");
    expect(answer).toEndWith(bytes('00000001 00000003 0006 "no key" 0003 "bad" 00000005').toString("hex"));
  });

  test("reach a topic or a partition of Metadata", async () => {
    broker.faults.once("Metadata", { kind: "error", code: 29, only: [{ topic: "t" }] });
    broker.faults.once("Metadata", { kind: "error", code: 5, only: [{ topic: "t", partition: 1 }] });
    const request = '0003 0001 00000001 ffff 00000001 0001 "t"';
    client.send(request);
    expect((await client.receive()).toString("hex")).toEndWith(bytes('001d 0001 "t" 00 00000000').toString("hex"));
    client.send(request);
    const partitions = (await client.receive()).toString("hex");
    expect(partitions).toContain(bytes('0000 0001 "t" 00 00000002 0000 00000000').toString("hex"));
    expect(partitions).toContain("000500000001");
  });

  test("reach ApiVersions and InitProducerId", async () => {
    broker.faults.once("ApiVersions", { kind: "error", code: 35 });
    broker.faults.once("InitProducerId", { kind: "error", code: 14 });
    client.send("0012 0000 00000001 ffff");
    expect((await client.receive()).toString("hex")).toStartWith("000000010023");
    client.send("0016 0001 00000002 ffff ffff 0000ea60");
    expect((await client.receive()).toString("hex")).toBe("0000000200000000000effffffffffffffffffff");
  });
});

test("throttling serves the request and asks for a pause", async () => {
  broker.faults.once("Produce", { kind: "throttle", time: 1234 });
  send();
  expect((await client.receive()).readInt32BE(4 + 4 + 3 + 4 + 4 + 2 + 24 + 4 + 2)).toBe(1234);
  expect(values()).toEqual(["a"]);
});

test.each([
  [false, []],
  [true, ["a"]],
])("silence (append: %p) holds up all that is behind it on the connection, and no other", async (append, kept) => {
  const rule = broker.faults.once("Produce", { kind: "silent", append });
  send("a");
  send("behind");
  await rule.hit;
  const other = await connectRaw(broker.addresses[0]!);
  other.send("0012 0000 00000009 ffff");
  expect((await other.receive()).readInt32BE(0)).toBe(9);
  expect(values()).toEqual(kept);
  other.close();
});

test("a delay ends when the test says so, and requests behind it wait their turn", async () => {
  const gate = Promise.withResolvers<void>();
  const rule = broker.faults.once("Produce", { kind: "delay", until: gate.promise });
  send("first", 1);
  send("second", 2);
  await rule.hit;
  expect(values()).toEqual([]);
  gate.resolve();
  expect(readProduceV8(await client.receive())).toMatchObject({ correlationId: 1, baseOffset: 0 });
  expect(readProduceV8(await client.receive())).toMatchObject({ correlationId: 2, baseOffset: 1 });
});

test("a delay may hold back only the answer", async () => {
  const gate = Promise.withResolvers<void>();
  broker.faults.once("Produce", { kind: "delay", until: gate.promise, append: true });
  send();
  await broker.until(() => values().length === 1);
  gate.resolve();
  expect(readProduceV8(await client.receive()).code).toBe(0);
});

test("a delayed request is served even when the client has gone meanwhile", async () => {
  const gate = Promise.withResolvers<void>();
  const rule = broker.faults.once("Produce", { kind: "delay", until: gate.promise });
  send("late");
  await rule.hit;
  client.close();
  gate.resolve();
  await broker.until(() => values().length === 1);
});

test("another fault may follow a delay", async () => {
  broker.faults.once("Produce", {
    kind: "delay",
    until: Promise.resolve(),
    andThen: { kind: "error", code: 7 },
  });
  expect((await ask()).code).toBe(7);
});

describe("the connection is cut", () => {
  test.each([
    [undefined, []],
    [true, ["a"]],
  ])("before the answer (append: %p)", async (append, kept) => {
    broker.faults.once("Produce", { kind: "cut", append });
    send();
    expect(await client.closed).toHaveLength(0);
    expect(values()).toEqual(kept);
  });

  test("inside the answer", async () => {
    broker.faults.once("Produce", { kind: "cut", after: 10 });
    send("a", 77);
    const left = await client.closed;
    expect(left).toHaveLength(10);
    expect(left.readInt32BE(4)).toBe(77);
    expect(values()).toEqual(["a"]);
  });
});

test("garbage comes instead of an answer", async () => {
  broker.faults.once("Produce", { kind: "garbage", bytes: bytes("00000003 abcdef") });
  send();
  expect((await client.receive()).toString("hex")).toBe("abcdef");
  expect(values()).toEqual([]);
});

test.each([-1, 0x7fffffff])("the size of an answer is %d", async (size) => {
  broker.faults.once("Produce", { kind: "size", size });
  send();
  // One more request, to be cut: its close says that all bytes are there.
  broker.faults.once("Produce", { kind: "cut" });
  const raw = client.closed;
  send();
  expect((await raw).readInt32BE(0)).toBe(size);
});

test("the correlation id of an answer is another", async () => {
  broker.faults.once("Produce", { kind: "correlationId", id: 99 });
  expect((await ask()).correlationId).toBe(99);
});

test("the response is what the test makes of it", async () => {
  broker.faults.once("Produce", { kind: "change", change: (response) => response.fill(7, 8, 12) });
  send();
  const answer = await client.receive();
  expect([answer.readInt32BE(0), answer.readInt32BE(4)]).toEqual([1, 0x07070707]);
  expect(values()).toEqual(["a"]);
});

describe("a connection that is opened", () => {
  const connect = () => connectRaw(broker.addresses[0]!);

  test("is closed at once, or once it has read so many bytes, which may be in the middle of a request", async () => {
    broker.faults.once("Connect", { kind: "cut" });
    expect(await (await connect()).closed).toHaveLength(0);
    const versions = bytes("0012 0000 00000009 ffff");
    broker.faults.once({ api: "Connect", node: 1 }, { kind: "cut", after: 4 + versions.length + 10 });
    const cut = await connect();
    cut.send("0012 0000 00000009 ffff");
    expect((await cut.receive()).readInt32BE(0)).toBe(9);
    cut.send(produceV8(1, -1, "t", 0, makeBatch({ values: ["a"] })));
    await cut.closed;
    expect(values()).toEqual([]);
  });

  test("is never answered, or answered unasked", async () => {
    const silent = broker.faults.once("Connect", { kind: "silent" });
    const first = await connect();
    await silent.done;
    first.send("0012 0000 00000009 ffff");
    broker.faults.once("Connect", { kind: "garbage", bytes: bytes("00000003 abcdef") });
    const second = await connect();
    expect((await second.receive()).toString("hex")).toBe("abcdef");
    first.close();
    second.close();
    expect(await first.closed).toHaveLength(0);
  });

  test("is not meant by rules for requests", async () => {
    const rule = broker.faults.always(() => true, { kind: "cut" });
    broker.faults.always({ node: 1 }, { kind: "cut" });
    (await connect()).close();
    expect(rule.hits).toBe(0);
  });
});
