// What a topic's rate_limit and max_age do to messages, wherever these are.
import { describe, expect, test } from "bun:test";
import type { Fault } from "../../src/dev/faults.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { type TestPipeline, testPipeline } from "../support/testPipeline.ts";

const START = Date.UTC(2026, 10, 22, 12);
const SOON = { times: { after: 50, gone: 100, every: 10 } };

/** Time that passes when the test says so. */
function clocks() {
  const at = { now: START };
  return {
    pass: (ms: number) => {
      at.now += ms;
    },
    wall: () => at.now,
    monotonic: () => at.now - START,
  };
}

function heldLogs(wallClock: () => number = Date.now) {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  const held = new HeldLogs({
    ...{ files, directory: "/held", directoryId: "0".repeat(32), cap: 1 << 30, segment: 1 << 20, wallClock },
  });
  return { files, held };
}

const from = (first: number, count: number, more = {}) =>
  Array.from({ length: count }, (_, index) => ({ topic: "t", value: `${first + index}`, ...more }));
const strings = (first: number, count: number) => Array.from({ length: count }, (_, index) => `${first + index}`);

/** Messages of each reason, by the listener; and these must be those of the ledger. */
function reasons(it: TestPipeline, topic = "t"): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const each of it.discards) if (each.topic === topic) sums[each.reason] = (sums[each.reason] ?? 0) + each.count;
  expect(Object.fromEntries(it.pipeline.ledger.topic(topic).discardsByReason)).toEqual(sums);
  return sums;
}

describe("rate_limit", () => {
  test.concurrent("discards what comes beyond it in an interval, per topic, and delivers the rest in order", async () => {
    const time = clocks();
    await using it = await testPipeline(
      (settings) => {
        settings.topics.push({ pattern: "t*", overrides: { rateLimit: { count: 10, interval: 1000 } } });
      },
      {},
      { ageClocks: time },
    );
    it.send(...from(0, 15), ...from(0, 4, { topic: "t2" }), ...from(0, 50, { topic: "free" }));
    time.pass(999);
    it.send(...from(15, 1), ...from(4, 10, { topic: "t2" }));
    time.pass(1);
    it.send(...from(16, 12));
    await it.settled();
    expect(it.values("t")).toEqual([...strings(0, 10), ...strings(16, 10)]);
    expect(it.values("t2")).toEqual(strings(0, 10));
    expect(it.values("free").length).toBe(50);
    expect([reasons(it), reasons(it, "t2")]).toEqual([{ rate_limited: 8 }, { rate_limited: 4 }]);
    expect(it.balance()).toMatchObject({ received: 92, delivered: 80, discarded: 12, held: 0, agrees: true });
  });

  test.concurrent("is measured by when messages were received: what waited is not limited when it goes", async () => {
    const time = clocks();
    const { held } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.topics.push({ pattern: "t", overrides: { rateLimit: { count: 10, interval: 1000 } } });
        settings.kafka.autoCreateTopics = false;
      },
      {},
      { ageClocks: time, held },
    );
    for (let second = 0; second < 5; second++) {
      it.send(...from(second * 20, 10));
      time.pass(1000);
    }
    await it.until(() => held.unsettled === 50);
    it.broker.createTopic("t");
    it.pipeline.cluster.refresh("the test made the topic");
    await it.settled();
    expect(it.values("t").length).toBe(50);
    expect(reasons(it)).toEqual({});
  });

  test.concurrent("can be changed and taken away while it is at work", async () => {
    const time = clocks();
    await using it = await testPipeline(
      (settings) => {
        settings.topics.push({ pattern: "t", overrides: { rateLimit: { count: 1, interval: 3_600_000 } } });
      },
      {},
      { ageClocks: time },
    );
    const change = async (rateLimit: { count: number; interval: number } | undefined) => {
      await it.settled();
      it.settings.topics[0] = { pattern: "t", overrides: rateLimit === undefined ? {} : { rateLimit } };
      it.pipeline.topicSettingsChanged();
    };
    it.send(...from(0, 5));
    await change({ count: 3, interval: 3_600_000 });
    it.send(...from(5, 5));
    await change(undefined);
    it.send(...from(10, 5));
    await it.settled();
    expect(it.values("t")).toEqual([...strings(0, 1), ...strings(5, 2), ...strings(10, 5)]);
  });
});

describe("max_age", () => {
  const MAX_AGE = 60_000;
  const aged =
    (change: (settings: TestPipeline["settings"]) => void = () => {}) =>
    (settings: TestPipeline["settings"]) => {
      settings.topics.push({ pattern: "t", overrides: { maxAge: MAX_AGE } });
      change(settings);
    };

  test.concurrent("gives up what waits while Kafka says nothing, and nothing that is younger, or of other topics", async () => {
    const time = clocks();
    await using it = await testPipeline(aged(), {}, { ageClocks: time });
    it.broker.faults.always("Metadata", { kind: "silent" });
    it.send(...from(0, 10), ...from(0, 10, { topic: "free" }));
    await it.until(() => it.balance().received === 20);
    time.pass(MAX_AGE - 1000);
    it.send(...from(10, 10));
    await it.until(() => it.balance().received === 30);
    time.pass(1001);
    await it.until(() => it.balance().discarded > 0);
    expect(reasons(it)).toEqual({ expired: 10 });
    it.broker.faults.clear();
    await it.settled();
    expect(it.values("t")).toEqual(strings(10, 10));
    expect(it.values("free").length).toBe(10);
    expect(it.balance()).toMatchObject({ received: 30, delivered: 20, discarded: 10, agrees: true });
    expect([it.pipeline.around.memory.used, it.pipeline.around.heldMemory.used]).toEqual([0, 0]);
  });

  test.concurrent("gives up batches whose partition is busy, and never the one that was sent", async () => {
    const time = clocks();
    await using it = await testPipeline(
      aged((settings) => {
        settings.kafka.requestTimeout = 60_000;
      }),
      {},
      { ageClocks: time },
    );
    it.broker.createTopic("t", 2);
    const stuck = it.broker.faults.once({ api: "Produce", partition: 0 }, { kind: "silent" });
    it.send(...from(0, 5, { partitionKey: 0 }));
    await stuck.hit;
    it.send(...from(5, 5, { partitionKey: 0 }));
    await it.until(() => it.balance().received === 10);
    time.pass(MAX_AGE / 2);
    it.send(...from(10, 5, { partitionKey: 0 }));
    await it.until(() => it.balance().received === 15);
    time.pass(MAX_AGE / 2 + 1);
    await it.until(() => it.balance().discarded === 5);
    // The connection that says nothing is lost: what it had goes first.
    it.broker.stopNode(1);
    it.broker.startNode(1);
    await it.settled();
    expect(it.values("t", 0)).toEqual([...strings(0, 5), ...strings(10, 5)]);
    expect(reasons(it)).toEqual({ expired: 5 });
    expect(it.pipeline.around.memory.used).toBe(0);
  });

  test.concurrent("is looked at once more when a batch is about to be sent", async () => {
    const time = clocks();
    await using it = await testPipeline(aged(), {}, { ageClocks: time });
    it.broker.createTopic("t");
    it.send(...from(0, 1));
    await it.settled();
    it.broker.setLeader("t", 0, -1);
    it.pipeline.cluster.refresh("the test took the leader away");
    const topic = it.pipeline.topics.get("t");
    await it.until(() => topic?.partitions[0]?.leader === -1);
    it.send(...from(1, 5));
    await it.until(() => it.balance().received === 6 && topic?.any.due === true);
    time.pass(MAX_AGE + 1);
    // In the same turn: nobody has looked since.
    it.broker.setLeader("t", 0, 1);
    topic?.setPartitions([{ id: 0, leader: 1 }]);
    if (topic !== undefined) it.pipeline.dispatcher.topicChanged(topic);
    it.send(...from(6, 1));
    await it.settled();
    expect(it.values("t")).toEqual(["0", "6"]);
    expect(reasons(it)).toEqual({ expired: 5 });
  });

  for (const disk of [true, false]) {
    const where = disk ? "on disk" : "in memory";

    test.concurrent(`gives up what is held ${where}, with its disk and memory, while it is held`, async () => {
      const time = clocks();
      const { held, files } = heldLogs(time.wall);
      await using it = await testPipeline(
        aged((settings) => {
          settings.kafka.autoCreateTopics = false;
        }),
        {},
        { ageClocks: time, ...(disk && { held }) },
      );
      it.send(...from(0, 100));
      await it.until(() => it.balance().received === 100);
      if (disk) await it.until(() => held.unsettled === 100);
      time.pass(MAX_AGE / 2);
      it.send(...from(100, 100));
      await it.until(() => it.balance().received === 200);
      if (disk) await it.until(() => held.unsettled === 200);
      time.pass(MAX_AGE / 2 + 2000);
      await it.until(() => it.balance().discarded === 100);
      expect(it.balance()).toMatchObject({ held: 100, agrees: true });
      if (disk) expect(held.unsettled).toBe(100);
      // The oldest is one of the others now.
      if (disk) expect(held.reports()).toMatchObject([{ messages: 100, oldestAge: MAX_AGE / 2 + 2000 }]);
      time.pass(MAX_AGE / 2 + 2000);
      await it.until(() => it.balance().discarded === 200);
      expect(reasons(it)).toEqual({ expired: 200 });
      held.drop(held.garbage());
      expect([held.bytes, files.list("/held")]).toEqual([0, []]);
      expect([it.pipeline.around.memory.used, it.pipeline.around.heldMemory.used]).toEqual([0, 0]);
    });

    test.concurrent(`gives up what was in batches and came to be held ${where} by the time it was received`, async () => {
      const time = clocks();
      const { held } = heldLogs();
      await using it = await testPipeline(
        aged((settings) => {
          settings.delivery.backoffMax = 20;
        }),
        {},
        { ageClocks: time, hold: SOON, ...(disk && { held }) },
      );
      it.broker.createTopic("t");
      it.send(...from(0, 1));
      await it.settled();
      const gate = Promise.withResolvers<void>();
      const fault: Fault = { kind: "error", code: 29, only: [{ topic: "t" }] };
      const refusal = it.broker.faults.always(
        { api: "Produce", topic: "t" },
        { kind: "delay", until: gate.promise, andThen: fault },
      );
      it.send(...from(1, 1));
      await refusal.hit;
      it.send(...from(2, 10));
      await it.until(() => it.balance().received === 12);
      time.pass(MAX_AGE / 2);
      gate.resolve();
      await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
      if (disk) await it.until(() => held.unsettled === 10);
      time.pass(MAX_AGE / 2 + 2000);
      await it.until(() => it.balance().discarded === 10);
      refusal.remove();
      await it.settled();
      // What was sent stays what it is, whatever its age.
      expect(it.values("t")).toEqual(["0", "1"]);
      expect(reasons(it)).toEqual({ expired: 10 });
    });
  }

  test.concurrent("a clock that is put right makes nothing old", async () => {
    const at = { wall: START, passed: 0 };
    await using it = await testPipeline(
      aged((settings) => {
        settings.kafka.autoCreateTopics = false;
      }),
      {},
      { ageClocks: { wall: () => at.wall, monotonic: () => at.passed } },
    );
    it.send(...from(0, 10));
    await it.until(() => it.balance().received === 10);
    at.wall += 1000 * MAX_AGE;
    it.broker.createTopic("t");
    it.pipeline.cluster.refresh("the test made the topic");
    await it.settled();
    expect(it.values("t")).toEqual(strings(0, 10));
  });

  test.concurrent("holds for what waits already when it is set, and no more when it is taken away", async () => {
    const time = clocks();
    const { held } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.kafka.autoCreateTopics = false;
      },
      {},
      { ageClocks: time, held },
    );
    it.send(...from(0, 10), ...from(0, 10, { topic: "u" }));
    await it.until(() => held.unsettled === 20);
    time.pass(MAX_AGE + 2000);
    it.settings.topics = [{ pattern: "t", overrides: { maxAge: MAX_AGE } }];
    it.pipeline.topicSettingsChanged();
    await it.until(() => it.balance().discarded === 10);
    it.settings.topics = [];
    it.pipeline.topicSettingsChanged();
    it.send(...from(10, 10));
    await it.until(() => held.unsettled === 20);
    time.pass(MAX_AGE + 2000);
    for (const topic of ["t", "u"]) it.broker.createTopic(topic);
    it.pipeline.cluster.refresh("the test made the topics");
    await it.settled();
    expect([it.values("t"), it.values("u")]).toEqual([strings(10, 10), strings(0, 10)]);
  });
});

describe("unknown_topic and unauthorized_topic", () => {
  test.concurrent("a topic that is held is given up when its settings say so, and held again", async () => {
    const { held, files } = heldLogs();
    await using it = await testPipeline(
      (settings) => {
        settings.kafka.autoCreateTopics = false;
      },
      {},
      { held },
    );
    const change = (unknownTopic: "hold" | "discard") => {
      it.settings.topics = [{ pattern: "*", overrides: { unknownTopic } }];
      it.pipeline.topicSettingsChanged();
    };
    it.send(...from(0, 10));
    await it.until(() => held.unsettled === 10);
    change("discard");
    await it.until(() => it.balance().discarded === 10);
    it.send(...from(10, 10));
    await it.until(() => it.balance().discarded === 20);
    held.drop(held.garbage());
    expect([held.bytes, files.list("/held")]).toEqual([0, []]);
    change("hold");
    it.send(...from(20, 10));
    await it.until(() => held.unsettled === 10);
    it.broker.createTopic("t");
    it.pipeline.cluster.refresh("the test made the topic");
    await it.settled();
    expect(it.values("t")).toEqual(strings(20, 10));
    expect(reasons(it)).toEqual({ unknown_topic: 20 });
  });

  test.concurrent("a topic that may not be written is given up, or held, by the settings of the moment", async () => {
    await using it = await testPipeline((settings) => {
      settings.topics.push({ pattern: "t", overrides: { unauthorizedTopic: "discard" } });
    });
    it.broker.createTopic("t");
    const refusal = it.broker.faults.always("Produce", { kind: "error", code: 29, only: [{ topic: "t" }] });
    it.send(...from(0, 5));
    await it.settled();
    expect(reasons(it)).toEqual({ unauthorized_topic: 5 });
    it.settings.topics = [];
    it.pipeline.topicSettingsChanged();
    it.send(...from(5, 5));
    await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
    it.send(...from(10, 5));
    await it.until(() => it.balance().received === 15);
    it.settings.topics = [{ pattern: "t", overrides: { unauthorizedTopic: "discard" } }];
    it.pipeline.topicSettingsChanged();
    await it.settled();
    expect(reasons(it)).toEqual({ unauthorized_topic: 15 });
    refusal.remove();
    it.send(...from(15, 5));
    await it.settled();
    expect(it.values("t")).toEqual(strings(15, 5));
  });
});
