import { afterEach, expect, test } from "bun:test";
import { daemonStatus } from "../src/daemonStatus.ts";
import { receive } from "../src/observe/ledger.ts";
import { createLogger } from "../src/observe/log.ts";
import { memoryOnly } from "../src/observe/memoryOnly.ts";
import type { HeldLogStatus, SpoolReport } from "../src/observe/status.ts";
import { startPipeline } from "../src/pipeline.ts";
import { MemoryQueue, openMemoryQueueWriter } from "../src/spool/memoryQueue.ts";
import { frameOf, quickSettings } from "./support/testPipeline.ts";

const started: (() => void)[] = [];
afterEach(() => {
  for (const stop of started.splice(0)) stop();
});

/** The status of a daemon without brokers, of whose topic `t` ten messages were received. */
const CONFIG = { file: null, loaded_at: 0, error: null, failed_at: null, restart_needed: [] };

function statusWith(report: Partial<SpoolReport> | undefined) {
  const settings = quickSettings();
  settings.kafka.brokers = [{ host: "127.0.0.1", port: 1 }];
  const log = createLogger({ level: "error", format: "json", file: "" }, { write: () => {} });
  const queue = new MemoryQueue(1024 * 1024);
  const pipeline = startPipeline({ settings, queue, log, onDiscard: () => {} });
  started.push(() => void pipeline.stop());
  receive(pipeline.ledger.total, 10);
  receive(pipeline.ledger.topic("t"), 10);
  return daemonStatus({
    ...{
      version: "1",
      startedAt: 0,
      settings,
      config: CONFIG,
      state: "running",
      queue,
      queueCapacity: 1024 * 1024,
      pipeline,
    },
    ...{ inputs: [], discardSamples: [] },
    ...(report === undefined ? {} : { spool: { ...memoryOnly(false, 0), ...report } }),
  });
}

const held: HeldLogStatus = {
  topic: "t",
  partition: null,
  reason: "the topic does not exist",
  messages: 10,
  bytes: 2000,
  oldest_age: 5000,
};

test("without a disk buffer the status says memory only", () => {
  const { buffer, topics } = statusWith(undefined);
  expect(buffer).toEqual(memoryOnly(false, 0).buffer);
  expect(topics).toMatchObject([{ name: "t", state: "live", unread: 0 }]);
  expect(topics[0]).not.toHaveProperty("held_logs");
});

test("a topic with a log of its own is held for its reason, and lags by it", () => {
  const { topics } = statusWith({ held: [held] });
  const { topic: _, ...log } = held;
  expect(topics).toMatchObject([
    {
      ...{ name: "t", state: "held", reason: "the topic does not exist" },
      ...{ lag_bytes: 2000, oldest_unsent_age: 5000, held_logs: [log] },
    },
  ]);
});

test("a partition's reason says which, and one that is delivered again holds nothing", () => {
  const one = { ...held, partition: 3, reason: "no leader" };
  expect(statusWith({ held: [{ ...held, reason: null }, one] }).topics).toMatchObject([
    { state: "held", reason: "partition 3: no leader" },
  ]);
  expect(statusWith({ held: [{ ...held, reason: null }] }).topics).toMatchObject([{ state: "live" }]);
});

test("what waits in held logs balances the books, for the main log counts it as settled", () => {
  expect(statusWith({ held: [held] }).ledger.balanced).toBe(true);
  expect(statusWith({ held: [{ ...held, messages: 9 }] }).ledger.balanced).toBe(false);
});

test("topics that are known from the backlog on disk alone are listed too", () => {
  const unread = new Map([
    ["t", 5],
    ["new", 7],
    ["", 3],
  ]);
  const topics = statusWith({ unread }).topics.map(({ name, received, unread: count }) => ({ name, received, count }));
  expect(topics).toEqual([
    { name: "t", received: 10, count: 5 },
    { name: "new", received: 0, count: 7 },
  ]);
});

test("what waits to be placed, since Kafka has not answered yet, has an age too", async () => {
  const settings = quickSettings();
  settings.kafka.brokers = [{ host: "127.0.0.1", port: 1 }];
  const log = createLogger({ level: "error", format: "json", file: "" }, { write: () => {} });
  const queue = new MemoryQueue(1024 * 1024);
  const writer = openMemoryQueueWriter(queue.memory, () => setImmediate(() => queue.wake()));
  const pipeline = startPipeline({ settings, queue, log, onDiscard: () => {} });
  started.push(() => void pipeline.stop());
  for (const [value, age] of [["old", 60_000] as const, ["new", 0] as const]) {
    const frame = frameOf({ value });
    writer.append(1, Date.now() - age, frame, 0, frame.length, 1);
  }
  while (pipeline.ledger.total.received < 2) await Bun.sleep(1);
  const [topic] = daemonStatus({
    ...{
      version: "1",
      startedAt: 0,
      settings,
      config: CONFIG,
      state: "running",
      queue,
      queueCapacity: 1024 * 1024,
      pipeline,
    },
    ...{ inputs: [], discardSamples: [] },
  }).topics;
  expect(topic).toMatchObject({ state: "held", held: 2 });
  expect(topic?.oldest_unsent_age).toBeGreaterThanOrEqual(60_000);
});
