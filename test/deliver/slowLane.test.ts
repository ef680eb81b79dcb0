// What the slow lane sends, and who takes a batch that may go to any partition while some of them are slow.
import { expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import { testPipeline } from "../support/testPipeline.ts";
import { freeze, replicatedTopic } from "./freeze.ts";

const patient = (settings: Settings) => {
  settings.kafka.requestTimeout = 60_000;
  settings.batch.bytes = 1_000;
};
const large = "x".repeat(2_000);

test("a partition that comes to stand in the slow lane's line while it sends keeps its place", async () => {
  const replicas = [
    [1, 2],
    [1, 2],
    [1, 2],
  ];
  await using it = await testPipeline((settings) => {
    patient(settings);
    settings.topics.push({ pattern: "t", overrides: { partitioner: "round-robin" } });
  });
  replicatedTopic(it.broker, "t", replicas);
  it.send({ value: "warm", partitionKey: 0 });
  await it.settled();
  const frozen = freeze(it.broker, replicas, 2);
  it.send({ value: "late", partitionKey: 0 });
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  await it.until(() => broker?.slowSets().some(({ pace }) => pace === "stuck") ?? false);
  // Both keyed ones are older than the one for any, which is due first: 1 stands in line for it, and takes its own.
  it.send({ value: "own", partitionKey: 0 }, { value: "own", partitionKey: 1 }, { value: large });
  await it.until(() => it.pipeline.topics.get("t")?.partitions[1]?.keyed.due ?? false);
  frozen.thaw();
  it.send({ value: "more", partitionKey: 2 });
  await it.settled();
  expect(it.values("t", 2)).toContain("more");
});

test("a batch for any partition goes to one that is quick when the one that was to take it turns out slow", async () => {
  const replicas = [[1, 2], [1, 2], [1]];
  await using it = await testPipeline((settings) => {
    patient(settings);
    settings.kafka.maxInFlight = 1;
    settings.topics.push({ pattern: "t", overrides: { partitioner: "round-robin" } });
  });
  replicatedTopic(it.broker, "t", replicas);
  it.send({ value: "warm", partitionKey: 0 });
  await it.settled();
  const frozen = freeze(it.broker, replicas, 2);
  it.send({ value: "late", partitionKey: 0 });
  await frozen.hit;
  it.send({ value: "any" });
  await it.until(() => it.balance().delivered === 2);
  expect(it.values("t", 2)).toEqual(["any"]);
  frozen.thaw();
  await it.settled();
});

test("a batch for any partition leaves the slow lane's line when there is a quick one again", async () => {
  const replicas = [
    [1, 2],
    [1, 2],
    [1, 3],
  ];
  await using it = await testPipeline((settings) => {
    patient(settings);
    settings.topics.push({ pattern: "t", overrides: { partitioner: "round-robin" } });
  });
  for (const topic of ["t", "u"]) replicatedTopic(it.broker, topic, replicas);
  it.send({ value: "warm", partitionKey: 0 }, { value: "warm", topic: "u" });
  await it.settled();
  const frozen = freeze(it.broker, replicas, 2);
  const other = freeze(it.broker, replicas, 3);
  it.send(...[0, 2].map((partitionKey) => ({ value: "late", topic: "u", partitionKey })));
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  await it.until(() => broker?.slowSets().length === 2 && broker.slow.line.length === 1);
  const [first] = it.pipeline.topics.get("t")?.partitions ?? [];
  it.send({ value: "any" });
  await it.until(() => broker?.slow.line.some(({ partition }) => partition === first) ?? false);
  other.thaw();
  await it.until(() => it.balance().delivered === 4);
  expect(it.values("t", 2)).toEqual(["any"]);
  frozen.thaw();
  await it.settled();
});

test("what failed once goes by the fast lane when the slow one gets no connection", async () => {
  await using it = await testPipeline(patient);
  it.broker.createTopic("t", 2);
  it.send({ value: "warm", partitionKey: 0 });
  await it.settled();
  const refused = it.broker.faults.always("Connect", { kind: "cut" });
  it.broker.faults.once("Produce", { kind: "error", code: 19 });
  it.send({ value: "again", partitionKey: 0 });
  await it.settled();
  expect(refused.hits).toBeGreaterThan(0);
  expect(it.values("t", 0)).toEqual(["warm", "again"]);
});

test("and the other way round: one connection does for both, whichever it is", async () => {
  await using it = await testPipeline();
  it.broker.createTopic("t", 1);
  it.send({ value: "warm", partitionKey: 0 });
  await it.settled();
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  it.broker.faults.once("Produce", { kind: "silent" });
  it.send({ value: "late", partitionKey: 0 });
  await it.until(() => broker?.slow.state.kind === "open");
  it.broker.faults.always("Connect", { kind: "cut" });
  it.send({ value: "more", partitionKey: 0 });
  await it.settled();
  expect(it.values("t", 0)).toEqual(["warm", "late", "more"]);
});

test("also when it timed out", async () => {
  await using it = await testPipeline(patient);
  it.broker.createTopic("t", 1);
  it.send({ value: "warm", partitionKey: 0 });
  await it.settled();
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  it.broker.faults.always("Connect", { kind: "cut" });
  for (const set of broker?.sets() ?? []) broker?.judge(set, "suspect");
  it.send({ value: "more", partitionKey: 0 });
  await it.settled();
  expect(it.values("t", 0)).toEqual(["warm", "more"]);
});
