// The witness reads the embedded broker as it reads a real one.
import { expect, test } from "bun:test";
import { startDevBroker } from "../../src/dev/devBroker.ts";
import { produceRecords } from "./kafkaProduce.ts";
import { askKafka } from "./kafkaSocket.ts";
import { readBack } from "./readBack.ts";

test("all partitions of all nodes are read, each in the order of its offsets", async () => {
  const broker = await startDevBroker({ brokers: 2 });
  try {
    broker.createTopic("there", 4);
    const values = Array.from({ length: 300 }, (_, at) => `value ${at}`);
    for (const { id, leader } of broker.topics()[0]?.partitions ?? []) {
      const address = broker.addresses[leader - 1] ?? { host: "", port: 0 };
      for (let at = 0; at < values.length; at += 100) {
        const records = values.slice(at, at + 100).map((value) => ({ timestamp: at, key: `${id}`, value }));
        await askKafka(address, produceRecords("there", id, records));
      }
    }

    const found: string[][] = [[], [], [], []];
    const count = await readBack(broker.bootstrap, "there", ({ partition, offset, key, value }) => {
      expect(key?.toString()).toBe(`${partition}`);
      expect(offset).toBe(found[partition]?.length ?? -1);
      found[partition]?.push(`${value}`);
    });
    expect(count).toBe(1200);
    expect(found).toEqual([values, values, values, values]);
  } finally {
    await broker.stop();
  }
});
