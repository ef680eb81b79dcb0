// A real Kafka of three nodes, one of them frozen: what has no copy there does not wait for what has.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { encodePartitionKey } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openStreamClient, type StreamClient } from "../support/clients.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { readBack } from "../support/readBack.ts";
import { accountFor, exactlyOnce } from "../support/readBackVerdict.ts";
import { expectBalanced } from "./books.ts";

/** Node 1 leads both; node 3 copies one. */
const TOPICS = { well: [1, 2], frozen: [1, 3] };

let kafka: Kafka;
let bruce: Bruce;
let client: StreamClient;
const ids = { well: [] as string[], frozen: [] as string[] };

beforeAll(async () => {
  // Node 3 stays a member, and in sync, until it goes on.
  const properties = { "broker.session.timeout.ms": "60000", "replica.lag.time.max.ms": "120000" };
  kafka = await startKafka({ nodes: 3, properties });
  for (const [topic, nodes] of Object.entries(TOPICS)) await kafka.createTopic(topic, [nodes, nodes]);
  bruce = await startBruce({ bootstrap: kafka.bootstrap, set: ['kafka.request_timeout="60s"'] });
  client = await openStreamClient(bruce.sockets.stream);
});
afterAll(async () => {
  await client?.end();
  await bruce?.close();
  await kafka?.close();
});

/** One message for each partition of both topics, in one write, so that they share requests. */
async function sendOneEach(): Promise<void> {
  const frames: Buffer[] = [];
  for (const topic of ["frozen", "well"] as const) {
    for (const partitionKey of [0, 1]) {
      const id = `${topic}-${ids[topic].length}`;
      ids[topic].push(id);
      const [key, timestamp] = [new Uint8Array(), Date.now()];
      frames.push(encodePartitionKey({ topic, timestamp, key, value: Buffer.from(id), partitionKey }));
    }
  }
  await client.write(Buffer.concat(frames));
}

/** Resolves when so many of a topic are delivered; gives how many of the other were then. */
async function untilDelivered(topic: keyof typeof ids, count: number): Promise<number> {
  const status = await bruce.until(({ topics }) => topics.some((t) => t.name === topic && t.delivered >= count));
  return status.topics.find(({ name }) => name !== topic)?.delivered ?? 0;
}

test("while a follower is frozen, what has no copy there is delivered, also what was sent with it; then all is", async () => {
  await sendOneEach();
  await untilDelivered("well", 2);
  await untilDelivered("frozen", 2);
  kafka.pause(3);
  const began = performance.now();
  for (let round = 0; round < 5; round++) {
    await sendOneEach();
    // None of the other can be acknowledged while its follower says nothing.
    expect(await untilDelivered("well", ids.well.length)).toBe(2);
  }
  process.stdout.write(`5 rounds past a frozen follower took ${Math.round(performance.now() - began)} ms\n`);
  const { brokers } = await bruce.status();
  expect(brokers.find(({ id }) => id === 1)?.slow_replicas).toEqual([[1, 3]]);
  kafka.resume(3);
  await untilDelivered("frozen", ids.frozen.length);
  const after = await bruce.until(({ ledger }) => ledger.held === 0);
  expectBalanced(after);
  expect(after.ledger).toMatchObject({ discarded: 0, possible_duplicates: 0 });
  for (const topic of ["well", "frozen"] as const) {
    const account = accountFor(ids[topic]);
    await readBack(kafka.bootstrap, topic, ({ value }) => account.found(value?.toString() ?? ""));
    expect(account.verdict()).toEqual(exactlyOnce);
  }
});
