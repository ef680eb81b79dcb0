// What cannot be delivered waits in a log of its own, delays nothing else, and is delivered in order when it can be.
import { describe, expect, test } from "bun:test";
import type { Fault } from "../../src/dev/faults.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { numbered, type TestPipeline, testPipeline } from "../support/testPipeline.ts";

const FORBIDDEN: Fault = { kind: "error", code: 29, only: [{ topic: "t" }] };
/** Soon enough for a test to wait for. */
const SOON = { times: { after: 50, gone: 100, every: 10 } };

function heldLogs(cap = 1 << 30) {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  const held = new HeldLogs({
    ...{ files, directory: "/held", directoryId: "0".repeat(32), cap, segment: 1 << 20 },
    onLost: (topic, count) => {
      throw new Error(`${count} messages of ${topic} are lost`);
    },
  });
  return { files, held };
}

/** Everything is on disk that is held. */
const onDisk = (it: TestPipeline, held: HeldLogs) =>
  it.until(() => held.unsettled > 0 && held.unsettled === it.balance().held);

const from = (first: number, count: number, more = {}) =>
  Array.from({ length: count }, (_, index) => ({ topic: "t", value: `${first + index}`, ...more }));
const values = (count: number) => numbered(count).map(({ value }) => value);

describe("a topic that does not exist", () => {
  test.concurrent("waits on disk, takes no memory, and is delivered in order once it is made", async () => {
    const { held, files } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.kafka.autoCreateTopics = false;
      },
      {},
      { held },
    );
    it.broker.createTopic("there");
    it.send(...from(0, 100), ...numbered(30, { topic: "there" }));
    await it.until(() => it.balance().delivered === 30);
    it.send(...from(100, 100));
    await it.until(() => it.balance().received === 230);
    await onDisk(it, held);
    expect(it.balance()).toEqual({ received: 230, delivered: 30, held: 200, discarded: 0, agrees: true });
    expect(it.pipeline.topics.get("t")?.memory).toBe(0);
    expect(held.reports()).toMatchObject([{ topic: "t", partition: null, messages: 200 }]);
    it.broker.createTopic("t");
    it.pipeline.cluster.refresh("the test made the topic");
    it.send(...from(200, 100));
    await it.settled();
    expect(it.values("t")).toEqual(values(300));
    held.drop(held.garbage());
    expect([held.bytes, files.list("/held"), it.pipeline.around.memory.used]).toEqual([0, [], 0]);
  });

  test.concurrent("drops its newest, and only its own, when the disk for it and the memory are used up", async () => {
    const { held } = heldLogs(1 << 18);
    await using it = await testPipeline(
      (settings) => {
        settings.kafka.autoCreateTopics = false;
        settings.buffer.memory = 1 << 20;
      },
      {},
      { held },
    );
    it.broker.createTopic("there");
    const value = (index: number) => `${index} ${"x".repeat(10_000)}`;
    for (let round = 0; round < 80; round++) {
      it.send({ topic: "t", value: value(round) }, { topic: "there", value: `${round}` });
      await it.until(() => it.balance().received === (round + 1) * 2);
    }
    await it.until(() => it.values("there").length === 80);
    const { discarded, discardsByReason } = it.pipeline.ledger.topic("t");
    expect(discardsByReason.get("held_full")).toBe(discarded);
    expect(discarded).toBeGreaterThan(10);
    expect(discarded).toBeLessThan(60);
    expect(held.bytes).toBeLessThanOrEqual(1 << 18);
    it.broker.createTopic("t");
    it.pipeline.cluster.refresh("the test made the topic");
    await it.settled();
    expect(it.values("t")).toEqual(Array.from({ length: 80 - discarded }, (_, index) => value(index)));
    expect(it.balance()).toMatchObject({ held: 0, agrees: true });
  });

  test.concurrent("has what is on disk given up when its settings say so after all", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.delivery.unauthorizedTopic = "discard";
        settings.kafka.autoCreateTopics = false;
      },
      {},
      { held },
    );
    it.send(...from(0, 50));
    await onDisk(it, held);
    it.broker.faults.always("Metadata", FORBIDDEN);
    it.pipeline.cluster.refresh("the test forbade the topic");
    await it.settled();
    expect(it.discards.reduce((sum, { count }) => sum + count, 0)).toBe(50);
    expect(new Set(it.discards.map(({ reason }) => reason))).toEqual(new Set(["unauthorized_topic"]));
    expect(it.balance()).toMatchObject({ received: 50, discarded: 50, held: 0, agrees: true });
  });
});

describe("a topic that a broker refuses", () => {
  test("again and again, in the middle of what comes back: keeps each partition's order, and repeats nothing", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.batch.messages = 7;
      },
      {},
      { held },
    );
    it.broker.createTopic("t", 3);
    const sent: string[][] = [[], [], []];
    let next = 0;
    const some = (count: number) =>
      it.send(
        ...Array.from({ length: count }, () => {
          const value = `${next}`;
          const partitionKey = next++ % 3;
          sent[partitionKey]?.push(value);
          return { value, partitionKey };
        }),
      );
    some(30);
    await it.settled();
    for (let round = 0; round < 6; round++) {
      const refusal = it.broker.faults.always("Produce", { kind: "error", code: 29 });
      some(200);
      await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
      some(100);
      await it.until(() => it.balance().received === next);
      refusal.remove();
      const before = it.balance().delivered;
      await it.until(() => it.balance().delivered > before + round * 20);
    }
    await it.settled();
    expect([0, 1, 2].map((partition) => it.values("t", partition))).toEqual(sent);
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
    expect(it.balance()).toMatchObject({ received: next, delivered: next, held: 0, agrees: true });
  });

  test.concurrent("gives back to disk what waited in batches", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.batch.messages = 10;
        settings.delivery.backoffMax = 5_000;
      },
      {},
      { held },
    );
    it.send({ value: "warm" });
    await it.settled();
    const gate = Promise.withResolvers<void>();
    const refusal = it.broker.faults.always("Produce", {
      ...{ kind: "delay", until: gate.promise },
      andThen: { kind: "error", code: 29 },
    });
    it.send(...from(0, 50));
    await refusal.hit;
    it.send(...from(50, 950));
    await it.until(() => it.balance().received === 1001);
    gate.resolve();
    // The refused batch stays, and is what tries again.
    await it.until(() => held.unsettled > 0 && it.pipeline.topics.get("t")?.any.empty === true);
    expect(held.unsettled).toBeGreaterThan(900);
    refusal.remove();
    await it.settled();
    expect(it.values()).toEqual(["warm", ...values(1000)]);
  });
});

describe("a partition out of reach", () => {
  test("without a leader waits apart, while others and other topics flow, and comes back in order", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(() => {}, {}, { held, hold: SOON });
    it.broker.createTopic("t", 2);
    it.broker.setLeader("t", 1, -1);
    it.send(...numbered(100).map((message, index) => ({ ...message, partitionKey: index % 2 })), { value: "any" });
    const partition = () => it.pipeline.topics.get("t")?.partitions[1];
    await it.until(() => it.balance().delivered === 51 && partition()?.parked !== undefined);
    it.send(...from(100, 100).map((message, index) => ({ ...message, partitionKey: index % 2 })));
    it.send(...numbered(10, { topic: "other" }));
    await it.until(() => it.balance().delivered === 111 && held.unsettled === 50);
    expect(held.reports()).toMatchObject([{ topic: "t", partition: 1, reason: "it has no leader" }]);
    it.broker.setLeader("t", 1, 1);
    it.pipeline.cluster.refresh("the test gave it a leader");
    await it.settled();
    expect(it.values("t", 1)).toEqual(values(200).filter((value) => Number(value) % 2 === 1));
    expect(it.balance()).toMatchObject({ held: 0, agrees: true });
    expect(it.pipeline.around.memory.used).toBe(0);
  });

  test("because its broker is down waits apart while another is up", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(() => {}, { brokers: 2 }, { held, hold: SOON });
    it.broker.createTopic("t", 2, (partition) => partition + 1);
    it.broker.createTopic("u", 1, () => 1);
    it.send(...from(0, 2).map((message, partitionKey) => ({ ...message, partitionKey })), { topic: "u", value: "-1" });
    await it.settled();
    it.broker.stopNode(2);
    let sent = 2;
    for (let round = 0; held.unsettled < 20; round++) {
      it.send(...from(sent, 2).map((message, partitionKey) => ({ ...message, partitionKey })), {
        ...{ topic: "u", value: `${round}` },
      });
      sent += 2;
      await it.until(() => it.values("u").length === round + 2);
    }
    it.broker.startNode(2);
    await it.settled();
    for (const partition of [0, 1])
      expect(it.values("t", partition)).toEqual(values(sent).filter((value) => Number(value) % 2 === partition));
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });

  test("waits apart at once when it would use up the memory of others, and loses nothing", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.buffer.memory = 2 << 20;
      },
      {},
      { held, hold: { times: { after: 3_600_000 } } },
    );
    it.broker.createTopic("t", 2);
    it.broker.setLeader("t", 1, -1);
    const value = (index: number) => `${index} ${crypto.randomUUID().repeat(30)}`;
    const sent: string[] = [];
    for (let index = 0; index < 4000; index++) {
      sent.push(value(index));
      const message = { value: sent[index] as string, partitionKey: 1 };
      await it.until(() => it.send(message, { topic: "u", value: `${index}` }));
    }
    await it.until(() => it.balance().delivered === 4000);
    expect(it.balance()).toMatchObject({ delivered: 4000, held: 4000, discarded: 0 });
    it.broker.setLeader("t", 1, 1);
    it.pipeline.cluster.refresh("the test gave it a leader");
    await it.settled();
    expect(it.values("t", 1)).toEqual(sent);
  });

  test("holds the topic when none of its partitions can be reached", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(() => {}, {}, { held, hold: SOON });
    it.broker.createTopic("t", 2);
    for (const partition of [0, 1]) it.broker.setLeader("t", partition, -1);
    it.send(...from(0, 20), { topic: "u", value: "fine" });
    await it.until(() => it.pipeline.topics.get("t")?.parked !== undefined);
    it.send(...from(20, 20));
    await it.until(() => held.unsettled > 0);
    it.broker.setLeader("t", 0, 1);
    it.pipeline.cluster.refresh("the test gave it a leader");
    await it.settled();
    expect(it.values("t", 0)).toEqual(values(40));
  });

  test("that is no more gives what waits for it to the others", async () => {
    const { held } = heldLogs();
    await using it = await testPipeline(() => {}, {}, { held, hold: SOON });
    it.broker.createTopic("t", 3);
    it.send({ value: "warm", partitionKey: 2 });
    await it.settled();
    it.broker.setLeader("t", 2, -1);
    it.pipeline.cluster.refresh("the test took the leader away");
    const topic = it.pipeline.topics.get("t");
    await it.until(() => topic?.partitions[2]?.leader === -1);
    it.send(...from(0, 10, { partitionKey: 2 }));
    await it.until(() => topic?.partitions[2]?.parked !== undefined);
    it.send(...from(10, 10, { partitionKey: 2 }));
    await it.until(() => held.unsettled > 0);
    it.broker.deleteTopic("t");
    it.broker.createTopic("t", 2);
    it.pipeline.cluster.refresh("the test made the topic anew");
    await it.settled();
    expect(it.values("t", 0)).toEqual(values(20));
  });
});

test.concurrent("a disk that fails keeps what is held in memory, and takes it when it works again", async () => {
  const { held, files } = heldLogs();
  await using it = await testPipeline(
    (settings) => {
      settings.kafka.autoCreateTopics = false;
    },
    {},
    { held },
  );
  files.readOnly = true;
  it.send(...from(0, 50));
  await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held" && it.balance().received === 50);
  expect(held.unsettled).toBe(0);
  files.readOnly = false;
  await onDisk(it, held);
  files.setFaults({ writeError: 0.5, shortWrite: 0.5 });
  it.send(...from(50, 50));
  await onDisk(it, held);
  it.broker.createTopic("t");
  it.pipeline.cluster.refresh("the test made the topic");
  await it.settled();
  expect(it.values("t")).toEqual(values(100));
});
