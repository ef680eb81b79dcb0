// What a reload does to messages on their way: they are all delivered, once and in order, by the settings of now.
import { afterEach, describe, expect, test } from "bun:test";
import { adopt, settingChanges } from "../src/config/changes.ts";
import { parseAddress } from "../src/config/kinds.ts";
import type { Settings } from "../src/config/settings.ts";
import { type DevBroker, startDevBroker } from "../src/dev/devBroker.ts";
import type { DecodedBatch } from "../src/kafka/recordBatchReader.ts";
import { numbered, type TestPipeline, testPipeline } from "./support/testPipeline.ts";

let others: DevBroker[] = [];
afterEach(async () => {
  for (const other of others) await other.stop();
  others = [];
});

async function another(...options: Parameters<typeof startDevBroker>): Promise<DevBroker> {
  const broker = await startDevBroker(...options);
  others.push(broker);
  return broker;
}

interface Bench extends TestPipeline {
  settings: Settings;
  /** Changes them as a reload does. */
  reload(change: (next: Settings) => void): void;
}

async function bench(...[change, ...rest]: Parameters<typeof testPipeline>): Promise<Bench> {
  let settings: Settings | undefined;
  const test = await testPipeline(
    (given) => {
      settings = given;
      change?.(given);
    },
    ...rest,
  );
  const current = settings as unknown as Settings;
  const reload: Bench["reload"] = (changeTo) => {
    const next = structuredClone(current);
    changeTo(next);
    const changes = settingChanges(current, next);
    adopt(current, next, changes);
    const keys = changes.map(({ key }) => key);
    test.pipeline.settingsChanged((...names) =>
      keys.some((key) => names.some((name) => `${key}.`.startsWith(`${name}.`))),
    );
  };
  return Object.assign(test, { settings: current, reload });
}

/** As a batch's attributes name them. */
const [GZIP, ZSTD] = [1, 4];

const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `${from + index}`);

describe("batches", () => {
  /** The codecs of the batches that reached the broker, in order. */
  const recording = () => {
    const codecs: number[] = [];
    const onRecords = (_topic: string, _partition: number, batch: DecodedBatch) => {
      codecs.push(batch.codec);
    };
    return { codecs, onRecords };
  };

  test("those that are open are sent, and the next are made by the new settings: codec, linger, count", async () => {
    const { codecs, onRecords } = recording();
    const change = (settings: Settings) => {
      settings.batch.linger = 3_600_000;
      settings.compression.codec = "none";
    };
    await using it = await bench(change, { onRecords });
    it.send(...numbered(10, { value: "x".repeat(500) }));
    await it.until(() => it.pipeline.topics.get("t")?.any.empty === false);
    it.reload((next) => {
      next.batch.messages = 5;
      next.compression.codec = "gzip";
    });
    await it.settled();
    expect(it.broker.records("t")).toHaveLength(10);
    codecs.length = 0;
    it.send(...numbered(5).map(({ value }) => ({ value: value.padEnd(500) })));
    await it.settled();
    expect(codecs).toEqual([GZIP]);
    it.reload((next) => {
      next.topics = [{ pattern: "t*", overrides: { codec: "zstd", messages: 2 } }];
    });
    it.send(...numbered(2).map(({ value }) => ({ value: value.padEnd(500) })));
    await it.settled();
    expect(codecs.at(-1)).toBe(ZSTD);
    expect(it.balance()).toMatchObject({ held: 0, discarded: 0, agrees: true });
  });

  test("nothing is lost, twice or out of order while settings change with every few messages", async () => {
    await using it = await bench(
      (settings) => {
        settings.topics = [];
      },
      { partitions: 3 },
    );
    const codecs = ["none", "gzip", "zstd"] as const;
    const count = 3000;
    for (let i = 0; i < count; i += 10) {
      it.send(...numbered(10).map((_, at) => ({ value: `${i + at}`, key: "k", partitionKey: 1 })));
      if (i % 50 === 0) await Bun.sleep(0);
      it.reload((next) => {
        next.batch.linger = i % 7;
        next.batch.messages = i % 13;
        next.batch.bytes = 1000 + i;
        next.compression.codec = codecs[i % 3] ?? "none";
        next.delivery.partitioner = i % 20 === 0 ? "murmur2" : "sticky";
        next.kafka.maxInFlight = 1 + (i % 5);
        next.kafka.clientId = `bruce-${i % 4}`;
        next.topics = i % 30 === 0 ? [] : [{ pattern: "t", overrides: { linger: i % 11 } }];
      });
    }
    await it.settled();
    expect(it.values("t", 1)).toEqual(upTo(count));
    expect(it.balance()).toEqual({ received: count, delivered: count, held: 0, discarded: 0, agrees: true });
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });

  test("max_record of now decides which message is too large", async () => {
    await using it = await bench();
    it.send({ value: "x".repeat(2000) });
    await it.settled();
    it.reload((next) => {
      next.batch.maxRecord = 1000;
    });
    it.send({ value: "x".repeat(2000) });
    await it.settled();
    expect(it.discards).toMatchObject([{ reason: "too_large", count: 1 }]);
  });

  test("more topics than max_topics of now are discarded; with room for more, they are taken", async () => {
    await using it = await bench((settings) => {
      settings.buffer.maxTopics = 2;
    });
    it.send({ topic: "a", value: "1" }, { topic: "b", value: "1" }, { topic: "c", value: "1" });
    await it.settled();
    expect(it.discards).toMatchObject([{ reason: "max_topics", count: 1 }]);
    it.reload((next) => {
      next.buffer.maxTopics = 3;
    });
    it.send({ topic: "c", value: "2" });
    await it.settled();
    expect(it.values("c")).toEqual(["2"]);
    it.reload((next) => {
      next.buffer.maxTopics = 1;
    });
    it.send({ topic: "a", value: "3" }, { topic: "d", value: "3" });
    await it.settled();
    expect(it.values("a")).toEqual(["1", "3"]);
    expect(it.discards).toHaveLength(2);
  });
});

describe("topics that cannot be delivered", () => {
  test("what is held is given up when unknown_topic becomes discard, and held again when it is hold", async () => {
    await using it = await bench(
      (settings) => {
        settings.kafka.autoCreateTopics = false;
      },
      { autoCreate: false },
    );
    it.send(...numbered(10));
    await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
    it.reload((next) => {
      next.topics = [{ pattern: "t", overrides: { unknownTopic: "discard" } }];
    });
    await it.settled();
    expect(it.balance()).toMatchObject({ received: 10, discarded: 10, held: 0, agrees: true });
    expect(new Set(it.discards.map(({ reason }) => reason))).toEqual(new Set(["unknown_topic"]));
    it.reload((next) => {
      next.topics = [];
    });
    it.send(...numbered(5));
    await it.until(() => it.balance().held === 5);
    it.broker.createTopic("t");
    it.pipeline.cluster.refresh("made");
    await it.until(() => it.values().length === 5);
    await it.settled();
    expect(it.balance()).toMatchObject({ received: 15, delivered: 5, discarded: 10, agrees: true });
  }, 120_000);

  test("a topic that is missing is made once auto_create_topics is on", async () => {
    await using it = await bench((settings) => {
      settings.kafka.autoCreateTopics = false;
    });
    it.send(...numbered(3));
    await it.until(() => it.pipeline.topics.get("t")?.standing.kind === "held");
    it.reload((next) => {
      next.kafka.autoCreateTopics = true;
    });
    await it.settled();
    expect(it.values()).toEqual(upTo(3));
  }, 120_000);
});

describe("brokers", () => {
  test("other addresses of the same cluster: everything goes on", async () => {
    await using it = await bench(
      (settings) => {
        settings.kafka.brokers = settings.kafka.brokers.slice(0, 1);
      },
      { brokers: 3, partitions: 3 },
    );
    it.send(...numbered(300, { partitionKey: 1 }));
    await it.settled();
    const produced = it.broker.requests.Produce;
    it.reload((next) => {
      next.kafka.brokers = it.broker.addresses.slice(2);
    });
    it.send(...numbered(300).map((_, at) => ({ value: `${300 + at}`, partitionKey: 1 })));
    await it.settled();
    expect(it.values("t", 1)).toEqual(upTo(600));
    expect(it.broker.requests.Produce).toBeGreaterThan(produced);
    expect(it.log()).not.toContain("another cluster");
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });

  test("where nobody answered: what waited is delivered as soon as the address is right", async () => {
    const wrong = parseAddress("127.0.0.1:1");
    await using it = await bench((settings) => {
      settings.kafka.brokers = [wrong as NonNullable<typeof wrong>];
    });
    it.send(...numbered(20));
    await it.until(() => it.pipeline.cluster.failures > 1);
    it.reload((next) => {
      next.kafka.brokers = it.broker.addresses;
    });
    await it.settled();
    expect(it.values()).toEqual(upTo(20));
  });

  test("another cluster: what was acknowledged stays there, what comes goes here, under a producer id of here", async () => {
    await using it = await bench();
    const there = it.broker;
    const here = await another({ clusterId: "another-cluster" });
    it.send(...numbered(20));
    await it.settled();
    it.reload((next) => {
      next.kafka.brokers = here.addresses;
    });
    await it.until(() => it.pipeline.cluster.clusterId === "another-cluster");
    it.send(...numbered(20).map((_, at) => ({ value: `${20 + at}` })));
    await it.settled();
    expect(there.records("t").map(({ value }) => `${value}`)).toEqual(upTo(20));
    expect(here.records("t").map(({ value }) => `${value}`)).toEqual(upTo(20, 20));
    expect(here.requests.InitProducerId).toBe(1);
    expect(it.log()).toContain("another cluster answers than before");
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
    expect(it.balance()).toMatchObject({ received: 40, delivered: 40, agrees: true });
  }, 120_000);

  test("another cluster, with a batch unanswered: it goes there too, and counts as possibly twice; what follows does not", async () => {
    await using it = await bench((settings) => {
      settings.kafka.requestTimeout = 60_000;
    });
    const there = it.broker;
    const here = await another({ clusterId: "another-cluster" });
    it.send(...numbered(5));
    await it.settled();
    // Whether the old cluster has it, nobody will ever know: it has.
    const unanswered = there.faults.once("Produce", { kind: "silent", append: true });
    it.send(...numbered(7).map((_, at) => ({ value: `${5 + at}` })));
    await unanswered.hit;
    it.send(...numbered(8).map((_, at) => ({ value: `${12 + at}` })));
    it.reload((next) => {
      next.kafka.brokers = here.addresses;
    });
    await it.settled();
    expect(there.records("t").map(({ value }) => `${value}`)).toEqual(upTo(12));
    expect(here.records("t").map(({ value }) => `${value}`)).toEqual(upTo(15, 5));
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(7);
    expect(it.balance()).toMatchObject({ received: 20, delivered: 20, held: 0, agrees: true });
  }, 120_000);
});

describe("connections", () => {
  test("a new client_id is what brokers see at once, with nothing sent twice", async () => {
    await using it = await bench();
    it.send(...numbered(5));
    await it.settled();
    const seen = new Set<string | null>();
    it.broker.faults.always("Produce", ({ clientId }) => {
      seen.add(clientId);
      return undefined;
    });
    it.reload((next) => {
      next.kafka.clientId = "another";
    });
    it.send(...numbered(5).map((_, at) => ({ value: `${5 + at}` })));
    await it.settled();
    expect(it.values()).toEqual(upTo(10));
    expect(seen).toEqual(new Set(["another"]));
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });

  test("a batch in flight is answered on the old connection before that is closed", async () => {
    await using it = await bench((settings) => {
      settings.kafka.requestTimeout = 60_000;
    });
    it.send(...numbered(1));
    await it.settled();
    const answer = Promise.withResolvers<void>();
    const waits = it.broker.faults.once("Produce", { kind: "delay", until: answer.promise });
    it.send({ value: "1" });
    await waits.hit;
    it.reload((next) => {
      next.kafka.clientId = "another";
    });
    it.send({ value: "2" });
    await Bun.sleep(20);
    answer.resolve();
    await it.settled();
    expect(it.values()).toEqual(upTo(3));
    expect(it.broker.requests.Produce).toBe(3);
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
  });
});
