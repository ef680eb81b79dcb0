// Without a disk buffer, what cannot be delivered waits in memory: as much as there is, and in nobody's way.
import { expect, test } from "bun:test";
import { numbered, testPipeline } from "../support/testPipeline.ts";

const SOON = { times: { after: 50, gone: 100, every: 10 } };

test("a partition without a leader for a moment drops nothing while there is memory, and keeps its order", async () => {
  await using it = await testPipeline((settings) => {
    settings.buffer.memory = 4 << 20;
  });
  it.broker.createTopic("t", 2);
  it.broker.setLeader("t", 1, -1);
  const value = (index: number) => `${index} ${"x".repeat(1000)}`;
  // More than held messages may take, less than batches may.
  for (let index = 0; index < 900; index++) it.send({ value: value(index), partitionKey: 1 });
  await it.until(() => it.balance().received === 900);
  expect(it.balance()).toMatchObject({ held: 900, discarded: 0, agrees: true });
  it.broker.setLeader("t", 1, 1);
  it.pipeline.cluster.refresh("the test gave it a leader");
  await it.settled();
  expect(it.values("t", 1)).toEqual(Array.from({ length: 900 }, (_, index) => value(index)));
});

test("a partition out of reach keeps its order over what was batched and what waits behind", async () => {
  await using it = await testPipeline(() => {}, {}, { hold: SOON });
  it.broker.createTopic("t", 2);
  it.broker.setLeader("t", 1, -1);
  const parked = () => it.pipeline.topics.get("t")?.partitions[1]?.parked !== undefined;
  const some = (first: number) =>
    it.send(...numbered(20).map((_, index) => ({ value: `${first + index}`, partitionKey: 1 })));
  some(0);
  await it.until(parked);
  some(20);
  await it.until(() => it.balance().received === 40);
  for (let round = 1; round < 4; round++) {
    it.broker.setLeader("t", 1, 1);
    it.pipeline.cluster.refresh("the test gave it a leader");
    await it.until(() => !parked());
    some(round * 40);
    it.broker.setLeader("t", 1, -1);
    it.pipeline.cluster.refresh("the test took the leader away");
    await it.until(() => it.pipeline.topics.get("t")?.partitions[1]?.leader === -1);
    some(round * 40 + 20);
    await it.until(parked);
  }
  it.broker.setLeader("t", 1, 1);
  it.pipeline.cluster.refresh("the test gave it a leader");
  await it.settled();
  expect(it.values("t", 1)).toEqual(numbered(160).map(({ value }) => value));
});

test("a topic that comes to be held with a large backlog leaves half of the memory to others", async () => {
  await using it = await testPipeline((settings) => {
    settings.buffer.memory = 4 << 20;
    settings.delivery.backoffMax = 60_000;
    settings.kafka.requestTimeout = 60_000;
    settings.compression.codec = "none";
  });
  it.broker.createTopic("t", 1);
  it.send({ value: "warm" });
  await it.settled();
  const gate = Promise.withResolvers<void>();
  const refusal = it.broker.faults.always(
    { api: "Produce", topic: "t" },
    { kind: "delay", until: gate.promise, andThen: { kind: "error", code: 29, only: [{ topic: "t" }] } },
  );
  it.send({ value: "first" });
  await refusal.hit;
  const { memory, heldMemory } = it.pipeline.around;
  for (let index = 0; !memory.full; index++) {
    await it.until(() => it.send({ value: `${index} ${crypto.randomUUID().repeat(100)}` }));
    await it.until(() => it.balance().received === index + 3 || memory.full);
  }
  gate.resolve();
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
  expect(heldMemory.used).toBeLessThanOrEqual(heldMemory.cap + memory.cap / 2);
  expect(memory.used).toBeLessThanOrEqual(memory.cap / 2);
  it.send({ topic: "u", value: "on" });
  await it.until(() => it.values("u").length === 1);
  expect(it.balance()).toMatchObject({ agrees: true });
});

test("the oldest messages that were never sent are given up on demand, and no other", async () => {
  await using it = await testPipeline((settings) => {
    settings.batch.messages = 10;
    settings.batch.requestBytes = 300_000;
    settings.compression.codec = "gzip";
  });
  it.send({ value: "warm" });
  await it.settled();
  const gate = Promise.withResolvers<void>();
  const stuck = it.broker.faults.once("Produce", { kind: "delay", until: gate.promise });
  it.send({ value: "in flight" });
  await stuck.hit;
  for (let index = 0; index < 30; index++) it.send({ value: `${index} ${"x".repeat(50_000)}` });
  await it.until(() => it.balance().received === 32);
  const gone = it.pipeline.dropOldest(100_000);
  expect(gone).toBeGreaterThanOrEqual(100_000);
  gate.resolve();
  await it.settled();
  const dropped = it.pipeline.ledger.topic("t").discardsByReason.get("dropped_oldest") ?? 0;
  expect(dropped).toBeGreaterThan(0);
  // However well they are compressed: in the files they are not.
  expect(dropped).toBeLessThan(10);
  expect(it.values().map((value) => value.slice(0, 9).trim().split(" x")[0])).toEqual([
    ...["warm", "in flight"],
    ...Array.from({ length: 30 - dropped }, (_, index) => `${index + dropped}`),
  ]);
  expect(it.balance()).toMatchObject({ received: 32, held: 0, agrees: true });
});
