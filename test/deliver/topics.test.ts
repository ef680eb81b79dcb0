// Topics that are missing, forbidden, leaderless or too many; partitions, partitioners and leaders that change.
import { describe, expect, test } from "bun:test";
import { numbered, testPipeline } from "../support/testPipeline.ts";

const valuesOf = (count: number) => numbered(count).map(({ value }) => value);

describe("a topic that does not exist", () => {
  test("is held, delays no other, and is delivered in order once it is made", async () => {
    await using it = await testPipeline((settings) => {
      settings.kafka.autoCreateTopics = false;
    });
    it.broker.createTopic("there");
    it.send(...numbered(30, { topic: "missing" }), ...numbered(30, { topic: "there" }));
    await it.until(() => it.pipeline.topics.get("missing")?.standing.kind === "held");
    await it.until(() => it.balance().delivered === 30);
    it.send(...numbered(30, { topic: "missing" }).map((message, index) => ({ ...message, value: `${30 + index}` })));
    await it.until(() => it.balance().received === 90);
    expect(it.balance()).toEqual({ received: 90, delivered: 30, held: 60, discarded: 0, agrees: true });
    it.broker.createTopic("missing");
    it.pipeline.cluster.refresh("the test made the topic");
    await it.settled();
    expect(it.values("missing")).toEqual(valuesOf(60));
  });

  test("has its messages discarded, with that reason, if the settings say so, until it exists", async () => {
    await using it = await testPipeline((settings) => {
      settings.kafka.autoCreateTopics = false;
      settings.delivery.unknownTopic = "discard";
    });
    it.send(...numbered(5, { topic: "missing" }));
    await it.settled();
    it.send(...numbered(4, { topic: "missing" }));
    await it.settled();
    expect(it.pipeline.ledger.topic("missing")).toMatchObject({ received: 9, discarded: 9, delivered: 0 });
    expect(new Set(it.discards.map(({ reason }) => reason))).toEqual(new Set(["unknown_topic"]));
    it.broker.createTopic("missing");
    it.pipeline.cluster.refresh("the test made the topic");
    await it.until(() => it.pipeline.topics.get("missing")?.standing.kind === "live");
    it.send({ topic: "missing", value: "at last" });
    await it.settled();
    expect(it.values("missing")).toEqual(["at last"]);
  });

  test("is made on first use if the settings say so", async () => {
    await using it = await testPipeline();
    it.send(...numbered(3, { topic: "new" }));
    await it.settled();
    expect(it.values("new")).toEqual(["0", "1", "2"]);
  });

  test("drops its newest, and only its own, when what may be held is used up", async () => {
    await using it = await testPipeline((settings) => {
      settings.kafka.autoCreateTopics = false;
      settings.buffer.memory = 1 << 20;
    });
    it.broker.createTopic("there");
    it.send({ topic: "missing", value: "first" });
    await it.until(() => it.pipeline.topics.get("missing")?.standing.kind === "held");
    const big = "x".repeat(10_000);
    for (let round = 0; round < 30; round++) {
      it.send({ topic: "missing", value: big }, { topic: "there", value: `${round}` });
      await it.until(() => it.balance().received === 1 + (round + 1) * 2);
    }
    await it.until(() => it.values("there").length === 30);
    const account = it.pipeline.ledger.topic("missing");
    expect(account.discardsByReason.get("held_full")).toBeGreaterThan(0);
    expect(it.pipeline.ledger.topic("there").discarded).toBe(0);
    const kept = account.received - account.discarded;
    it.broker.createTopic("missing");
    it.pipeline.cluster.refresh("the test made the topic");
    await it.settled();
    expect(it.values("missing")).toHaveLength(kept);
    expect(it.values("missing")[0]).toBe("first");
    expect(it.balance()).toMatchObject({ held: 0, agrees: true });
  });
});

describe("more topics than max_topics", () => {
  test("are discarded with that reason, under no topic, and the others are delivered", async () => {
    await using it = await testPipeline((settings) => {
      settings.buffer.maxTopics = 2;
    });
    it.send(...["a", "b", "c", "d", "a"].map((topic) => ({ topic, value: topic })));
    await it.settled();
    expect([it.values("a"), it.values("b")]).toEqual([["a", "a"], ["b"]]);
    expect(it.pipeline.ledger.noTopic).toMatchObject({ received: 2, discarded: 2 });
    expect(it.balance()).toMatchObject({ received: 5, delivered: 3, discarded: 2, agrees: true });
  });
});

describe("partitions", () => {
  test("a PartitionKey goes to its remainder, in order", async () => {
    await using it = await testPipeline();
    it.broker.createTopic("t", 3);
    it.send(...numbered(60).map((message, index) => ({ ...message, partitionKey: (index % 5) - 2 })));
    await it.settled();
    const expected: string[][] = [[], [], []];
    for (let index = 0; index < 60; index++) expected[((((index % 5) - 2) % 3) + 3) % 3]?.push(`${index}`);
    expect([0, 1, 2].map((partition) => it.values("t", partition))).toEqual(expected);
  });

  test("murmur2 keeps a key in the partition that Kafka's own clients choose", async () => {
    await using it = await testPipeline((settings) => {
      settings.delivery.partitioner = "murmur2";
    });
    it.broker.createTopic("t", 10);
    // Hashes of Kafka's own tests: "21" -973932308, "foobar" -790332482.
    it.send({ key: "21", value: "a" }, { key: "foobar", value: "b" }, { key: "21", value: "c" });
    await it.settled();
    expect(it.values("t", (-973932308 & 0x7fffffff) % 10)).toEqual(["a", "c"]);
    expect(it.values("t", (-790332482 & 0x7fffffff) % 10)).toEqual(["b"]);
  });

  test("round-robin takes the next partition for each batch", async () => {
    await using it = await testPipeline((settings) => {
      settings.delivery.partitioner = "round-robin";
    });
    it.broker.createTopic("t", 4);
    for (const { value } of numbered(8)) {
      it.send({ value });
      await it.settled();
    }
    expect([0, 1, 2, 3].map((partition) => it.values("t", partition))).toEqual([
      ["0", "4"],
      ["1", "5"],
      ["2", "6"],
      ["3", "7"],
    ]);
  });

  test("sticky keeps a batch together and reaches every partition in time", async () => {
    await using it = await testPipeline();
    it.broker.createTopic("t", 4);
    for (let round = 0; round < 100; round++) {
      it.send(...numbered(10));
      await it.settled();
    }
    const counts = [0, 1, 2, 3].map((partition) => it.values("t", partition).length);
    expect(counts.every((count) => count > 0 && count % 10 === 0)).toBe(true);
  });

  test("that are added are used", async () => {
    await using it = await testPipeline();
    it.broker.createTopic("t", 1);
    it.send({ value: "a", partitionKey: 1 });
    await it.settled();
    it.broker.deleteTopic("t");
    it.broker.createTopic("t", 2);
    it.pipeline.cluster.refresh("the test added a partition");
    await it.until(() => it.pipeline.topics.get("t")?.partitions.length === 2);
    it.send({ value: "b", partitionKey: 1 });
    await it.settled();
    expect(it.values("t", 1)).toEqual(["b"]);
  });
});

describe("a partition without a leader", () => {
  test("keeps its keyed messages in order until it has one, while the others go on", async () => {
    await using it = await testPipeline();
    it.broker.createTopic("t", 2);
    it.broker.setLeader("t", 1, -1);
    it.send(...numbered(20).map((message, index) => ({ ...message, partitionKey: index % 2 })), { value: "any" });
    await it.until(() => it.balance().delivered === 11);
    expect(it.balance()).toMatchObject({ delivered: 11, held: 10, agrees: true });
    it.broker.setLeader("t", 1, 1);
    it.pipeline.cluster.refresh("the test gave it a leader");
    await it.settled();
    expect(it.values("t", 1)).toEqual(["1", "3", "5", "7", "9", "11", "13", "15", "17", "19"]);
  });

  test('gives them to the next one with on_unavailable = "next"', async () => {
    await using it = await testPipeline((settings) => {
      settings.delivery.onUnavailable = "next";
    });
    it.broker.createTopic("t", 3);
    it.broker.setLeader("t", 1, -1);
    it.send(...numbered(6).map((message) => ({ ...message, partitionKey: 1 })));
    await it.settled();
    expect(it.values("t", 2)).toEqual(valuesOf(6));
  });

  test("holds the whole topic when no partition has one, and no other topic", async () => {
    await using it = await testPipeline();
    it.broker.createTopic("t", 1);
    it.broker.setLeader("t", 0, -1);
    it.send(...numbered(5), { topic: "other", value: "fine" });
    await it.until(() => it.balance().delivered === 1);
    expect(it.balance()).toMatchObject({ delivered: 1, held: 5, agrees: true });
    it.broker.setLeader("t", 0, 1);
    it.pipeline.cluster.refresh("the test gave it a leader");
    await it.settled();
    expect(it.values()).toEqual(valuesOf(5));
  });
});

describe("brokers", () => {
  test("a leader that moves while messages flow loses, repeats and reorders nothing", async () => {
    await using it = await testPipeline(() => {}, { brokers: 3 });
    it.broker.createTopic("t", 3);
    const sent: string[][] = [[], [], []];
    for (let round = 0; round < 40; round++) {
      it.send(
        ...[0, 1, 2].map((partitionKey) => {
          sent[partitionKey]?.push(`${round}`);
          return { partitionKey, value: `${round}` };
        }),
      );
      it.broker.setLeader("t", round % 3, 1 + (round % 2));
      await it.until(() => it.balance().received === (round + 1) * 3);
    }
    await it.settled();
    expect([0, 1, 2].map((partition) => it.values("t", partition))).toEqual(sent);
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });

  test("one that is away delays only what it leads, and what is for any partition goes elsewhere", async () => {
    await using it = await testPipeline(() => {}, { brokers: 2 });
    it.broker.createTopic("t", 2, (partition) => partition + 1);
    it.broker.createTopic("u", 1, () => 1);
    it.send({ value: "warm", partitionKey: 0 }, { value: "warm", partitionKey: 1 }, { topic: "u", value: "warm" });
    await it.settled();
    it.broker.stopNode(2);
    for (let round = 0; round < 20; round++) {
      it.send({ topic: "u", value: `${round}` }, { value: `any ${round}` });
      await it.until(() => it.values("u").length === round + 2);
    }
    await it.settled();
    expect(it.values("t", 0).filter((value) => value.startsWith("any"))).toHaveLength(20);
    it.broker.startNode(2);
    it.send({ value: "back", partitionKey: 1 });
    await it.settled();
    expect(it.values("t", 1)).toEqual(["warm", "back"]);
  });

  test("all of them away: everything waits, within memory, and goes out in order when they are back", async () => {
    await using it = await testPipeline((settings) => {
      settings.buffer.memory = 2 << 20;
    });
    it.send({ value: "-1" });
    await it.settled();
    it.broker.stopNode(1);
    let sent = 0;
    const value = (index: number) => `${index} ${crypto.randomUUID().repeat(20)}`;
    while (it.send({ value: value(sent) })) {
      sent++;
      if (sent % 50 === 0) await Bun.sleep(0);
    }
    expect(sent).toBeGreaterThan(1000);
    expect(it.pipeline.around.memory.used).toBeLessThan(2 << 20);
    expect(it.balance()).toMatchObject({ delivered: 1, discarded: 0, agrees: true });
    it.broker.startNode(1);
    await it.settled();
    expect(it.values().map((text) => Number(text.split(" ")[0]))).toEqual([
      -1,
      ...Array.from({ length: sent }, (_, index) => index),
    ]);
    expect(it.pipeline.around.memory.used).toBe(0);
  });

  test("none there at the start: messages wait, and go out when there is one", async () => {
    await using it = await testPipeline();
    it.broker.stopNode(1);
    it.send(...numbered(10));
    await it.until(() => it.pipeline.cluster.failures > 1);
    expect(it.balance()).toMatchObject({ received: 10, held: 10, agrees: true });
    it.broker.startNode(1);
    await it.settled();
    expect(it.values()).toEqual(valuesOf(10));
  });
});

describe("messages that came before Kafka named their partitions", () => {
  test("are delivered in order, also when there are more than batches may take", async () => {
    const answer = Promise.withResolvers<void>();
    await using it = await testPipeline((settings) => {
      settings.buffer.memory = 4 << 20;
      settings.kafka.requestTimeout = 30_000;
    });
    it.broker.faults.always("Metadata", () => ({ kind: "delay", until: answer.promise }));
    let sent = 0;
    const value = (index: number) => `${index} ${"x".repeat(1000)}`;
    while (it.send({ value: value(sent) })) if (++sent % 100 === 0) await Bun.sleep(0);
    answer.resolve();
    await it.settled();
    expect(it.balance()).toMatchObject({ received: sent, delivered: sent, held: 0, agrees: true });
    expect(it.values()).toEqual(Array.from({ length: sent }, (_, index) => value(index)));
    expect(it.pipeline.around.memory.used).toBe(0);
  });
});

describe("many topics", () => {
  test("share requests, and each has its messages in order", async () => {
    await using it = await testPipeline();
    const topics = Array.from({ length: 300 }, (_, index) => `topic-${index}`);
    for (let round = 0; round < 5; round++) it.send(...topics.map((topic) => ({ topic, value: `${round}` })));
    await it.settled();
    for (const topic of topics) expect(it.values(topic)).toEqual(["0", "1", "2", "3", "4"]);
    expect(it.broker.requests.Produce).toBeLessThan(300);
  });
});

describe("a stop", () => {
  test("sends what lingers", async () => {
    await using it = await testPipeline((settings) => {
      settings.batch.linger = 3_600_000;
    });
    it.send(...numbered(10));
    await it.pipeline.flush(60_000);
    expect(it.values()).toEqual(valuesOf(10));
  });

  test("gives up what Kafka does not take in time, with that reason, and the ledger balances", async () => {
    await using it = await testPipeline();
    it.send({ value: "first" });
    await it.settled();
    it.broker.stopNode(1);
    it.send(...numbered(10), { topic: "never seen", value: "x" });
    await it.until(() => it.balance().received === 12);
    await it.pipeline.flush(1);
    expect(it.pipeline.stop()).toBe(11);
    expect(it.pipeline.ledger.total.discardsByReason.get("shutdown")).toBe(11);
    expect(it.balance()).toMatchObject({ received: 12, delivered: 1, held: 0, discarded: 11 });
  });
});
