// Batches that are larger than a topic takes: parted once or twice, and from then on made no larger than that.
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Settings } from "../../src/config/settings.ts";
import { mortal } from "../support/mortalPipeline.ts";
import { type TestMessage, type TestPipeline, testPipeline } from "../support/testPipeline.ts";

const plain = ({ compression }: Settings) => {
  compression.codec = "none";
};

/** `count` messages of `size` bytes from number `from` on, of which a third is left when they are compressed. */
function messages(from: number, count: number, size: number, more: Partial<TestMessage> = {}): TestMessage[] {
  return Array.from({ length: count }, (_, index) => {
    const noise = randomBytes(size / 4).toString("hex");
    return { value: `${from + index} ${noise}`.padEnd(size, "x"), ...more };
  });
}

const idsOf = (values: string[]) => values.map((value) => Number(value.split(" ")[0]));
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Sends `count` messages in waves, so that some batches are made before the limit is known and most after. */
async function sendInWaves(it: TestPipeline, count: number, size: number): Promise<void> {
  for (let from = 0; from < count; from += 200) {
    it.send(...messages(from, 200, size, { partitionKey: 0 }));
    await it.until(() => it.balance().held < 400);
  }
  await it.settled();
}

test.each([
  ["as they are", "none"],
  ["compressed", "zstd"],
] as const)("a topic's limit is learned, and not run into again and again, with batches %s", async (_, codec) => {
  await using it = await testPipeline((settings) => {
    settings.compression.codec = codec;
  });
  it.broker.createTopic("t", 1, () => 1, 20_000);
  await sendInWaves(it, 4000, 500);
  expect(idsOf(it.values())).toEqual(upTo(4000));
  expect(it.balance()).toMatchObject({ delivered: 4000, discarded: 0, agrees: true });
  const limit = it.pipeline.topics.get("t")?.limit;
  expect(limit?.known).toBeGreaterThan(20_000);
  expect(limit?.refusals).toBeLessThanOrEqual(10);
  // 2 MB in batches of up to 20 kB, and not in single messages.
  expect(it.broker.requests.Produce).toBeLessThan(400);
});

test("topics have limits of their own", async () => {
  await using it = await testPipeline(plain);
  it.broker.createTopic("t", 1, () => 1, 5_000);
  it.broker.createTopic("wide", 1);
  it.send(...messages(0, 200, 500), ...messages(0, 200, 500, { topic: "wide" }));
  await it.settled();
  expect(it.pipeline.topics.get("t")?.limit.known).toBeLessThan(100_000);
  expect(it.pipeline.topics.get("wide")?.limit.known).toBeUndefined();
  expect([it.values().length, it.values("wide").length]).toEqual([200, 200]);
});

test("messages that are too large alone cost themselves, one request each, and no other its batch", async () => {
  await using it = await testPipeline(plain);
  it.broker.createTopic("t", 1, () => 1, 20_000);
  await sendInWaves(it, 1000, 500);
  const limit = it.pipeline.topics.get("t")?.limit;
  const before = { most: limit?.most ?? 0, refusals: limit?.refusals ?? 0, requests: it.broker.requests.Produce };
  for (let from = 1000; from < 1200; from += 20)
    it.send(...messages(from, 19, 500, { partitionKey: 0 }), ...messages(9999, 1, 60_000, { partitionKey: 0 }));
  await it.settled();
  expect(it.discards).toEqual(Array(10).fill({ topic: "t", count: 1, reason: "too_large" }));
  expect(limit?.refusals).toBeLessThanOrEqual(before.refusals + 1);
  expect(limit?.most).toBeGreaterThan(before.most * 0.9);
  expect(it.broker.requests.Produce - before.requests).toBeLessThanOrEqual(50);
  expect(idsOf(it.values())).toEqual(upTo(1200).filter((id) => id < 1000 || id % 20 !== 19));
  expect(it.log()).toContain("MESSAGE_TOO_LARGE");
});

test("what was parted is in Kafka once, in order, however often bruce is killed in between", async () => {
  await using it = await mortal({ maxMessageBytes: 3000 });
  let sent = 0;
  const append = (count: number) => {
    it.append(...messages(sent, count, 200 + (sent % 3) * 150, { partitionKey: 0 }));
    sent += count;
  };
  for (let round = 0; round < 12; round++) {
    append(60);
    const life = it.live(plain);
    await Promise.race([life.killAtEntry(1 + ((round * 5) % 13)), life.settled()]);
    life.kill();
  }
  append(30);
  const last = it.live(plain);
  await last.settled();
  expect(idsOf(it.values())).toEqual(upTo(sent));
  expect(last.discards).toEqual([]);
});
