// A partition that cannot be reached: what is for it waits, or goes to the next one, as the topic's settings say.
import { expect, test } from "bun:test";
import { murmur2Index } from "../../src/route/partitioner.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { type TestPipeline, testPipeline } from "../support/testPipeline.ts";

/** Soon enough for a test to wait for. */
const SOON = { times: { after: 50, gone: 100, every: 10 } };

function heldLogs() {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  return new HeldLogs({ files, directory: "/held", directoryId: "0".repeat(32), cap: 1 << 30, segment: 1 << 20 });
}

async function leader(it: TestPipeline, partition: number, node: number): Promise<void> {
  it.broker.setLeader("t", partition, node);
  it.pipeline.cluster.refresh("the test moved a leader");
  await it.until(() => it.pipeline.topics.get("t")?.partitions[partition]?.leader === node);
}

const from = (first: number, count: number, more = {}) =>
  Array.from({ length: count }, (_, index) => ({ topic: "t", value: `${first + index}`, ...more }));
const numbers = (values: string[]) => values.map(Number).sort((a, b) => a - b);
const range = (first: number, count: number) => Array.from({ length: count }, (_, index) => first + index);

for (const disk of [true, false]) {
  const where = disk ? "on disk" : "in memory";

  test(`next: what was in its batches already goes elsewhere too (${where})`, async () => {
    const held = disk ? heldLogs() : undefined;
    await using it = await testPipeline(
      (settings) => {
        settings.delivery.onUnavailable = "next";
        settings.batch.messages = 7;
      },
      {},
      { ...(held && { held }), hold: SOON },
    );
    it.broker.createTopic("t", 3);
    it.send({ topic: "t", value: "-1", partitionKey: 1 });
    await it.settled();
    const gate = Promise.withResolvers<void>();
    const stuck = it.broker.faults.always({ api: "Produce", partition: 1 }, { kind: "delay", until: gate.promise });
    it.send(...from(0, 7, { partitionKey: 1 }));
    await stuck.hit;
    it.send(...from(7, 53, { partitionKey: 1 }));
    await it.until(() => it.balance().received === 61);
    await leader(it, 1, -1);
    it.send(...from(60, 20, { partitionKey: 1 }), ...from(80, 20, { partitionKey: 2 }));
    // What is in flight may be there, and stays.
    await it.until(() => it.balance().delivered === 101 - 7);
    expect(numbers([...it.values("t", 0), ...it.values("t", 2)])).toEqual(range(7, 93));
    expect(it.balance()).toMatchObject({ discarded: 0, agrees: true });
    gate.resolve();
    stuck.remove();
    await leader(it, 1, 1);
    await it.settled();
    expect(numbers([0, 1, 2].flatMap((id) => it.values("t", id)))).toEqual(range(-1, 101));
    expect([it.pipeline.around.memory.used, it.pipeline.around.heldMemory.used]).toEqual([0, 0]);
  });
}

test("next: what waits apart goes as soon as the settings say so, and what its key brought there stays", async () => {
  await using it = await testPipeline(
    (settings) => {
      settings.topics.push({ pattern: "t", overrides: { partitioner: "murmur2" } });
    },
    {},
    { held: heldLogs(), hold: SOON },
  );
  it.broker.createTopic("t", 3);
  it.send({ topic: "t", value: "-1", partitionKey: 1 });
  await it.settled();
  await leader(it, 1, -1);
  it.send(...from(0, 40, { partitionKey: 1 }));
  await it.until(() => it.pipeline.topics.get("t")?.partitions[1]?.parked !== undefined);
  it.send(...from(40, 20, { partitionKey: 1 }));
  const [key] = range(0, 9).filter((each) => murmur2Index(Buffer.from(`${each}`), 0, 1, 3) === 1);
  it.send(...from(60, 20, { key: `${key}` }));
  await it.until(() => it.balance().received === 81);
  it.settings.topics[0] = { pattern: "t", overrides: { partitioner: "murmur2", onUnavailable: "next" } };
  it.pipeline.topicSettingsChanged();
  await it.until(() => it.balance().delivered === 61);
  expect(it.values("t", 1)).toEqual(["-1"]);
  await leader(it, 1, 1);
  await it.settled();
  expect(numbers(it.values("t", 1))).toEqual([-1, ...range(60, 20)]);
  expect(numbers([...it.values("t", 0), ...it.values("t", 2)])).toEqual(range(0, 60));
});

test("wait: nothing goes elsewhere, and its order is kept", async () => {
  await using it = await testPipeline(() => {}, {}, { held: heldLogs(), hold: SOON });
  it.broker.createTopic("t", 3);
  it.send({ topic: "t", value: "-1", partitionKey: 1 });
  await it.settled();
  await leader(it, 1, -1);
  it.send(...from(0, 40, { partitionKey: 1 }), ...from(100, 5, { partitionKey: 2 }));
  await it.until(() => it.pipeline.topics.get("t")?.partitions[1]?.parked !== undefined);
  it.send(...from(40, 40, { partitionKey: 1 }), ...from(105, 5, { partitionKey: 2 }));
  await it.until(() => it.values("t", 2).length === 10);
  await leader(it, 1, 1);
  await it.settled();
  expect(it.values("t", 1).map(Number)).toEqual(range(-1, 81));
  expect(it.values("t", 0)).toEqual([]);
});

test("what was for a partition that is no more goes to others, also among what came for them meanwhile", async () => {
  await using it = await testPipeline(
    (settings) => {
      settings.batch.messages = 5;
      settings.batch.linger = 3_600_000;
    },
    {},
    { hold: SOON },
  );
  it.broker.createTopic("t", 3);
  it.send(...from(-5, 5, { partitionKey: 2 }));
  await it.settled();
  const topic = it.pipeline.topics.get("t");
  it.send(...from(0, 3, { partitionKey: 2 }), ...from(3, 3, { partitionKey: 0 }));
  await it.until(() => it.balance().received === 11);
  topic?.setPartitions([0, 1].map((id) => ({ id, leader: 1 })));
  if (topic !== undefined) it.pipeline.dispatcher.clusterChanged([topic]);
  await it.until(() => it.balance().held === 6 && topic?.ensurePartition(2).keyed.empty === true);
  for (const at of it.pipeline.topics.values()) at.hurry();
  await it.settled();
  expect(numbers(it.values("t", 0))).toEqual(range(0, 6));
  expect(it.balance()).toMatchObject({ delivered: 11, discarded: 0, agrees: true });
});
