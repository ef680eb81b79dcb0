// What a real Kafka does not take: single records at fault, records and batches that are too large. The rest is delivered.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { TopicStatus } from "../../src/observe/status.ts";
import { encodePartitionKey } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import type { KafkaVersion } from "../support/kafkaJars.ts";
import { readBack } from "../support/readBack.ts";

interface Message {
  key?: string;
  value: string;
  timestamp?: number;
}

const HOUR = 3_600_000;
const LIMIT = 10_000;

describe.each<KafkaVersion>(["4.1.0", "3.9.1"])("Kafka %s", (version) => {
  let kafka: Kafka;
  let bruce: Bruce;

  beforeAll(async () => {
    kafka = await startKafka({ version });
    const topics: Record<string, Record<string, string>> = {
      fine: {},
      compacted: { "cleanup.policy": "compact" },
      punctual: version === "4.1.0" ? {} : { "message.timestamp.after.max.ms": `${HOUR}` },
      narrow: { "max.message.bytes": `${LIMIT}` },
      recompressed: { "max.message.bytes": `${LIMIT}`, "compression.type": "uncompressed" },
    };
    for (const [name, config] of Object.entries(topics)) await kafka.createTopic(name, 1, 1, config);
    bruce = await startBruce({ bootstrap: kafka.bootstrap });
  });
  afterAll(async () => {
    await bruce?.close();
    await kafka?.close();
  });

  async function send(topic: string, messages: Message[]): Promise<void> {
    const client = await openStreamClient(bruce.sockets.stream);
    const frames = messages.map(({ key = "", value, timestamp = Date.now() }) =>
      encodePartitionKey({ topic, key: Buffer.from(key), value: Buffer.from(value), timestamp, partitionKey: 0 }),
    );
    await client.write(Buffer.concat(frames));
    await client.end();
  }

  async function settled(topic: string, count: number): Promise<TopicStatus> {
    const find = (topics: TopicStatus[]) => topics.find(({ name }) => name === topic);
    const status = await bruce.until(({ topics }) => {
      const { received = 0, held = 1 } = find(topics) ?? {};
      return received === count && held === 0;
    });
    expect(status.ledger.balanced).toBe(true);
    return find(status.topics) as TopicStatus;
  }

  async function values(topic: string): Promise<string[]> {
    const found: string[] = [];
    await readBack(kafka.bootstrap, topic, ({ value }) => found.push(value?.toString() ?? "(null)"));
    return found;
  }

  test("refuses a null key on a compacted topic, and that message alone is discarded", async () => {
    const messages = Array.from({ length: 50 }, (_, at) => ({ key: at % 10 === 7 ? "" : `k${at}`, value: `v${at}` }));
    await send("compacted", messages);
    const status = await settled("compacted", 50);
    expect(status).toMatchObject({ delivered: 45, discards_by_reason: { rejected_by_broker: 5 } });
    expect(await values("compacted")).toEqual(messages.filter(({ key }) => key !== "").map(({ value }) => value));
    expect(bruce.log()).toMatch(/INVALID_RECORD.*"value":"v7".*Kafka does not take messages/);
  });

  test("refuses a timestamp in the far future, and that message alone is discarded", async () => {
    const now = Date.now();
    const messages = Array.from({ length: 50 }, (_, at) => ({
      value: `v${at}`,
      timestamp: at === 20 || at === 49 ? now + 2 * HOUR : now,
    }));
    await send("punctual", messages);
    const status = await settled("punctual", 50);
    expect(status).toMatchObject({ delivered: 48, discards_by_reason: { rejected_by_broker: 2 } });
    expect(await values("punctual")).toEqual(messages.filter(({ timestamp }) => timestamp === now).map((m) => m.value));
    expect(bruce.log()).toMatch(/INVALID_TIMESTAMP.*"value":"v20".*Kafka does not take messages/);
  });

  test.each(["narrow", "recompressed"])(
    "refuses batches and messages beyond the max.message.bytes of %s: that is learned",
    async (topic) => {
      const text = (size: number) =>
        randomBytes(size / 4)
          .toString("hex")
          .padEnd(size, "x");
      const messages = Array.from({ length: 5000 }, (_, at) => ({ value: `${at} ${text(500)}` }));
      messages[2500] = { value: `2500 ${randomBytes(LIMIT).toString("base64")}` };
      for (let from = 0; from < messages.length; from += 500) {
        await send(topic, messages.slice(from, from + 500));
        await settled(topic, Math.min(from + 500, messages.length));
      }
      const status = await settled(topic, messages.length);
      expect(status).toMatchObject({ delivered: 4999, discards_by_reason: { too_large: 1 } });
      expect(status.batch_limit?.refused).toBeGreaterThan(0);
      expect(status.batch_limit?.refused).toBeLessThanOrEqual(20);
      expect(await values(topic)).toEqual(messages.map(({ value }) => value).filter((_, at) => at !== 2500));
    },
  );

  test("takes what is for other topics as if nothing were", async () => {
    await send("fine", [{ value: "a" }, { value: "b" }]);
    expect(await settled("fine", 2)).toMatchObject({ delivered: 2, discarded: 0, possible_duplicates: 0 });
    expect((await bruce.status()).ledger).toMatchObject({ balanced: true, possible_duplicates: 0, held: 0 });
  });
});
