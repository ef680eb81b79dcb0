// A crash at any point of a batch's way: what Kafka may have is sent again as it was, and is there once.
import { describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import { heldIn } from "../../src/observe/ledger.ts";
import type { JournalEntry } from "../../src/spool/journal.ts";
import { type Found, type Life, type Mortal, mortal } from "../support/mortalPipeline.ts";
import { numbered, type TestMessage } from "../support/testPipeline.ts";

const all = numbered(50);
const values = all.map(({ value }) => value);
const twice = (life: Life) => life.pipeline.ledger.total.possibleDuplicates;

/** A life that ends when the broker has taken a batch and its answer is still to come. Returns how many messages those are. */
async function dieUnanswered(it: Mortal, messages: TestMessage[] = all, change?: (settings: Settings) => void) {
  it.append(...messages);
  const life = it.live(change);
  const silence = it.broker.faults.once("Produce", { kind: "silent", append: true });
  await silence.done;
  const count = () => it.broker.topics().reduce((sum, { partitions: [p] }) => sum + (p?.endOffset ?? 0), 0);
  await it.broker.until(() => count() > 0);
  life.kill();
  return count();
}

describe("a batch that was on its way in a crash is in Kafka once", () => {
  test("when the broker had it and its answer never came", async () => {
    await using it = await mortal();
    const had = await dieUnanswered(it);
    expect(it.open().map(({ topic, numbers }) => [topic, numbers.count])).toEqual([["t", had]]);
    const second = it.live();
    await second.settled();
    expect(it.values()).toEqual(values);
    expect(twice(second)).toBe(0);
    it.append({ value: "after" });
    await second.settled();
    expect(it.values()).toEqual([...values, "after"]);
  });

  test("when it was killed before it sent the batch", async () => {
    await using it = await mortal();
    it.append(...all);
    await it.live().killAtEntry(1);
    expect(it.values()).toEqual([]);
    const second = it.live();
    await second.settled();
    expect(it.values()).toEqual(values);
    expect(twice(second)).toBe(0);
  });

  test("when it was killed over and over", async () => {
    await using it = await mortal();
    it.broker.faults.times(5, "Produce", { kind: "silent", append: true });
    for (let n = 0; n < 5; n++) {
      it.append({ value: `${n}` });
      const life = it.live();
      const sent = it.broker.requests.Produce;
      await it.broker.until(() => it.broker.requests.Produce > sent);
      life.kill();
    }
    const last = it.live();
    await last.settled();
    expect(it.values()).toEqual(["0", "1", "2", "3", "4"]);
    expect(twice(last)).toBe(0);
  });

  test("when a checkpoint came while it was on its way", async () => {
    await using it = await mortal();
    const first = it.live();
    it.append({ value: "before" });
    await first.settled();
    const silence = it.broker.faults.once("Produce", { kind: "silent", append: true });
    it.append({ value: "in flight" });
    await silence.done;
    first.checkpoint();
    first.kill();
    const second = it.live();
    await second.settled();
    expect(it.values()).toEqual(["before", "in flight"]);
    expect(twice(second)).toBe(0);
  });

  test("although it is compressed in another way now", async () => {
    await using it = await mortal();
    const large = values.map((value) => ({ value: value.repeat(100) }));
    await dieUnanswered(it, large, (settings) => {
      settings.compression.codec = "gzip";
      settings.compression.minSize = 0;
    });
    const second = it.live((settings) => {
      settings.compression.codec = "none";
    });
    await second.settled();
    expect(it.values()).toEqual(large.map(({ value }) => value));
    expect(twice(second)).toBe(0);
  });

  test("whether idempotence is still on or not", async () => {
    await using it = await mortal();
    await dieUnanswered(it);
    const without = it.live((settings) => {
      settings.kafka.idempotence = false;
    });
    await without.settled();
    it.append({ value: "after" });
    await without.settled();
    expect(it.values()).toEqual([...values, "after"]);
    expect(twice(without)).toBe(0);
  });

  // Each entry of the journal is one of: the whole, its halves, theirs …
  test.each([1, 2, 3, 4, 5, 6])("when it is split, and the crash comes with entry %d", async (entry) => {
    await using it = await mortal({ maxMessageBytes: 2000 });
    const plain = (settings: Settings) => {
      settings.compression.codec = "none";
    };
    const large = values.map((value) => ({ value: value.padStart(100, "0") }));
    it.append(...large);
    await it.live(plain).killAtEntry(entry);
    const second = it.live(plain);
    await second.settled();
    expect(it.values()).toEqual(large.map(({ value }) => value));
  });

  test.each([1, 2, 3])(
    "without the records that the broker finds fault with, and the crash comes with entry %d",
    async (entry) => {
      await using it = await mortal();
      it.broker.faults.always("Produce", ({ partitions }) => {
        const bad = partitions.some(({ batch }) => batch?.includes("bad") ?? false);
        return bad
          ? { kind: "error", code: 87, only: [{ topic: "t" }], recordErrors: [{ index: 3, message: "bad" }] }
          : undefined;
      });
      it.append(...numbered(3), { value: "bad" }, { value: "4" }, { value: "later", topic: "u" });
      await Promise.race([it.live().killAtEntry(entry), it.broker.until(() => it.values().length > 0)]);
      const second = it.live();
      await second.settled();
      expect(it.values()).toEqual(["0", "1", "2", "4"]);
      expect(it.values("u")).toEqual(["later"]);
    },
  );
});

describe("a batch that may be known to nobody any more is sent under a new producer id, and counted, when", () => {
  const change =
    (how: (entry: JournalEntry) => void) =>
    ({ entries }: Found) =>
      entries.forEach(how);
  const cases: [why: string, falsify: (found: Found) => void][] = [
    [
      "it is older than half of what a producer id lasts",
      change((entry) => {
        entry.sentAt -= 43_200_001;
      }),
    ],
    [
      "the cluster is another one",
      change((entry) => {
        entry.clusterId = "another";
      }),
    ],
    [
      "machine or directory are others",
      (found) => {
        found.bound = false;
      },
    ],
    [
      "it cannot be made as it was",
      change((entry) => {
        entry.checksum ^= 1;
      }),
    ],
  ];
  test.each(cases)("%s", async (_, falsify) => {
    await using it = await mortal();
    const had = await dieUnanswered(it);
    const ids = it.broker.requests.InitProducerId;
    const second = it.live(undefined, falsify);
    await second.settled();
    // It was there, and nobody could know: so it is there twice, and that is on record.
    expect(it.values()).toEqual([...values.slice(0, had), ...values]);
    expect(twice(second)).toBe(had);
    expect(it.broker.requests.InitProducerId).toBeGreaterThan(ids);
    second.checkpoint();
    expect(it.open()).toEqual([]);
  });

  test("messages of it are gone, which are on record as damaged", async () => {
    await using it = await mortal();
    it.append(...numbered(5));
    await it.live().killAtEntry(1);
    it.lose(2);
    it.lose(4);
    const second = it.live();
    await second.settled();
    expect(it.values()).toEqual(["0", "2", "4"]);
    expect(second.discards).toEqual([{ topic: "t", count: 2, reason: "damaged" }]);
    expect(twice(second)).toBe(3);
  });

  test("the broker forgot the producer", async () => {
    await using it = await mortal();
    const first = it.live();
    it.append({ value: "before" });
    await first.settled();
    it.append({ value: "unsent" });
    await first.killAtEntry(1);
    it.broker.faults.once("Produce", { kind: "error", code: 59 });
    const second = it.live();
    await second.settled();
    expect(it.values()).toEqual(["before", "unsent"]);
    expect(twice(second)).toBe(1);
  });

  test.each([0, 1] as const)("there is no idempotence, with acks %d", async (acks) => {
    await using it = await mortal();
    const change = ({ kafka }: Settings) => {
      kafka.idempotence = false;
      kafka.acks = acks;
    };
    it.append(...all);
    await it.live(change).killAtEntry(1);
    const [entry] = it.open();
    expect(entry).toMatchObject({ producerId: -1n, producerEpoch: -1, baseSequence: -1 });
    const second = it.live(change);
    await second.settled();
    await it.broker.until(() => it.values().length === 50);
    expect(it.values()).toEqual(values);
    expect(twice(second)).toBe(entry?.numbers.count ?? -1);
  });
});

describe("messages that a crash takes with it make none of the others come twice", () => {
  const prepare = (it: Mortal) => {
    it.append(...numbered(3));
    it.appendInMemory({ value: "gone" }, { value: "gone" });
    it.append({ value: "5" }, { value: "6" });
  };
  const check = async (it: Mortal) => {
    const second = it.live();
    await second.settled();
    expect(it.values().filter((value) => value !== "gone")).toEqual(["0", "1", "2", "5", "6"]);
    expect(twice(second)).toBe(0);
  };

  // Each entry of the journal is one of: those before them, they, those behind them.
  test.each([1, 2, 3])("when it was killed before it sent batch %d", async (entry) => {
    await using it = await mortal();
    prepare(it);
    await it.live().killAtEntry(entry);
    await check(it);
  });

  test.each([1, 2, 3])("when it was killed before batch %d was answered", async (batch) => {
    await using it = await mortal();
    prepare(it);
    const life = it.live();
    const sent = it.broker.requests.Produce;
    const silence = { kind: "silent", append: true } as const;
    it.broker.faults.once(({ api, attempt }) => api === "Produce" && attempt === sent + batch, silence);
    const ends = [3, 5, 7];
    await it.broker.until(() => it.values().length === ends[batch - 1]);
    life.kill();
    await check(it);
  });
});

describe("what is sent while the journal cannot be written lets nothing else be taken for it after the next crash", () => {
  const unrecorded = async (it: Mortal, life: Life) => {
    it.appendInMemory({ value: "a" }, { value: "b" }, { value: "c" });
    await life.settled();
    life.kill();
    it.diskFull = false;
    // As many under the same sequence, the broker would say that it has them.
    it.append({ value: "d" }, { value: "e" }, { value: "f" });
    await it.live().settled();
    const values = it.values().filter((value) => value !== "before");
    expect(values).toEqual(["0", "a", "b", "c", "d", "e", "f"]);
  };

  test("from a start on", async () => {
    await using it = await mortal();
    await dieUnanswered(it, numbered(1));
    it.diskFull = true;
    await unrecorded(it, it.live());
  });

  test("from a write on", async () => {
    await using it = await mortal();
    it.append(...numbered(1));
    const life = it.live();
    await life.settled();
    it.diskFull = true;
    await unrecorded(it, life);
  });

  test("after it was written again for a while", async () => {
    await using it = await mortal();
    it.append(...numbered(1));
    const life = it.live();
    await life.settled();
    it.diskFull = true;
    it.append({ value: "before" });
    await life.settled();
    it.diskFull = false;
    while (life.journal.failing !== undefined) await Bun.sleep(10);
    it.diskFull = true;
    await unrecorded(it, life);
  });
});

test("possible duplicates are counted also when a crash comes before the checkpoint that would say so", async () => {
  await using it = await mortal();
  const first = it.live();
  it.append({ value: "before" });
  await first.settled();
  first.checkpoint();
  it.broker.faults.once("Produce", { kind: "error", code: 59, append: true });
  it.append(...numbered(3));
  await first.settled();
  expect(twice(first)).toBe(3);
  first.kill();
  const second = it.live();
  await second.settled();
  expect(it.values()).toEqual(["before", "0", "1", "2", "0", "1", "2"]);
  expect(twice(second)).toBe(3);
  expect(second.pipeline.ledger.topic("t").possibleDuplicates).toBe(3);
});

test("what comes after a power cut is not taken for what was sent just before it", async () => {
  await using it = await mortal();
  it.append({ value: "0" });
  const life = it.live();
  await life.settled();
  const cut = it.powerCut();
  it.append({ value: "a" }, { value: "b" }, { value: "c" });
  await life.settled();
  life.kill();
  cut();
  expect(it.open()).toHaveLength(1);
  it.append({ value: "d" }, { value: "e" }, { value: "f" });
  await it.live().settled();
  expect(it.values()).toEqual(["0", "a", "b", "c", "d", "e", "f"]);
});

test("a batch whose partition is no more goes to another, as possible duplicates", async () => {
  await using it = await mortal({ autoCreate: false });
  it.broker.createTopic("t", 3);
  it.append({ value: "in doubt", partitionKey: 2 });
  await it.live().killAtEntry(1);
  it.append({ value: "behind it", partitionKey: 2 });
  it.broker.deleteTopic("t");
  it.broker.createTopic("t", 2);
  const second = it.live();
  await second.settled();
  expect(it.values("t", 0)).toContain("in doubt");
  expect(it.values("t").toSorted()).toEqual(["behind it", "in doubt"]);
  expect(twice(second)).toBe(1);
  second.checkpoint();
  expect(it.open()).toEqual([]);
});

test("a batch given up after a restart, which the broker may have, is not mistaken for the next one", async () => {
  await using it = await mortal();
  await dieUnanswered(it, numbered(3));
  it.broker.faults.once("Produce", { kind: "error", code: 29 });
  const second = it.live((settings) => {
    settings.delivery.unauthorizedTopic = "discard";
  });
  await second.settled();
  expect(second.discards).toEqual([{ topic: "t", count: 3, reason: "unauthorized_topic" }]);
  it.append({ value: "a" }, { value: "b" }, { value: "c" });
  await second.settled();
  expect(it.values()).toEqual(["0", "1", "2", "a", "b", "c"]);
});

test("a batch of which nothing is left is on record as damaged, and asked for no more", async () => {
  await using it = await mortal();
  it.append({ value: "gone" });
  await it.live().killAtEntry(1);
  it.lose(1);
  const second = it.live();
  await second.settled();
  expect(second.discards).toEqual([{ topic: "t", count: 1, reason: "damaged" }]);
  expect(it.open()).toEqual([]);
});

test("a log that cannot be read costs the messages that it does not give, and not the start", async () => {
  await using it = await mortal();
  it.append(...numbered(3));
  await it.live().killAtEntry(1);
  const second = it.live(undefined, (found) => {
    const { fetch } = found;
    found.fetch = (topic, numbers, visit) => {
      fetch(topic, numbers.slice(0, 1), visit);
      throw new Error("EIO");
    };
  });
  it.append({ value: "after" });
  await second.settled();
  expect(it.values()).toEqual(["0", "after"]);
  expect(second.discards).toEqual([{ topic: "t", count: 2, reason: "damaged" }]);
});

test("a batch of a topic that is one too many now is given up, under its name", async () => {
  await using it = await mortal();
  it.append({ topic: "u", value: "0" }, { topic: "t", value: "1" });
  await it.live().killAtEntry(2);
  const second = it.live(({ buffer }) => {
    buffer.maxTopics = 1;
  });
  await second.settled();
  expect(second.discards).toMatchObject([{ count: 1, reason: "max_topics" }]);
  const { ledger } = second.pipeline;
  expect([ledger.total, ledger.noTopic, ledger.topic("t"), ledger.topic("u")].map(heldIn)).toEqual([0, 0, 0, 0]);
  expect([...it.values("t"), ...it.values("u")]).toHaveLength(1);
});

test("a clock that went back makes no batch older", async () => {
  await using it = await mortal();
  await dieUnanswered(it);
  const second = it.live(undefined, ({ entries: [entry] }) => {
    if (entry !== undefined) entry.sentAt += 3_600_000;
  });
  await second.settled();
  expect(it.values()).toEqual(values);
  expect(twice(second)).toBe(0);
});

test("what was delivered is not open, even if nothing follows", async () => {
  await using it = await mortal();
  const life = it.live();
  it.append(...all);
  await life.settled();
  life.checkpoint();
  expect(it.open()).toEqual([]);
});
