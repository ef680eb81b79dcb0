// A topic that changes its standing while batches of it are under way: none stays behind, whatever becomes of it.
import { expect, test } from "bun:test";
import type { Fault } from "../../src/dev/faults.ts";
import { numbered, testPipeline } from "../support/testPipeline.ts";

const FORBIDDEN: Fault = { kind: "error", code: 29, only: [{ topic: "t" }] };

test("a batch in flight while its topic comes to be refused is given up with the others", async () => {
  await using it = await testPipeline((settings) => {
    settings.delivery.unauthorizedTopic = "discard";
  });
  it.send({ value: "warm" });
  await it.settled();
  const silent = it.broker.faults.once("Produce", { kind: "silent" });
  it.send({ value: "x" });
  await silent.hit;
  it.broker.faults.always("Metadata", FORBIDDEN);
  it.pipeline.cluster.refresh("the test forbade the topic");
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "refused");
  await it.settled();
  expect(it.discards).toEqual([{ topic: "t", count: 1, reason: "unauthorized_topic" }]);
  expect(it.balance()).toMatchObject({ received: 2, delivered: 1, discarded: 1, held: 0, agrees: true });
  expect(it.pipeline.around.memory.used).toBe(0);
});

test("a topic that the cluster says is forbidden stays held though a batch of it was still acknowledged", async () => {
  await using it = await testPipeline();
  it.send({ value: "warm" });
  await it.settled();
  const gate = Promise.withResolvers<void>();
  const slow = it.broker.faults.once("Produce", { kind: "delay", until: gate.promise });
  it.send({ value: "x" });
  await slow.hit;
  it.broker.faults.always("Metadata", FORBIDDEN);
  it.pipeline.cluster.refresh("the test forbade the topic");
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
  gate.resolve();
  await it.until(() => it.balance().delivered === 2);
  expect(it.pipeline.topics.get("t")?.standing.kind).toBe("held");
});

test("a topic that a broker refused is tried again although its partition had no leader when it was time to", async () => {
  await using it = await testPipeline();
  const refusal = it.broker.faults.always("Produce", { kind: "error", code: 29 });
  it.send(...numbered(3));
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
  it.broker.setLeader("t", 0, -1);
  it.pipeline.cluster.refresh("the test took the leader away");
  await it.until(() => it.pipeline.topics.get("t")?.partitions[0]?.leader === -1);
  await Bun.sleep(100); // beyond backoff_max: the time to try has come and gone
  refusal.remove();
  it.broker.setLeader("t", 0, 1);
  it.pipeline.cluster.refresh("the test gave it a leader");
  await it.settled();
  expect(it.values()).toEqual(["0", "1", "2"]);
});

test("a topic that a broker refused is tried by others when the partition that was refused has no leader", async () => {
  await using it = await testPipeline();
  it.broker.createTopic("t", 2);
  const refusal = it.broker.faults.always("Produce", { kind: "error", code: 29 });
  it.send({ value: "refused", partitionKey: 0 });
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
  it.send({ value: "held", partitionKey: 1 });
  it.broker.setLeader("t", 0, -1);
  it.pipeline.cluster.refresh("the test took the leader away");
  await it.until(() => it.pipeline.topics.get("t")?.partitions[0]?.leader === -1);
  refusal.remove();
  await it.until(() => it.balance().delivered === 1);
  expect(it.values("t", 1)).toEqual(["held"]);
  it.broker.setLeader("t", 0, 1);
  it.pipeline.cluster.refresh("the test gave it a leader");
  await it.settled();
  expect(it.values("t", 0)).toEqual(["refused"]);
});

test("a topic that a broker refused goes on when the batch that tried again is given up", async () => {
  await using it = await testPipeline();
  it.broker.faults.once("Produce", { kind: "error", code: 44 });
  it.broker.faults.once("Produce", { kind: "error", code: 17 });
  it.send(...numbered(3));
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
  it.send({ value: "next" });
  await it.settled();
  expect(it.discards).toEqual([{ topic: "t", count: 3, reason: "bad_topic" }]);
  expect(it.values()).toEqual(["next"]);
});

test("a topic that a broker refused goes on when its settings then give the batch up", async () => {
  await using it = await testPipeline((settings) => {
    settings.delivery.unauthorizedTopic = "discard";
  });
  it.broker.faults.once("Produce", { kind: "error", code: 44 });
  it.broker.faults.once("Produce", { kind: "error", code: 29 });
  it.send(...numbered(3));
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
  it.send({ value: "next" });
  await it.settled();
  expect(it.values()).toEqual(["next"]);
});

test("a partition whose broker one answer of the cluster left out sends again when it is back", async () => {
  await using it = await testPipeline(() => {}, { brokers: 2 });
  it.broker.createTopic("x", 1, () => 1);
  it.broker.createTopic("y", 1, () => 2);
  it.send({ topic: "x", value: "warm" }, { topic: "y", value: "warm", partitionKey: 0 });
  await it.settled();
  // The answers without the broker say nothing of the topic, so its leader never changes.
  const only = [{ topic: "y" }];
  const puzzle = it.broker.faults.always({ api: "Metadata", topic: "y" }, { kind: "error", code: 5, only });
  it.broker.stopNode(2);
  it.pipeline.cluster.refresh("the test stopped a broker");
  await it.until(() => it.pipeline.cluster.broker(2) === undefined);
  it.send({ topic: "y", value: "late", partitionKey: 0 }, { topic: "x", value: "on" });
  await it.until(() => it.values("x").length === 2);
  it.broker.startNode(2);
  puzzle.remove();
  it.pipeline.cluster.refresh("the test started it again");
  await it.settled();
  expect(it.values("y")).toEqual(["warm", "late"]);
});

test("messages of a topic beyond the accounts are given up on record at a stop", async () => {
  await using it = await testPipeline((settings) => {
    settings.buffer.maxTopics = 1;
  });
  it.pipeline.settlement.rejected("made-up", 1, "too_large");
  it.broker.faults.always("Produce", { kind: "silent" });
  it.send({ value: "x" });
  await it.until(() => it.balance().received === 2);
  expect(it.pipeline.stop()).toBe(1);
  expect(it.balance()).toMatchObject({ received: 2, discarded: 2, held: 0 });
});
