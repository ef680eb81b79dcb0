// Kafka is away while messages come in: the backlog costs disk and no memory, a start does not read it, and all of it arrives.
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { BulkAccount } from "../chaos/bulk.ts";
import { bytesRead, peakMemory, reachesRest } from "../support/processRest.ts";
import { expectBalanced } from "./books.ts";
import { diskBed, filesIn, TOPIC } from "./diskBed.ts";

const MB = 1024 * 1024;
const COUNT = 300_000;
const SIZE = 300;
const MEMORY = 16 * MB;
const SEGMENT = 2 * MB;
/** What it may take beside buffer.memory. */
const BESIDES = 100_000_000;

const bed = diskBed();

test(`${COUNT} messages of a backlog cost no memory, are not read at the start, and come once after two kill -9`, async () => {
  const set = [`buffer.memory=${MEMORY}`, `buffer.segment=${SEGMENT}`];
  const start = () => bed.serve(set);
  bed.away();
  const empty = await start();
  await reachesRest(empty.pid);
  const readWithout = await bytesRead(empty.pid);
  await bed.write(empty, COUNT, { size: SIZE });
  expect(await peakMemory(empty.pid)).toBeLessThanOrEqual(MEMORY + BESIDES);
  await empty.kill("SIGKILL");
  const onDisk = filesIn(bed.directory, "state", "log").reduce((sum, path) => sum + statSync(path).size, 0);
  expect(onDisk).toBeGreaterThan(COUNT * SIZE);

  const again = await start();
  await reachesRest(again.pid);
  // It reads ahead what memory has room for, and the unfinished file to its end. All the rest of it is left alone.
  expect((await bytesRead(again.pid)) - readWithout).toBeLessThan(MEMORY + SEGMENT);
  expect(MEMORY + SEGMENT).toBeLessThan(onDisk / 4);
  expectBalanced(await again.until(({ ledger }) => ledger.held === COUNT));
  await again.kill("SIGKILL");

  const last = await start();
  bed.back();
  const status = await bed.drained(last);
  expectBalanced(status);
  expect(status.ledger).toMatchObject({ received: COUNT, delivered: COUNT, discarded: 0, possible_duplicates: 0 });
  const account = new BulkAccount(COUNT);
  for (const { value } of bed.broker.records(TOPIC)) account.found(value ?? Buffer.alloc(0));
  const { missing, twice, unexpected } = account;
  expect({ missing, twice, unexpected }).toEqual({ missing: 0, twice: 0, unexpected: 0 });
  expect(await last.stop()).toBe(0);
});
