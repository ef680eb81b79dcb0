// Two brokers of which every third request goes asked, in a way drawn at random: when that is over, all is there, once, in
// order. The seed of a run that fails is in its name.
import { expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import type { DevBroker } from "../../src/dev/devBroker.ts";
import type { ConnectFault, Fault, FaultRequest } from "../../src/dev/faults.ts";
import { CLASSIFIED_CODES, errorOf } from "../../src/kafka/errors.ts";
import { mortal } from "../support/mortalPipeline.ts";
import { type TestMessage, testPipeline } from "../support/testPipeline.ts";

const PARTITIONS = 4;
const TOPICS = ["a", "b", "c"];
/** After the others a message may be there twice, or be given up. */
const HARMLESS = new Set(["retry", "refresh", "hold"]);
const CODES = [...CLASSIFIED_CODES, 30_000].filter((code) => HARMLESS.has(errorOf(code).action));

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function drawFault({ api }: FaultRequest, random: () => number): Fault | undefined {
  const draw = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  if (random() > 1 / 3) return undefined;
  const append = random() < 0.5;
  const code = draw(CODES);
  return draw<Fault>([
    { kind: "error", code, append: append && errorOf(code).written !== "no" },
    { kind: "error", code, append: append && errorOf(code).written !== "no" },
    { kind: "silent", append },
    { kind: "cut", append, after: draw([0, 0, 3, 12]) },
    { kind: "garbage", append, bytes: Buffer.alloc(30, draw([0, 0x21, 0xff])) },
    { kind: "size", size: draw([-1, 0, 3, 400, 0x7fffffff]) },
    { kind: "correlationId", id: draw([-1, 0, 4711]) },
    { kind: "throttle", time: api === "Produce" ? 20 : 1 },
    { kind: "delay", append, until: Bun.sleep(random() * 200) },
  ]);
}

function drawConnectFault(random: () => number): ConnectFault | undefined {
  if (random() > 1 / 6) return undefined;
  return random() < 0.3 ? { kind: "silent" } : { kind: "cut", after: Math.floor(random() * 3000) };
}

/** Lets it rage. Answers how many requests came since. */
function rage({ faults }: DevBroker, random: () => number): () => number {
  let asked = 0;
  for (const api of ["Produce", "Metadata", "InitProducerId"] as const)
    faults.always(
      (request) => request.api === api,
      (request) => {
        asked++;
        return drawFault(request, random);
      },
    );
  faults.always("Connect", () => drawConnectFault(random));
  return () => asked;
}

/** A batch that is larger when it is sent again may have to be parted then: so with one codec throughout. */
function impatient(random: () => number): (settings: Settings) => void {
  const codec = random() < 0.5 ? "none" : "zstd";
  return ({ kafka, delivery, compression }) => {
    kafka.requestTimeout = 100;
    kafka.connectTimeout = 100;
    delivery.backoffMax = 20;
    compression.codec = codec;
  };
}

/** Draws messages, and remembers what each partition is to have. */
function messagesFrom(random: () => number) {
  const sent = new Map<string, string[]>();
  let number = 0;
  return {
    draw: (count: number): TestMessage[] =>
      Array.from({ length: count }, () => {
        const topic = TOPICS[Math.floor(random() * TOPICS.length)] as string;
        const partitionKey = Math.floor(random() * PARTITIONS);
        const value = `${number++}`.padEnd(20 + Math.floor(random() * 300), "x");
        const place = `${topic} ${partitionKey}`;
        sent.set(place, [...(sent.get(place) ?? []), value]);
        return { topic, partitionKey, value };
      }),
    expectAll(valuesOf: (topic: string, partition: number) => string[]): void {
      for (const [place, values] of sent) {
        const [topic = "", partition] = place.split(" ");
        expect(valuesOf(topic, Number(partition))).toEqual(values);
      }
    },
  };
}

async function storm(seed: number, maxMessageBytes: number): Promise<void> {
  const random = randomFrom(seed);
  await using it = await testPipeline(impatient(random), { brokers: 2, maxMessageBytes });
  for (const topic of TOPICS) it.broker.createTopic(topic, PARTITIONS);
  const asked = rage(it.broker, random);
  const messages = messagesFrom(random);
  for (let round = 0; round < 30; round++) {
    it.send(...messages.draw(20));
    await Bun.sleep(random() * 10);
    if (round % 7 === 3) it.broker.setLeader("a", 0, 1 + Math.floor(random() * 2));
  }
  // It goes on for a while when there is nothing new any more.
  await it.until(() => asked() >= 100 || it.balance().delivered === 600);
  it.broker.faults.clear();
  await it.settled();
  messages.expectAll(it.values);
  expect(it.discards).toEqual([]);
  expect(it.balance()).toEqual({ received: 600, delivered: 600, held: 0, discarded: 0, agrees: true });
  // A batch that was refused for its size may have been sent before, for all that bruce can tell.
  if (maxMessageBytes > 100_000) expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
}

async function stormOfLives(seed: number): Promise<void> {
  const random = randomFrom(seed);
  await using it = await mortal({ brokers: 2, maxMessageBytes: random() < 0.5 ? 1_000 : 1_048_588 });
  for (const topic of TOPICS) it.broker.createTopic(topic, PARTITIONS);
  rage(it.broker, random);
  const messages = messagesFrom(random);
  const change = impatient(random);
  for (let life = 0; life < 6; life++) {
    it.append(...messages.draw(50));
    const { kill, checkpoint } = it.live(change);
    it.append(...messages.draw(20));
    await Bun.sleep(random() * 150);
    if (random() < 0.3) checkpoint();
    await Bun.sleep(random() * 50);
    kill();
  }
  it.broker.faults.clear();
  const last = it.live(change);
  await last.settled();
  messages.expectAll(it.values);
  expect(last.discards).toEqual([]);
}

const seeds = Array.from({ length: 4 }, () => Math.floor(Math.random() * 2 ** 31));

test.each(seeds)(
  "a storm of faults loses nothing, and leaves nothing twice or out of order (seed %d)",
  async (seed) => {
    await storm(seed, 1_048_588);
  },
);

test.each(seeds)("nor where batches have to be parted as well (seed %d)", async (seed) => {
  await storm(seed, 1_000);
});

test.each(seeds)("nor when bruce itself is killed in it, again and again (seed %d)", async (seed) => {
  await stormOfLives(seed);
});
