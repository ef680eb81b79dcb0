// A real Kafka with a quota: what is beyond it comes later, all of it, and everybody can see why.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { limitProducer } from "../support/kafkaQuotas.ts";
import { askKafka, parseAddress } from "../support/kafkaSocket.ts";
import { readBack } from "../support/readBack.ts";
import { accountFor, exactlyOnce } from "../support/readBackVerdict.ts";
import { expectBalanced } from "./books.ts";

let kafka: Kafka;
let bruce: Bruce;

beforeAll(async () => {
  // Measured over few and short samples, so that the broker forgives soon.
  kafka = await startKafka({ properties: { "quota.window.num": "3", "quota.window.size.seconds": "1" } });
  await kafka.createTopic("t", 3);
  bruce = await startBruce({
    bootstrap: kafka.bootstrap,
    // Small requests: the answer to each may say that it was too much.
    set: ["kafka.client_id=limited", 'batch.request_bytes="32k"', 'batch.bytes="16k"', "compression.codec=none"],
  });
});
afterAll(async () => {
  await bruce?.close();
  await kafka?.close();
});

test("a producer beyond its quota is throttled, which the status, the metrics and the log tell, and nothing is lost", async () => {
  await askKafka(parseAddress(kafka.bootstrap), limitProducer("limited", 100_000));
  const ids = Array.from({ length: 2_000 }, (_, index) => `message-${index} `.padEnd(200, "."));
  const client = await openStreamClient(bruce.sockets.stream);
  const [key, timestamp] = [new Uint8Array(), Date.now()];
  for (const id of ids) {
    await client.write(encodeAnyPartition({ topic: "t", timestamp, key, value: Buffer.from(id) }));
  }
  await client.end();

  const during = await bruce.until(({ brokers }) => brokers.some(({ throttled_until: until }) => until !== null));
  expect(during.brokers[0]?.throttled_until).toBeGreaterThan(during.now);
  await bruce.untilLogged("a broker throttles us");
  const after = await bruce.until(({ ledger }) => ledger.delivered === ids.length);
  expect(after.ledger).toMatchObject({ discarded: 0, held: 0, possible_duplicates: 0 });
  expectBalanced(after);
  expect(after.brokers[0]?.throttled_ms).toBeGreaterThan(0);
  const metrics = await (await fetch(`${bruce.url}/metrics`)).text();
  expect(metrics).toMatch(/^bruce_broker_throttled_seconds_total\{broker="1",.*\} [0-9.]*[1-9]/m);

  const account = accountFor(ids);
  await readBack(kafka.bootstrap, "t", ({ value }) => account.found(value?.toString() ?? ""));
  expect(account.verdict()).toEqual(exactlyOnce);
});
