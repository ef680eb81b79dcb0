// Topics and brokers that come, go and move, on a real Kafka: what can be delivered is, the rest waits with the reason.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import type { DaemonStatus } from "../../src/observe/status.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { freePorts } from "../support/kafkaPorts.ts";
import { peakMemory } from "../support/processRest.ts";
import { readBack } from "../support/readBack.ts";
import { accountFor, exactlyOnce } from "../support/readBackVerdict.ts";
import { expectBalanced } from "./books.ts";

const MANY_TOPICS = 1000;
/** To each of the many topics, in each of two waves. */
const MESSAGES = 20;
/** buffer.memory by default, and what bruce may need besides. */
const MEMORY = 128 * 1024 * 1024 + 100_000_000;

let kafka: Kafka;
let running: Bruce[] = [];

beforeAll(async () => {
  kafka = await startKafka();
  await kafka.createTopic("there");
});
afterEach(async () => {
  for (const bruce of running) await bruce.close();
  running = [];
});
afterAll(() => kafka?.close());

/** Whether the broker makes topics that it is asked for. */
let makesTopics = false;

async function letKafkaMakeTopics(wanted: boolean): Promise<void> {
  if (makesTopics === wanted) return;
  await kafka.stop(1);
  await kafka.start(1, { properties: { "auto.create.topics.enable": String(wanted), "num.partitions": "1" } });
  makesTopics = wanted;
}

async function serve(set: string[] = [], bootstrap = kafka.bootstrap): Promise<Bruce> {
  const bruce = await startBruce({ bootstrap, set });
  running.push(bruce);
  return bruce;
}

const idsOf = (topic: string, first: number, count: number) =>
  Array.from({ length: count }, (_, index) => `${topic}-${first + index}`);

/** Messages first, first + 1 … to each topic, taking turns. */
async function write(bruce: Bruce, topics: string[], first: number, count: number): Promise<void> {
  const client = await openStreamClient(bruce.sockets.stream);
  for (let index = first; index < first + count; index++) {
    const frames = topics.map((topic) =>
      encodeAnyPartition({
        topic,
        timestamp: Date.now(),
        key: new Uint8Array(),
        value: Buffer.from(`${topic}-${index} ${"x".repeat(150)}`),
      }),
    );
    await client.write(Buffer.concat(frames));
  }
  await client.end();
}

/** The topics have messages [0, count) each, once. */
async function expectThere(topics: string[], count: number): Promise<void> {
  const account = accountFor(topics.flatMap((topic) => idsOf(topic, 0, count)));
  for (const topic of topics) {
    await readBack(kafka.bootstrap, topic, ({ value }) => account.found(String(value).split(" ")[0] ?? ""));
  }
  expect(account.verdict()).toEqual(exactlyOnce);
}

const topicOf = ({ topics }: DaemonStatus, name: string) => topics.find((topic) => topic.name === name);
const heldWith = (name: string, reason: string) => (status: DaemonStatus) =>
  topicOf(status, name)?.state === "held" && topicOf(status, name)?.reason?.includes(reason) === true;
const delivered = (count: number) => (status: DaemonStatus) =>
  status.ledger.delivered === count && status.ledger.held === 0;

test("a topic that the brokers refuse to make is held with that reason, others go on; made later, it is found", async () => {
  await letKafkaMakeTopics(false);
  const bruce = await serve(["kafka.auto_create_topics=true"]);
  await write(bruce, ["not-made", "there"], 0, 10);
  await bruce.until(heldWith("not-made", "the brokers do not make it"));
  await write(bruce, ["there"], 10, 10);
  const others = await bruce.until((status) => topicOf(status, "there")?.delivered === 20);
  expect(topicOf(others, "not-made")).toMatchObject({ state: "held", delivered: 0, held: 10 });
  expectBalanced(others);

  await kafka.createTopic("not-made");
  expectBalanced(await bruce.until(delivered(30)));
  await expectThere(["not-made"], 10);
  await expectThere(["there"], 20);
});

test("any one of the bootstrap addresses will do", async () => {
  const [closed = 0] = await freePorts(1);
  const silent = await listen(() => {});
  const rude = await listen((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await kafka.createTopic("any-of-several");
  try {
    const dead = [`127.0.0.1:${closed}`, silent.address, rude.address, "no-such-host.invalid:9092"];
    const bruce = await serve([], [...dead, kafka.bootstrap].join());
    await write(bruce, ["any-of-several"], 0, 10);
    await bruce.until(delivered(10));
    await expectThere(["any-of-several"], 10);
  } finally {
    silent.server.close();
    rude.server.close();
  }
});

test("a broker that comes back at another address is found, and makes topics now where bruce may ask for it", async () => {
  const [next = 0] = await freePorts(1);
  await kafka.createTopic("moving");
  const addresses = [kafka.bootstrap, `127.0.0.1:${next}`].join();
  const patient = await serve([], addresses);
  const asking = await serve(["kafka.auto_create_topics=true"], addresses);
  await write(patient, ["moving"], 0, 10);
  await patient.until(delivered(10));

  await kafka.stop(1);
  await write(patient, ["moving"], 10, 10);
  await kafka.start(1, { port: next, properties: { "auto.create.topics.enable": "true", "num.partitions": "1" } });
  makesTopics = true;
  await write(patient, ["moving"], 20, 10);
  await patient.until(delivered(30));
  await expectThere(["moving"], 30);

  await write(patient, ["not-asked-for"], 0, 10);
  await patient.until(heldWith("not-asked-for", "set kafka.auto_create_topics"));
  await write(asking, ["asked-for"], 0, 10);
  await asking.until(delivered(10));
  await expectThere(["asked-for"], 10);
  expect(await kafka.describe("not-asked-for")).toBeUndefined();
});

test(`${MANY_TOPICS} topics that nobody made before get all of their messages, each once`, async () => {
  await letKafkaMakeTopics(true);
  const topics = Array.from({ length: MANY_TOPICS }, (_, index) => `many-${index}`);
  const bruce = await serve(["kafka.auto_create_topics=true"]);
  const began = performance.now();
  await write(bruce, topics, 0, MESSAGES);
  await bruce.until(delivered(MANY_TOPICS * MESSAGES));
  const made = performance.now();
  await write(bruce, topics, MESSAGES, MESSAGES);
  const status = await bruce.until(delivered(2 * MANY_TOPICS * MESSAGES));
  const again = performance.now();
  const memory = await peakMemory(bruce.pid);

  expectBalanced(status);
  expect(status.ledger).toMatchObject({ discarded: 0, possible_duplicates: 0 });
  expect(status.topics).toHaveLength(MANY_TOPICS);
  expect(memory).toBeLessThan(MEMORY);
  await expectThere(topics, 2 * MESSAGES);
  process.stderr.write(
    `${MANY_TOPICS} topics: ${seconds(made - began)} s until they were made and had their messages, ` +
      `${seconds(again - made)} s for as many more, ${Math.round(memory / 1e6)} MB at most\n`,
  );
});

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}

/** Somebody who is not Kafka. */
function listen(onSocket: (socket: import("node:net").Socket) => void): Promise<{ server: Server; address: string }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  server.unref();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("it has no port"));
      resolve({ server, address: `127.0.0.1:${address.port}` });
    });
  });
}
