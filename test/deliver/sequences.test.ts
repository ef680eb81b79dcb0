// What a broker may have under a sequence is never mistaken for something else: it acknowledges a repetition unread.
import { expect, test } from "bun:test";
import { numbered, testPipeline } from "../support/testPipeline.ts";

test("a batch that follows one given up, which the broker may have, is not taken for its repetition", async () => {
  await using it = await testPipeline((settings) => {
    settings.delivery.unauthorizedTopic = "discard";
  });
  it.broker.faults.once("Produce", { kind: "cut", append: true });
  it.broker.faults.once("Produce", { kind: "error", code: 29 });
  it.send(...numbered(3));
  await it.settled();
  expect(it.discards).toEqual([{ topic: "t", count: 3, reason: "unauthorized_topic" }]);
  it.send({ value: "a" }, { value: "b" }, { value: "c" });
  await it.settled();
  expect(it.values().slice(-3)).toEqual(["a", "b", "c"]);
});

test("a batch that follows one whose parts were given up is not taken for its repetition either", async () => {
  await using it = await testPipeline();
  it.broker.faults.once("Produce", { kind: "cut", append: true });
  it.broker.faults.times(3, "Produce", { kind: "error", code: 10 });
  it.send({ value: "0" }, { value: "1" });
  await it.settled();
  expect(it.discards.map(({ reason }) => reason)).toEqual(["too_large", "too_large"]);
  it.send({ value: "a" }, { value: "b" });
  await it.settled();
  expect(it.values().slice(-2)).toEqual(["a", "b"]);
});

test("a batch too old for its sequence gets a new producer id, not the first sequence of the old one", async () => {
  await using it = await testPipeline((settings) => {
    settings.kafka.producerIdExpiration = 200;
  });
  it.send({ value: "first" });
  await it.settled();
  it.broker.faults.once("Produce", { kind: "silent" });
  it.send({ value: "second" });
  await it.settled();
  expect(it.values()).toEqual(["first", "second"]);
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(1);
});

test("a batch that was refused for long is no possible duplicate: no broker has it", async () => {
  await using it = await testPipeline((settings) => {
    settings.kafka.producerIdExpiration = 60;
  });
  const refusals = it.broker.faults.times(5, "Produce", { kind: "error", code: 29 });
  it.send({ value: "refused" });
  await refusals.done;
  await it.settled();
  expect(it.values()).toEqual(["refused"]);
  expect(it.broker.requests.InitProducerId).toBeGreaterThan(1);
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
});

test("a partition that one answer of the cluster left out goes on with its sequence", async () => {
  await using it = await testPipeline();
  it.broker.createTopic("t", 2);
  it.send({ value: "before", partitionKey: 1 });
  await it.settled();
  const topic = it.pipeline.topics.get("t");
  const partitions = (count: number) => Array.from({ length: count }, (_, id) => ({ id, leader: 1 }));
  for (const count of [1, 2]) {
    topic?.setPartitions(partitions(count));
    if (topic !== undefined) it.pipeline.dispatcher.clusterChanged([topic]);
  }
  it.send({ value: "after", partitionKey: 1 });
  await it.settled();
  expect(it.values("t", 1)).toEqual(["before", "after"]);
});

test("what waits for a partition that is gone goes out when it is back, and new messages count only those there", async () => {
  await using it = await testPipeline();
  it.broker.createTopic("t", 3);
  it.send({ value: "warm", partitionKey: 2 });
  await it.settled();
  const retry = it.broker.faults.once({ api: "Produce", partition: 2 }, { kind: "error", code: 19 });
  it.send({ value: "late", partitionKey: 2 });
  await retry.done;
  const topic = it.pipeline.topics.get("t");
  const partitions = (count: number) => Array.from({ length: count }, (_, id) => ({ id, leader: 1 }));
  topic?.setPartitions(partitions(2));
  if (topic !== undefined) it.pipeline.dispatcher.clusterChanged([topic]);
  it.send({ value: "two of two", partitionKey: 2 });
  await it.until(() => it.values("t", 0).length === 1);
  topic?.setPartitions(partitions(3));
  if (topic !== undefined) it.pipeline.dispatcher.clusterChanged([topic]);
  await it.settled();
  expect([it.values("t", 0), it.values("t", 2)]).toEqual([["two of two"], ["warm", "late"]]);
});

test("a producer id of one cluster is not used with another", async () => {
  await using it = await testPipeline();
  it.broker.createTopic("t", 2);
  it.send({ value: "here", partitionKey: 0 });
  await it.settled();
  expect(it.broker.requests.InitProducerId).toBe(1);
  const { cluster } = it.pipeline;
  cluster.clusterId = "another";
  it.send({ value: "there", partitionKey: 0 });
  await it.settled();
  it.send({ value: "there", partitionKey: 1 });
  await it.settled();
  expect(it.broker.requests.InitProducerId).toBe(2);
  expect([it.values("t", 0), it.values("t", 1)]).toEqual([["here", "there"], ["there"]]);
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
});
