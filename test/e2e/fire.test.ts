// Three real nodes under fire while applications write: whatever happens to them, what had a receipt is in Kafka, once, and in
// the order of its key. The long form, with how long it all takes, is `npm run chaos -- --only acts,fire`.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addPartitions, allDown, freezeBroker, killBroker, remakeTopic } from "../chaos/fire/acts.ts";
import { faultsOf, fire } from "../chaos/fire/fire.ts";
import { reportOf } from "../chaos/fire/report.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";

const RATE = 4000;
/** Milliseconds; a broker is frozen for longer. */
const REQUEST_TIMEOUT = 3000;

let kafka: Kafka;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "bruce-fire-"));
  kafka = await startKafka({ nodes: 3 });
});
afterAll(async () => {
  await kafka?.close();
  rmSync(directory, { recursive: true, force: true });
});

test("brokers killed, frozen and all down, bruce killed, partitions added, topics remade: all once and in order", async () => {
  const acts = [
    addPartitions(5),
    remakeTopic(0),
    remakeTopic(2000),
    killBroker(1),
    freezeBroker(2, 2 * REQUEST_TIMEOUT),
    allDown(0, { bruceToo: true }),
  ];
  const parts = { kafka, directory, rate: RATE, requestTimeout: REQUEST_TIMEOUT, calm: 500, after: 500 };
  const result = await fire(parts, acts);
  // With the whole report, so that a run that failed can be understood.
  expect(faultsOf(result), reportOf(result).join("\n")).toEqual([]);
  expect(result.verdict.total.confirmed).toBeGreaterThan(RATE * acts.length);
  expect(result.acts.map(({ name }) => name)).toEqual(acts.map(({ name }) => name));
});
