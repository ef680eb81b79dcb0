// What becomes of messages when a broker answers wrongly, in part, late or not at all: to a produce request, to one for
// metadata or for a producer id, or on a connection just opened. Once, several times, and for ever with another broker well.
import { describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import type { ConnectFault, Fault, FaultMatch } from "../../src/dev/faults.ts";
import { numbered, type TestPipeline, testPipeline } from "../support/testPipeline.ts";

const COUNT = 30;
const values = numbered(COUNT).map(({ value }) => value);

const sized = (size: number): Fault => ({ kind: "size", size });

/** The body is another; size and correlation id fit. */
const misshapen = (change: (body: Buffer) => Uint8Array): Fault => ({
  kind: "change",
  change: (response) => {
    const body = change(response.subarray(8));
    const head = Buffer.from(response.subarray(0, 8));
    head.writeInt32BE(body.length + 4, 0);
    return Buffer.concat([head, body]);
  },
});

const appended: Fault = { kind: "silent", append: true };

const FAULTS: Record<string, Fault> = {
  "is never answered": { kind: "silent" },
  "is never answered, though done": appended,
  "loses its connection before the first byte of the answer": { kind: "cut" },
  "loses its connection before the answer, though done": { kind: "cut", append: true },
  "loses its connection within the size of the answer": { kind: "cut", after: 2 },
  "loses its connection in the middle of the answer": { kind: "cut", after: 11 },
  "is answered with something else": { kind: "garbage", bytes: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n") },
  "is answered with zeros": { kind: "garbage", bytes: Buffer.alloc(64), append: true },
  "is answered with a negative size": sized(-5),
  "is answered with size 0": sized(0),
  "is answered with size 1": sized(1),
  "is answered with size 2": sized(2),
  "is answered with size 3": sized(3),
  "is answered with a huge size": sized(0x7fffffff),
  "is answered with a size larger than what comes": sized(500),
  "is answered under another correlation id": { kind: "correlationId", id: 4711 },
  "is answered with a body that ends too soon": misshapen((body) => body.subarray(0, body.length - 3)),
  "is answered with an empty body": misshapen(() => Buffer.alloc(0)),
  "is answered with bytes behind the body": misshapen((body) => Buffer.concat([body, Buffer.alloc(5)])),
  "is answered with ones": misshapen((body) => Buffer.alloc(body.length, 0xff)),
};

/** A produce response with other partitions than were asked: `names` of topic "t" or another. */
const naming = (...names: [topic: string, partition: number][]): Fault =>
  misshapen(() => {
    const partitions = names.map(([topic, partition]) => {
      const bytes = Buffer.alloc(2 + topic.length + 4 + 36);
      bytes.writeInt16BE(topic.length, 0);
      bytes.write(topic, 2);
      bytes.writeInt32BE(1, 2 + topic.length);
      bytes.writeInt32BE(partition, 6 + topic.length);
      bytes.writeInt16BE(-1, bytes.length - 2);
      return bytes;
    });
    const count = Buffer.alloc(4);
    count.writeInt32BE(names.length, 0);
    return Buffer.concat([count, ...partitions, Buffer.alloc(4)]);
  });

const PRODUCE: Record<string, Fault> = {
  ...FAULTS,
  "is answered without its partitions": naming(),
  "is answered for partitions that nobody asked for": naming(["t", 77], ["unheard of", 0]),
  "is answered for a negative partition": naming(["t", -1]),
};

/** The request is cut in its middle, or the connection before any request. */
const CONNECT: Record<string, ConnectFault> = {
  "is closed at once": { kind: "cut" },
  "is closed in the middle of the first request": { kind: "cut", after: 9 },
  "is never answered": { kind: "silent" },
  "brings garbage unasked": { kind: "garbage", bytes: Buffer.from([21, 3, 3, 0, 2, 2, 40, 0]) },
};

/** All of "t" is in Kafka once, in order. */
async function arrives(it: TestPipeline, also = 0): Promise<void> {
  await it.settled();
  expect(it.values()).toEqual(values);
  expect(it.discards).toEqual([]);
  const all = COUNT + also;
  expect(it.balance()).toEqual({ received: all, delivered: all, held: 0, discarded: 0, agrees: true });
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
}

const impatient = ({ kafka }: Settings) => {
  kafka.requestTimeout = 150;
  kafka.connectTimeout = 150;
};

/** So often, to requests like these, and then no more. */
async function passes(match: FaultMatch, fault: Fault, times: number): Promise<void> {
  await using it = await testPipeline(impatient);
  const rule = it.broker.faults.times(times, match, fault);
  it.send(...numbered(COUNT));
  await rule.done;
  await arrives(it);
}

/** One of two brokers, for ever: what the other leads goes on, and nothing that the one leads is lost when it is well again. */
async function lasts(api: "Produce" | "Metadata" | "InitProducerId" | "Connect", fault: Fault): Promise<void> {
  await using it = await testPipeline(impatient, { brokers: 2 });
  it.broker.createTopic("t", 1, () => 1);
  it.broker.createTopic("other", 1, () => 2);
  const rule = it.broker.faults.always({ api, node: 1 }, fault);
  it.send(...numbered(COUNT), ...numbered(20, { topic: "other" }));
  await it.until(() => (it.pipeline.topics.get("other")?.account.delivered ?? 0) === 20);
  expect(it.values("other")).toHaveLength(20);
  // Metadata and producer ids can come from the other one.
  if (api === "Produce" || api === "Connect") {
    const begin = performance.now();
    await it.until(() => rule.hits >= 5);
    // A second lane, or the connection for metadata, may knock as well: three times the attempts of one.
    expect(rule.hits).toBeLessThanOrEqual(24 + (3 * (performance.now() - begin)) / 22);
    expect(it.balance()).toMatchObject({ held: COUNT, discarded: 0, agrees: true });
    const { memory, heldMemory } = it.pipeline.around;
    expect(memory.used + heldMemory.used).toBeLessThan(200_000);
  }
  rule.remove();
  await arrives(it, 20);
}

describe.each([
  ["produce request", "Produce", PRODUCE],
  ["request for metadata", "Metadata", FAULTS],
  ["request for a producer id", "InitProducerId", FAULTS],
  ["connection", "Connect", CONNECT],
] as const)("nothing is lost, twice or out of order when a %s", (_, api, faults) => {
  test.concurrent.each(Object.entries(faults) as [string, Fault][])("%s", async (_, fault) => {
    await Promise.all([passes(api, fault, 1), passes(api, fault, 3), lasts(api, fault)]);
  });
});

describe("a connection that is cut in the middle of a produce request", () => {
  const large = numbered(COUNT).map(({ value }) => ({ value: value.padStart(10_000, "0") }));
  const plain = (settings: Settings) => {
    impatient(settings);
    settings.compression.codec = "none";
  };

  test.each([1, 3])("has taken nothing of it, %d time(s)", async (times) => {
    await using it = await testPipeline(plain);
    const cut = it.broker.faults.times(times, "Connect", { kind: "cut", after: 20_000 });
    it.send(...large);
    await it.settled();
    expect(cut.hits).toBe(times);
    expect(it.values()).toEqual(large.map(({ value }) => value));
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });

  test("may have taken it, as far as anyone can tell without idempotence", async () => {
    await using it = await testPipeline((settings) => {
      plain(settings);
      settings.kafka.idempotence = false;
      settings.kafka.acks = 1;
    });
    // The first connection is for metadata.
    const metadata = it.broker.faults.once("Connect", { kind: "cut", after: 20_000 });
    await metadata.done;
    it.broker.faults.once("Connect", { kind: "cut", after: 20_000 });
    it.send(...large);
    await it.settled();
    expect(it.values()).toEqual(large.map(({ value }) => value));
    expect(it.pipeline.ledger.total.possibleDuplicates).toBeGreaterThan(0);
  });
});

describe("an answer that comes after the timeout", () => {
  test.each(["Produce", "Metadata", "InitProducerId"] as const)("of %s is not taken for another's", async (api) => {
    await using it = await testPipeline(impatient);
    const late = Promise.withResolvers<void>();
    const rule = it.broker.faults.once(api, { kind: "delay", until: late.promise, append: true });
    it.send(...numbered(COUNT));
    await rule.hit;
    // It has been asked again by now, on another connection.
    await it.broker.until(() => it.broker.requests[api] > 1);
    late.resolve();
    await arrives(it);
  });

  test("after its request was served late is of no harm either: the broker knows the batch", async () => {
    await using it = await testPipeline(impatient);
    const late = Promise.withResolvers<void>();
    const rule = it.broker.faults.once("Produce", { kind: "delay", until: late.promise });
    it.send(...numbered(COUNT));
    await rule.hit;
    await arrives(it);
    late.resolve();
    it.send({ value: "after" });
    await it.settled();
    expect(it.values()).toEqual([...values, "after"]);
  });
});

test("a partition named twice in an answer counts once, also when the two differ", async () => {
  await using it = await testPipeline(impatient);
  const rule = it.broker.faults.once("Produce", naming(["t", 0], ["t", 0]));
  it.send(...numbered(COUNT));
  await rule.hit;
  await arrives(it);
});

describe("without idempotence, with acks 1", () => {
  const plain = (settings: Settings) => {
    impatient(settings);
    settings.kafka.idempotence = false;
    settings.kafka.acks = 1;
  };
  const unknown = Object.entries(PRODUCE).filter(([name]) => !/huge/.test(name));

  test.concurrent.each(unknown)("a batch whose request %s is there at least once, and on record", async (_, fault) => {
    await using it = await testPipeline(plain);
    const rule = it.broker.faults.times(2, "Produce", fault);
    it.send(...numbered(COUNT));
    await rule.done;
    await it.settled();
    expect([...new Set(it.values())]).toEqual(values);
    const copies = it.values().length - COUNT;
    const { possibleDuplicates, delivered } = it.pipeline.ledger.total;
    expect(delivered).toBe(COUNT);
    expect(possibleDuplicates).toBeGreaterThanOrEqual(Math.max(1, copies));
    expect(it.balance()).toMatchObject({ held: 0, discarded: 0, agrees: true });
  });
});
