// What clients, operators and Kafka can do wrong to the executable: each is said clearly, and the ledger balances after it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import type { DaemonStatus } from "../../src/observe/status.ts";
import { encodeAnyPartition, encodePartitionKey } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openDatagramClient, openStreamClient, type StreamClient } from "../support/clients.ts";
import { freePorts } from "../support/kafkaPorts.ts";
import { expectBalanced } from "./books.ts";

type Transport = "datagram" | "stream" | "tcp";

let broker: DevBroker;
let bruce: Bruce | undefined;
let topic: string;
let topics = 0;

beforeAll(async () => {
  broker = await startDevBroker({ autoCreate: false });
});
afterAll(() => broker?.stop());
beforeEach(() => {
  topic = `topic-${++topics}`;
  broker.createTopic(topic, 2);
});
afterEach(async () => {
  await bruce?.close();
  bruce = undefined;
});

async function serve(set: string[] = [], bootstrap = broker.bootstrap): Promise<Bruce> {
  bruce = await startBruce({ bootstrap, set });
  return bruce;
}

function frame(value: string | Buffer, more: { topic?: string; key?: string; partitionKey?: number } = {}): Buffer {
  const { partitionKey } = more;
  const message = {
    ...{ topic: more.topic ?? topic, timestamp: 1_795_000_000_000 },
    ...{ key: Buffer.from(more.key ?? ""), value: Buffer.from(value) },
  };
  return partitionKey === undefined ? encodeAnyPartition(message) : encodePartitionKey({ ...message, partitionKey });
}

function altered(bytes: Buffer, change: (bytes: Buffer) => unknown): Buffer {
  change(bytes);
  return bytes;
}

const values = (name = topic) => broker.records(name).map(({ value }) => String(value));

/** Writes each of these, in its own datagram, or one after the other on one connection that then ends. */
async function write(to: Bruce, transport: Transport, messages: Buffer[]): Promise<void> {
  if (transport === "datagram") {
    const client = openDatagramClient(to.sockets.datagram);
    for (const message of messages) client.send(message);
    client.close();
    return;
  }
  const client = await openStreamClient(to.sockets[transport]);
  await client.write(Buffer.concat(messages));
  await client.end();
}

/** Waits until all that was received is settled, and looks into the books. */
async function settled(of: Bruce, received: number): Promise<DaemonStatus> {
  const status = await of.until(({ ledger }) => ledger.received >= received && ledger.held === 0);
  expectBalanced(status);
  expect(status.ledger.received).toBe(received);
  return status;
}

function input(status: DaemonStatus, transport: Transport) {
  const found = status.inputs.find(({ input }) => input === transport);
  if (found === undefined) throw new Error(`the status has no input ${transport}`);
  return found;
}

/** Offsets in an AnyPartition frame. */
const FLAGS = 8;
const TOPIC_LENGTH = 10;
const keyLengthAt = () => 12 + topic.length + 8;

/** Frames whose framing is wrong, each in a way of its own; on a stream nothing can be read behind them. */
function malformedFrames(): Buffer[] {
  const keyed = () => frame("value", { key: "key" });
  const valueLengthAt = () => keyLengthAt() + 4 + "key".length;
  const short = (size: number, from = keyed()) => altered(from.subarray(0, size), (bytes) => bytes.writeInt32BE(size));
  return [
    // Size: zero, negative, less than the header, the header alone, less than the fixed fields, a byte too few.
    altered(frame("m"), (bytes) => bytes.writeInt32BE(0)),
    altered(frame("m"), (bytes) => bytes.writeInt32BE(-1)),
    altered(frame("m"), (bytes) => bytes.writeInt32BE(-2_147_483_648)),
    altered(frame("m"), (bytes) => bytes.writeInt32BE(7)),
    short(8),
    short(27),
    short(keyed().length - 1),
    short(31, frame("", { partitionKey: 1, topic: "t" })),
    // Flags.
    altered(frame("m"), (bytes) => bytes.writeInt16BE(1, FLAGS)),
    altered(frame("m"), (bytes) => bytes.writeInt16BE(-32_768, FLAGS)),
    altered(frame("m", { partitionKey: 1 }), (bytes) => bytes.writeInt16BE(1, FLAGS)),
    // Topic: none, negative, beyond the end, one too long.
    altered(frame("m"), (bytes) => bytes.writeInt16BE(0, TOPIC_LENGTH)),
    altered(frame("m"), (bytes) => bytes.writeInt16BE(-1, TOPIC_LENGTH)),
    altered(frame("m"), (bytes) => bytes.writeInt16BE(32_767, TOPIC_LENGTH)),
    altered(frame("m"), (bytes) => bytes.writeInt16BE(topic.length + 1, TOPIC_LENGTH)),
    // Key and value: negative, the largest there is, one too long, one too short.
    ...[-1, -2_147_483_648, 2_147_483_647, 4, 2].flatMap((length) => [
      altered(keyed(), (bytes) => bytes.writeInt32BE(length, keyLengthAt())),
      altered(keyed(), (bytes) => bytes.writeInt32BE(length, valueLengthAt())),
    ]),
  ];
}

/** Well framed, but not acceptable: reason, and the frames. */
function unacceptable(transport: Transport): Record<string, Buffer[]> {
  // On a stream, 512 and 514 are questions.
  const questions = transport === "datagram" ? [512, 514] : [];
  const apiKeys = [0, 1, 255, 258, 511, 513, 515, ...questions, -1, -32_768, 32_767];
  const versions = [1, 2, -1, 256, 32_767];
  const names = [".", "..", "a/b", "a b", "ä", "a\0", "a\n", "*", "a:b", "x".repeat(250), "x".repeat(400)];
  return {
    unsupported_api_key: apiKeys.map((key) => altered(frame("k"), (bytes) => bytes.writeInt16BE(key, 4))),
    unsupported_version: versions.map((version) => altered(frame("v"), (bytes) => bytes.writeInt16BE(version, 6))),
    bad_topic: names.map((name) => frame("t", { topic: name })),
  };
}

describe.each<Transport>(["datagram", "stream", "tcp"])("over %s", (transport) => {
  test("malformed messages of every kind are discarded as such, and others go on", async () => {
    const to = await serve();
    const bad = malformedFrames();
    if (transport === "datagram") {
      // In a datagram the bytes that are there must be all, too.
      const longer = altered(frame("m"), (bytes) => bytes.writeInt32BE(bytes.length + 1));
      bad.push(Buffer.alloc(0), Buffer.from("abc"), longer, Buffer.concat([frame("a"), frame("b")]));
      await write(to, transport, [frame("before"), ...bad, frame("after")]);
    } else {
      await write(to, transport, [frame("before")]);
      const bystander = await openStreamClient(to.sockets[transport]);
      for (const each of bad) {
        const client = await openStreamClient(to.sockets[transport]);
        await client.write(each);
        await client.closed; // by bruce: the framing is lost
      }
      await bystander.write(frame("after"));
      await bystander.end();
    }
    const status = await settled(to, bad.length + 2);
    expect(status.ledger).toMatchObject({ delivered: 2, discards_by_reason: { malformed: bad.length } });
    expect(status.ledger.no_topic).toMatchObject({ received: bad.length, discarded: bad.length });
    expect(input(status, transport)).toMatchObject({ received: bad.length + 2, unclean_disconnects: 0 });
    expect(values().sort()).toEqual(["after", "before"]);
    expect(to.log()).toContain('"reason":"malformed"');
  });

  test("unknown API keys and versions and illegal topics are discarded by reason, and the connection goes on", async () => {
    const to = await serve();
    const bad = unacceptable(transport);
    const frames = Object.values(bad).flat();
    const good = frames.map((_, at) => frame(`good ${at}`, { partitionKey: 0 }));
    await write(
      to,
      transport,
      frames.flatMap((each, at) => [each, good[at] as Buffer]),
    );
    const status = await settled(to, 2 * frames.length);
    expect(status.ledger).toMatchObject({ delivered: good.length, discarded: frames.length });
    const counts = Object.fromEntries(Object.entries(bad).map(([reason, each]) => [reason, each.length]));
    expect(status.ledger.discards_by_reason).toEqual(counts);
    expect(status.topics.map(({ name }) => name)).toEqual([topic]);
    expect(input(status, transport).unclean_disconnects).toBe(0);
    expect(values()).toEqual(good.map((_, at) => `good ${at}`));
    for (const reason of Object.keys(counts)) expect(to.log()).toContain(`"reason":"${reason}"`);
  });
});

test("a datagram over max_message is discarded as too long, the largest one is delivered", async () => {
  const to = await serve();
  const most = 64 * 1024;
  const filled = (size: number) => frame("x".repeat(size - frame("").length));
  await write(to, "datagram", [filled(most), filled(most + 1), filled(200_000), frame("after")]);
  const status = await settled(to, 4);
  expect(status.ledger).toMatchObject({ delivered: 2, discards_by_reason: { too_long: 2 } });
  expect(to.log()).toContain('"reason":"too_long"');
});

describe.each<"stream" | "tcp">(["stream", "tcp"])("over %s", (transport) => {
  test("a message over max_message ends its connection and no other", async () => {
    const to = await serve();
    const bystander = await openStreamClient(to.sockets[transport]);
    const client = await openStreamClient(to.sockets[transport]);
    await client.write(
      Buffer.concat([frame("before"), altered(frame("m"), (bytes) => bytes.writeInt32BE(2 ** 24 + 1))]),
    );
    await client.closed;
    await bystander.write(frame("after"));
    await bystander.end();
    const status = await settled(to, 3);
    expect(status.ledger).toMatchObject({ delivered: 2, discards_by_reason: { too_long: 1 } });
    expect(values().sort()).toEqual(["after", "before"]);
  });

  test("a message over max_record is discarded under its topic, and its connection goes on", async () => {
    const to = await serve(['topics."topic-*".max_record=2000', "batch.max_record=1000"]);
    const small = `small-${topic}`;
    broker.createTopic(small);
    const large = [frame("x".repeat(2001)), frame("x".repeat(1001), { topic: small }), frame("x".repeat(15_000_000))];
    await write(to, transport, [frame("1"), ...large, frame("x".repeat(2000)), frame("2", { topic: small })]);
    const status = await settled(to, 6);
    expect(status.ledger).toMatchObject({ delivered: 3, discards_by_reason: { too_large: 3 } });
    const per = Object.fromEntries(
      status.topics.map(({ name, delivered, discarded }) => [name, [delivered, discarded]]),
    );
    expect(per).toEqual({ [topic]: [2, 2], [small]: [1, 1] });
    expect(
      values()
        .map(({ length }) => length)
        .sort(),
    ).toEqual([1, 2000]);
  });

  test("a connection that ends inside a message is an unclean disconnect, and no message", async () => {
    const to = await serve();
    const half = frame("half").subarray(0, -1);
    const cuts = [half, half.subarray(0, 20), half.subarray(0, 4), half.subarray(0, 1)];
    for (const cut of cuts) await write(to, transport, [frame("whole"), cut]);
    await write(to, transport, [frame("clean")]);
    const gone = await openStreamClient(to.sockets[transport]);
    await gone.write(half);
    gone.destroy();
    const unclean = cuts.length + 1;
    await to.until((status) => input(status, transport).unclean_disconnects >= unclean);
    const status = await settled(to, cuts.length + 1);
    expect(status.ledger).toMatchObject({ delivered: cuts.length + 1, discarded: 0 });
    expect(input(status, transport)).toMatchObject({ unclean_disconnects: unclean, connections_open: 0 });
  });

  test("a client that sends byte by byte is understood, and keeps no other waiting", async () => {
    const to = await serve(["batch.linger=0"]);
    const slow = await openStreamClient(to.sockets[transport]);
    const quick = await openStreamClient(to.sockets[transport]);
    const bytes = frame("slow");
    for (let at = 0; at < bytes.length; at++) {
      await slow.write(bytes.subarray(at, at + 1));
      await quick.write(frame(`quick ${at}`));
      await broker.until(() => values().includes(`quick ${at}`));
      if (at < bytes.length - 1) expect(values()).not.toContain("slow");
    }
    await broker.until(() => values().includes("slow"));
    await settled(to, bytes.length + 1);
    await Promise.all([slow.end(), quick.end()]);
  });
});

test("a hundred clients at once: all messages of all of them arrive, each client's in its order", async () => {
  const CLIENTS = 100;
  const EACH = 200;
  const to = await serve();
  const open = (id: number) => openStreamClient(id % 2 === 0 ? to.sockets.stream : to.sockets.tcp);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, id) => open(id)));
  await to.until(
    (status) => input(status, "stream").connections_open + input(status, "tcp").connections_open === CLIENTS,
  );
  const talk = async (client: StreamClient, id: number) => {
    for (let at = 0; at < EACH; at += 10) {
      const frames = Array.from({ length: 10 }, (_, more) => frame(`${id} ${at + more}`, { partitionKey: id }));
      await client.write(Buffer.concat(frames));
    }
    await client.end();
  };
  await Promise.all(clients.map(talk));
  const status = await settled(to, CLIENTS * EACH);
  expect(status.ledger).toMatchObject({ delivered: CLIENTS * EACH, discarded: 0 });
  const seen = new Map<string, string[]>();
  for (const value of values()) {
    const [id = "", at = ""] = value.split(" ");
    seen.set(id, [...(seen.get(id) ?? []), at]);
  }
  expect(seen.size).toBe(CLIENTS);
  const inOrder = Array.from({ length: EACH }, (_, at) => String(at));
  for (const found of seen.values()) expect(found).toEqual(inOrder);
});

describe("a topic that does not exist", () => {
  test("is held with the reason, delays no other, and is delivered in order once it is there", async () => {
    const to = await serve();
    const missing = `missing-${topic}`;
    const late = Array.from({ length: 100 }, (_, at) => frame(`late ${at}`, { topic: missing, partitionKey: 1 }));
    await write(to, "stream", [...late, frame("there")]);
    await broker.until(() => values().includes("there"));
    const held = await to.until(({ topics }) => topics.some(({ state, held }) => state === "held" && held === 100));
    expectBalanced(held);
    const row = held.topics.find(({ name }) => name === missing);
    expect(row).toMatchObject({ received: 100, delivered: 0, held: 100, discarded: 0 });
    expect(row?.reason).toContain("the topic does not exist: create it");
    expect(to.log()).toContain("the topic does not exist: create it");

    broker.createTopic(missing, 3);
    const status = await settled(to, 101);
    expect(status.ledger).toMatchObject({ delivered: 101, discarded: 0 });
    expect(values(missing)).toEqual(late.map((_, at) => `late ${at}`));
  });

  test("is discarded on record where that is asked for", async () => {
    const to = await serve(['topics."missing-*".unknown_topic="discard"']);
    const missing = `missing-${topic}`;
    await write(to, "stream", [frame("1", { topic: missing }), frame("there"), frame("2", { topic: missing })]);
    const status = await settled(to, 3);
    expect(status.ledger).toMatchObject({ delivered: 1, discards_by_reason: { unknown_topic: 2 } });
    const row = status.topics.find(({ name }) => name === missing);
    expect(row).toMatchObject({ received: 2, discards_by_reason: { unknown_topic: 2 } });
    expect(to.log()).toContain('"reason":"unknown_topic"');
  });
});

test("a broker that is not there: bruce starts, says so, takes messages, and delivers them when it comes", async () => {
  const [port = 0] = await freePorts(1);
  const to = await serve(["buffer.memory=16m"], `127.0.0.1:${port}`);
  // More than the batches may take (6 of the 16 MB): the rest waits before them.
  const MANY = 9000;
  const long = Array.from({ length: MANY }, (_, at) => `${at} `.padEnd(1000, "."));
  await write(
    to,
    "stream",
    long.map((value) => frame(value, { partitionKey: 0 })),
  );
  await write(to, "datagram", [frame("short")]);
  const held = await to.until(({ ledger, metadata }) => ledger.held === MANY + 1 && metadata.failures > 0);
  expectBalanced(held);
  expect(held.ledger).toMatchObject({ received: MANY + 1, delivered: 0, discarded: 0 });
  expect(to.log()).toContain(`127.0.0.1:${port}`);
  expect(to.log()).toMatch(/refused/i);
  const ready = await fetch(`${to.url}/readyz`);
  expect(ready.status).toBe(200); // it takes messages

  const late = await startDevBroker({ port });
  try {
    late.createTopic(topic);
    await settled(to, MANY + 1);
    const found = late.records(topic).map(({ value }) => String(value));
    expect(found.filter((value) => value !== "short")).toEqual(long);
    expect(found).toHaveLength(MANY + 1);
    expect(await to.stop()).toBe(0);
  } finally {
    await late.stop();
  }
});

test("memory only, a full queue with drop_newest: what finds no room is discarded and counted per topic, the rest is delivered", async () => {
  const to = await serve(["buffer.memory=16m", "buffer.disk=0"]);
  const names = [`${topic}-one`, `${topic}-two`] as const;
  for (const name of names) broker.createTopic(name);
  const message = (index: number) => frame(`${index} `.padEnd(1000, "."), { topic: names[index % 2] });
  await write(to, "datagram", [message(0), message(1)]);
  await settled(to, 2);

  broker.stopNode(1);
  const client = openDatagramClient(to.sockets.datagram);
  let sent = 2;
  try {
    while (((await to.status()).ledger.discards_by_reason.queue_full ?? 0) < 1000)
      for (const until = sent + 2000; sent < until; sent++) client.send(message(sent));
    client.close();
    const full = await to.until(({ ledger }) => ledger.received === sent);
    expectBalanced(full);
    expect(full.ledger.discards_by_reason).toEqual({ queue_full: full.ledger.discarded });
    const rows = full.topics.map(({ name, discards_by_reason: { queue_full = 0 } }) => ({ name, queue_full }));
    expect(rows.map(({ name }) => name).sort()).toEqual([...names]);
    expect(rows.reduce((sum, { queue_full }) => sum + queue_full, 0)).toBe(full.ledger.discarded);
    for (const { queue_full } of rows) expect(queue_full).toBeGreaterThan(0);
    expect(to.log()).toContain('"reason":"queue_full"');
    const ready = await fetch(`${to.url}/readyz`);
    expect({ status: ready.status, text: await ready.text() }).toEqual({ status: 503, text: "the buffer is full\n" });
  } finally {
    broker.startNode(1);
  }
  const { ledger, topics } = await settled(to, sent);
  expect(ledger.delivered).toBe(sent - ledger.discarded);
  for (const { name, delivered } of topics) expect(values(name)).toHaveLength(delivered);
});
