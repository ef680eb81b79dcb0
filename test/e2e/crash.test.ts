// bruce, Kafka and both are killed while applications write: what had a receipt is in Kafka, once, and in its order. The long
// form is `npm run chaos`.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { heldMeanwhile } from "../chaos/heldMeanwhile.ts";
import { clean } from "../chaos/judge.ts";
import { killRounds } from "../chaos/killRounds.ts";
import { seededRandom } from "../chaos/random.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { expectBalanced } from "./books.ts";

let kafka: Kafka;
let directory: string;

beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(() => kafka?.close());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-crash-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("kill -9 five times under load, Kafka restarted in one and killed as well in another: all once and in order", async () => {
  const seed = Date.now() % 1_000_000;
  const { receipts, lines, status } = await killRounds({
    ...{ kafka, directory, prefix: "kills", rounds: 5, rate: 2000, lineRate: 5000 },
    killsBroker: (round) => (round === 1 ? "before" : round === 3 ? "after" : "no"),
    random: seededRandom(seed),
  });
  // With the seed in it, so that a run that failed can be repeated.
  expect({ seed, ...receipts }).toMatchObject({ seed, ...clean });
  expect(receipts.confirmed).toBeGreaterThan(5 * 3 * 50);
  const { sent, stderr: _, ...rest } = lines;
  expect(rest).toEqual({ inKafka: sent, firstWrong: undefined, exitCode: 0 });
  expectBalanced(status);
  expect(status.ledger).toMatchObject({ held: 0, discarded: 0, possible_duplicates: 0 });
});

test("a topic is held while 100,000 messages go by on others, then kill -9: none of them comes again", async () => {
  const none = { missing: 0, twice: 0, unexpected: 0 };
  const options = { kafka, directory, prefix: "meanwhile", count: 100_000, held: 2000 };
  const { others, held, restarted, status } = await heldMeanwhile(options);
  expect({ others, held }).toEqual({ others: none, held: none });
  expectBalanced(restarted);
  expectBalanced(status);
  expect(status.ledger).toMatchObject({ received: 102_000, delivered: 102_000, discarded: 0, possible_duplicates: 0 });
});
