// A follower that is frozen, a leader that is slow: who has to wait, and for how long. Nothing is lost or twice meanwhile.
import { expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import { mortal } from "../support/mortalPipeline.ts";
import { type TestMessage, testPipeline } from "../support/testPipeline.ts";
import { freeze, replicatedTopic } from "./freeze.ts";

/** Partitions 0 and 3 are on the same brokers; only 1 is on 3. */
const REPLICAS = [[1, 2], [1, 3], [1], [1, 2]];
const patient = (settings: Settings) => {
  settings.kafka.requestTimeout = 60_000;
};
const oneEach = (value: string, partitions = [0, 1, 2, 3]): TestMessage[] =>
  partitions.map((partitionKey) => ({ value, partitionKey }));

test("a partition whose follower is frozen delays no other, not even those that were sent with it", async () => {
  await using it = await testPipeline(patient);
  replicatedTopic(it.broker, "t", REPLICAS);
  it.send(...oneEach("warm"));
  await it.settled();
  const frozen = freeze(it.broker, REPLICAS, 3);
  it.send(...oneEach("first", [0, 1, 2]));
  await frozen.hit;
  it.send(...oneEach("second"));
  await it.until(() => it.balance().delivered === 4 + 2 + 3);
  it.send(...oneEach("third"));
  await it.until(() => it.balance().delivered === 4 + 2 + 3 + 3);
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  expect(broker?.slowSets().map(({ followers }) => followers)).toEqual([[3]]);
  expect(broker?.fast.state.kind).toBe("open");
  frozen.thaw();
  await it.settled();
  for (const partition of [0, 1, 2]) expect(it.values("t", partition)).toEqual(["warm", "first", "second", "third"]);
  expect(it.values("t", 3)).toEqual(["warm", "second", "third"]);
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  it.send(...oneEach("fourth"));
  await it.settled();
  expect(broker?.slowSets()).toEqual([]);
});

test("without idempotence nothing is sent twice, and what was not sent with it goes on", async () => {
  await using it = await testPipeline((settings) => {
    patient(settings);
    settings.kafka.idempotence = false;
  });
  replicatedTopic(it.broker, "t", REPLICAS);
  it.send(...oneEach("warm"));
  await it.settled();
  const frozen = freeze(it.broker, REPLICAS, 3);
  it.send(...oneEach("first", [0, 1]));
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  await it.until(() => broker?.slow.late ?? false);
  it.send(...oneEach("second", [2, 3]));
  await it.until(() => it.balance().delivered === 4 + 2);
  it.send(...oneEach("third", [2, 3]));
  await it.until(() => it.balance().delivered === 4 + 4);
  expect(frozen.hits).toBe(1);
  frozen.thaw();
  await it.settled();
  for (const partition of [0, 1]) expect(it.values("t", partition)).toEqual(["warm", "first"]);
  for (const partition of [2, 3]) expect(it.values("t", partition)).toEqual(["warm", "second", "third"]);
});

test("messages for any partition go where they need not wait", async () => {
  await using it = await testPipeline(patient);
  replicatedTopic(it.broker, "t", REPLICAS);
  it.send(...oneEach("warm"));
  await it.settled();
  const frozen = freeze(it.broker, REPLICAS, 3);
  it.send(...oneEach("keyed", [0, 1]));
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  await it.until(() => broker?.slowSets().some(({ pace }) => pace === "stuck") ?? false);
  for (let count = 1; count <= 20; count++) {
    it.send({ value: `any ${count}` });
    await it.until(() => it.balance().delivered === 4 + 1 + count);
  }
  expect(it.values("t", 1)).toEqual(["warm", "keyed"]);
  frozen.thaw();
  await it.settled();
});

test("a broker that is slow in general gets no more than a few repetitions", async () => {
  await using it = await testPipeline(patient);
  replicatedTopic(it.broker, "t", REPLICAS);
  it.send(...oneEach("warm"));
  await it.settled();
  const gate = Promise.withResolvers<void>();
  const slow = it.broker.faults.always("Produce", { kind: "delay", until: gate.promise });
  it.send(...oneEach("late"));
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  const stuck = () => broker?.slowSets().filter(({ pace }) => pace === "stuck").length;
  await it.until(() => stuck() === 3);
  const sent = slow.hits;
  // Nothing else follows from being late for longer.
  await Bun.sleep(500);
  expect(slow.hits).toBe(sent);
  expect(sent).toBeLessThanOrEqual(2 + 3 + 1);
  slow.remove();
  gate.resolve();
  await it.settled();
  for (const partition of [0, 1, 2, 3]) expect(it.values("t", partition)).toEqual(["warm", "late"]);
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
});

test("a partition whose request timed out is tried by itself, and quick again when it is answered at once", async () => {
  await using it = await testPipeline();
  replicatedTopic(it.broker, "t", REPLICAS);
  it.send(...oneEach("warm"));
  await it.settled();
  const frozen = freeze(it.broker, REPLICAS, 3);
  it.send(...oneEach("late", [0, 1]));
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  await it.until(() => it.balance().delivered === 5);
  expect(broker?.slowSets().map(({ followers }) => followers)).toEqual([[3]]);
  frozen.thaw();
  await it.settled();
  it.send(...oneEach("more", [1]));
  await it.settled();
  expect(broker?.slowSets()).toEqual([]);
  expect(it.values("t", 1)).toEqual(["warm", "late", "more"]);
});

test("whichever follower freezes when, and however often, all arrives once and in order, and the journal agrees", async () => {
  const replicas = [[1, 2], [1, 3], [1, 4], [1], [1, 2, 3], [1, 2]];
  await using it = await mortal();
  replicatedTopic(it.broker, "t", replicas);
  let life = it.live(patient);
  let sent = 0;
  const sendToAll = () => {
    for (const partitionKey of replicas.keys()) it.append({ value: `${sent}`, partitionKey });
    sent++;
  };
  sendToAll();
  await life.settled();
  for (const node of [3, 2, 4, 3]) {
    const frozen = freeze(it.broker, replicas, node);
    sendToAll();
    await frozen.hit;
    sendToAll();
    const delivered = () => life.pipeline.ledger.total.delivered;
    const stuck = replicas.filter((nodes) => nodes.includes(node)).length;
    const before = delivered();
    while (delivered() < before + (replicas.length - stuck)) await Bun.sleep(1);
    if (node === 4) {
      life.kill();
      life = it.live(patient);
    }
    frozen.thaw();
    await life.settled();
  }
  const all = Array.from({ length: sent }, (_, index) => `${index}`);
  for (const partition of replicas.keys()) expect(it.values("t", partition)).toEqual(all);
});
