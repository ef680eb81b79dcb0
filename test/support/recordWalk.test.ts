// The walk over a batch's bytes sees what the reader sees that makes records of them.
import { expect, test } from "bun:test";
import { startDevBroker } from "../../src/dev/devBroker.ts";
import { type PlainRecord, produceRecords } from "./kafkaProduce.ts";
import { askKafka, parseAddress } from "./kafkaSocket.ts";
import { readBack, readBackBatches } from "./readBack.ts";
import { walkRecords } from "./recordWalk.ts";

test("a walk visits every record in order, with the bytes of its value, whatever its key", async () => {
  const broker = await startDevBroker({ brokers: 1 });
  try {
    broker.createTopic("there", 1);
    const records = Array.from({ length: 300 }, (_, at): PlainRecord => {
      const key = [null, "", "key", "a key that is longer ".repeat(20)][at % 4] ?? null;
      return { timestamp: 1_700_000_000_000 + at * 1000, key, value: at % 7 === 0 ? null : `value ${at}` };
    });
    for (let at = 0; at < records.length; at += 100)
      await askKafka(parseAddress(broker.bootstrap), produceRecords("there", 0, records.slice(at, at + 100)));

    const read: [number, string | null][] = [];
    await readBack(broker.bootstrap, "there", ({ offset, value }) => read.push([offset, value?.toString() ?? null]));
    const walked: [number, string | null][] = [];
    await readBackBatches(broker.bootstrap, "there", ({ bytes, at }) =>
      walkRecords(bytes, at, (offset, value, start, end) =>
        walked.push([offset, start < 0 ? null : Buffer.from(value.subarray(start, end)).toString()]),
      ),
    );
    expect(walked).toEqual(read);
    expect(walked.length).toBe(records.length);
  } finally {
    await broker.stop();
  }
});
