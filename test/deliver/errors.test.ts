// What becomes of messages when a broker answers with an error: what errorTable.test.ts, which has them all, does not tell.
import { describe, expect, test } from "bun:test";
import { numbered, testPipeline } from "../support/testPipeline.ts";

const all = numbered(50);
const values = all.map(({ value }) => value);

test("a request that is throttled is answered all the same", async () => {
  await using it = await testPipeline();
  const rule = it.broker.faults.once("Produce", { kind: "throttle", time: 30 });
  it.send(...all);
  await rule.done;
  it.send({ value: "last" });
  await it.settled();
  expect(it.values()).toEqual([...values, "last"]);
  expect(it.balance()).toEqual({ received: 51, delivered: 51, held: 0, discarded: 0, agrees: true });
});

describe("a batch that is too large", () => {
  test("is split until the broker takes its parts, in order", async () => {
    await using it = await testPipeline(
      (settings) => {
        settings.compression.codec = "none";
      },
      { maxMessageBytes: 2000 },
    );
    it.send(...numbered(100).map(({ value }) => ({ value: value.padStart(100, "0") })));
    await it.settled();
    expect(it.values()).toEqual(
      values
        .concat(
          numbered(100)
            .slice(50)
            .map(({ value }) => value),
        )
        .map((v) => v.padStart(100, "0")),
    );
    expect(it.balance()).toMatchObject({ delivered: 100, discarded: 0, agrees: true });
  });

  test("loses nothing but the single record that is too large by itself", async () => {
    await using it = await testPipeline(
      (settings) => {
        settings.compression.codec = "none";
      },
      { maxMessageBytes: 2000 },
    );
    it.send({ value: "before" }, { value: "x".repeat(5000) }, { value: "after" });
    await it.settled();
    expect(it.values()).toEqual(["before", "after"]);
    expect(it.discards).toEqual([{ topic: "t", count: 1, reason: "too_large" }]);
    expect(it.balance()).toMatchObject({ received: 3, delivered: 2, discarded: 1, agrees: true });
  });
});

describe("records at fault", () => {
  test("are discarded alone when the broker names them", async () => {
    await using it = await testPipeline();
    const recordErrors = [3, 7].map((index) => ({ index, message: "no key" }));
    it.broker.faults.once("Produce", { kind: "error", code: 87, recordErrors });
    it.send(...numbered(10));
    await it.settled();
    expect(it.values()).toEqual(["0", "1", "2", "4", "5", "6", "8", "9"]);
    expect(it.discards).toEqual([{ topic: "t", count: 2, reason: "rejected_by_broker" }]);
    expect(it.balance()).toMatchObject({ received: 10, delivered: 8, discarded: 2, agrees: true });
  });

  test("are found by halves when it does not", async () => {
    await using it = await testPipeline();
    it.broker.faults.always("Produce", ({ partitions }) => {
      const bad = partitions.some(({ batch }) => batch?.includes("bad") ?? false);
      return bad ? { kind: "error", code: 32 } : undefined;
    });
    it.send(...numbered(9), { value: "bad" }, { value: "10" });
    await it.settled();
    expect(it.values()).toEqual([...numbered(9).map(({ value }) => value), "10"]);
    expect(it.discards).toEqual([{ topic: "t", count: 1, reason: "rejected_by_broker" }]);
  });
});

describe("a topic that may not be written", () => {
  test("is held, says why, delays no other, and is delivered in order when it may", async () => {
    await using it = await testPipeline();
    const only = [{ topic: "secret" }];
    const refusal = it.broker.faults.always({ api: "Produce", topic: "secret" }, { kind: "error", code: 29, only });
    it.send(...numbered(5, { topic: "secret" }));
    await refusal.hit;
    await it.until(() => it.pipeline.topics.get("secret")?.standing.kind === "held");
    it.send(
      ...numbered(20, { topic: "open" }),
      ...numbered(5, { topic: "secret" }).map((m, i) => ({ ...m, value: `${5 + i}` })),
    );
    await it.until(() => it.balance().delivered === 20);
    expect(it.values("open")).toHaveLength(20);
    expect(it.pipeline.topics.get("secret")?.standing).toMatchObject({
      kind: "held",
      reason: expect.stringContaining("WRITE"),
    });
    expect(it.balance()).toMatchObject({ received: 30, delivered: 20, held: 10, agrees: true });
    refusal.remove();
    await it.settled();
    expect(it.values("secret")).toEqual(numbered(10).map(({ value }) => value));
  });

  test("has its messages discarded, with that reason, if the settings say so", async () => {
    await using it = await testPipeline((settings) => {
      settings.delivery.unauthorizedTopic = "discard";
    });
    const only = [{ topic: "secret" }];
    it.broker.faults.always({ api: "Produce", topic: "secret" }, { kind: "error", code: 29, only });
    it.send(...numbered(5, { topic: "secret" }), { topic: "open", value: "fine" });
    await it.settled();
    expect(it.discards).toEqual([{ topic: "secret", count: 5, reason: "unauthorized_topic" }]);
    expect(it.values("open")).toEqual(["fine"]);
  });

  test("is held on a code that nobody has listed", async () => {
    await using it = await testPipeline();
    const refusal = it.broker.faults.times(2, "Produce", { kind: "error", code: 30_000 });
    it.send(...numbered(5));
    await refusal.done;
    await it.settled();
    expect(it.values()).toEqual(["0", "1", "2", "3", "4"]);
  });
});

describe("without idempotence", () => {
  const plain = (settings: { kafka: { idempotence: boolean; acks: "all" | 1 | 0 } }) => {
    settings.kafka.idempotence = false;
    settings.kafka.acks = 1;
  };

  test("a batch whose fate is unknown is sent again and is on record as a possible duplicate", async () => {
    await using it = await testPipeline(plain);
    const cut = it.broker.faults.once("Produce", { kind: "cut", append: true });
    it.send(...numbered(3));
    await cut.done;
    await it.settled();
    expect(it.values()).toEqual(["0", "1", "2", "0", "1", "2"]);
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(3);
    expect(it.balance()).toMatchObject({ received: 3, delivered: 3, held: 0, agrees: true });
  });

  test("a batch that was refused for sure is not", async () => {
    await using it = await testPipeline(plain);
    it.broker.faults.once("Produce", { kind: "error", code: 19 });
    it.send(...numbered(3));
    await it.settled();
    expect(it.values()).toEqual(["0", "1", "2"]);
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });

  test("a batch that a leader appended and then lost the partition is, with acks all, on record as well", async () => {
    await using it = await testPipeline((settings) => {
      settings.kafka.idempotence = false;
    });
    const moved = it.broker.faults.once("Produce", { kind: "error", code: 6, append: true });
    it.send(...numbered(3));
    await moved.done;
    await it.settled();
    expect(it.values()).toEqual(["0", "1", "2", "0", "1", "2"]);
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(3);
  });

  test("acks 0: written is delivered", async () => {
    await using it = await testPipeline((settings) => {
      settings.kafka.idempotence = false;
      settings.kafka.acks = 0;
    });
    it.send(...numbered(30));
    await it.settled();
    await it.until(() => it.values().length === 30);
    expect(it.values()).toEqual(numbered(30).map(({ value }) => value));
  });
});
