// What topics can be told, by the compiled executable: limits and ages over outages, kill -9 and restarts; patterns; partitions
// without a leader; topics that are missing or forbidden. All of it changed by SIGHUP where that is the point.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DaemonStatus, TopicStatus } from "../../src/observe/status.ts";
import { encodeAnyPartition, encodePartitionKey } from "../../src/wire/frame.ts";
import type { Bruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { expectBalanced } from "./books.ts";
import { diskBed, range, TOPIC } from "./diskBed.ts";

const bed = diskBed();

/** So that what comes back comes soon. */
const QUICK = ["delivery.backoff_max=200ms", "batch.linger=5ms"];

const topicOf = ({ topics }: DaemonStatus, name: string): TopicStatus | undefined =>
  topics.find((topic) => topic.name === name);

async function send(to: Bruce, topic: string, numbers: number[], partitionKey?: number): Promise<void> {
  const client = await openStreamClient(to.sockets.stream);
  const message = (number: number) => ({
    ...{ topic, timestamp: Date.now(), key: new Uint8Array() },
    value: Buffer.from(String(number).padStart(12, "0")),
  });
  const frames = numbers.map((number) =>
    partitionKey === undefined
      ? encodeAnyPartition(message(number))
      : encodePartitionKey({ ...message(number), partitionKey }),
  );
  await client.write(Buffer.concat(frames));
  await client.end();
}

const numbersIn = (topic: string, partition?: number) =>
  bed.broker.records(topic, partition).map(({ value }) => Number(String(value)));

const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b);

test("rate_limit counts what was received, over an outage and kill -9, and limits nothing for being late", async () => {
  // The interval is a year, so that no test runs across its end.
  const set = [...QUICK, `topics.${TOPIC}.rate_limit=50/8760h`];
  const first = await bed.serve(set);
  await bed.write(first, 10);
  await bed.drained(first);
  bed.away();
  await bed.write(first, 100, { first: 10 });
  const away = await first.until((status) => topicOf(status, TOPIC)?.received === 110);
  expect(topicOf(away, TOPIC)).toMatchObject({ delivered: 10, held: 40, discards_by_reason: { rate_limited: 60 } });
  expectBalanced(away);
  await first.kill("SIGKILL");
  bed.back();
  const second = await bed.serve(set);
  const end = await bed.drained(second);
  expectBalanced(end);
  // The ten that were delivered before are not counted again: so many more may have come through.
  const { length } = bed.arrived();
  expect(bed.arrived()).toEqual(range(0, length));
  expect(length).toBeGreaterThanOrEqual(50);
  expect(length).toBeLessThanOrEqual(60);
  expect(end.ledger).toMatchObject({ received: 110, delivered: length, discarded: 110 - length });
}, 300_000);

test("max_age goes on over an outage, kill -9 and a restart, and gives nothing up that is younger or of other topics", async () => {
  bed.broker.createTopic("kept", 1);
  const set = [...QUICK, `topics.${TOPIC}.max_age=10s`, "topics.gone.max_age=10s"];
  const first = await bed.serve(set);
  await bed.write(first, 5);
  await bed.write(first, 5, { topic: "kept" });
  await bed.drained(first);
  await bed.write(first, 1000, { topic: "gone" });
  await first.until((status) => topicOf(status, "gone")?.held_logs?.[0]?.messages === 1000);
  bed.away();
  await bed.write(first, 20, { first: 5 });
  await bed.write(first, 20, { topic: "kept", first: 5 });
  await first.until(({ ledger }) => ledger.received === 1050);
  await first.kill("SIGKILL");

  const second = await bed.serve(set);
  // Of what had been delivered when it was killed, it may know no more than that it was sent: that is kept.
  const expired = await second.until(
    (status) => topicOf(status, TOPIC)?.discarded === 20 && topicOf(status, "gone")?.held === 0,
  );
  expect(topicOf(expired, TOPIC)?.discards_by_reason).toEqual({ expired: 20 });
  expect(topicOf(expired, "gone")).toMatchObject({ discards_by_reason: { expired: 1000 }, lag_bytes: 0 });
  expect(topicOf(expired, "kept")?.discarded).toBe(0);
  expect(topicOf(expired, "kept")?.held).toBeGreaterThanOrEqual(20);
  expectBalanced(expired);
  await second.until(({ buffer }) => buffer.held_bytes === 0);

  await bed.write(second, 20, { first: 25 });
  bed.back();
  const end = await bed.drained(second);
  expect(bed.arrived()).toEqual([...range(0, 5), ...range(25, 45)]);
  expect(bed.arrived("kept")).toEqual(range(0, 25));
  expectBalanced(end);
  expect(end.ledger).toMatchObject({ received: 1070, delivered: 50, discarded: 1020, possible_duplicates: 0 });
}, 300_000);

test("of the rules for a topic the longest holds, alone, and another one after SIGHUP", async () => {
  const rules = (more: string) => `
    kafka.brokers = ["${bed.broker.bootstrap}"]
    delivery.backoff_max = "200ms"
    batch.linger = "5ms"
    [topics."*"]
    unknown_topic = "discard"
    [topics."logs.*"]
    rate_limit = "2/8760h"
    ${more}
    [topics."logs.audit"]
    max_age = "24h"
  `;
  const config = rules("");
  for (const name of ["logs.web", "logs.audit"]) bed.broker.createTopic(name, 1);
  const bruce = await bed.serve([], { config });
  for (const name of ["missing", "logs.web", "logs.audit", "logs.missing"]) await send(bruce, name, range(0, 5));
  const before = await bruce.until(
    (status) => status.ledger.received === 20 && status.ledger.held === 2 && topicOf(status, "missing")?.held === 0,
  );
  expect(topicOf(before, "missing")?.discards_by_reason).toEqual({ unknown_topic: 5 });
  expect(topicOf(before, "logs.web")?.discards_by_reason).toEqual({ rate_limited: 3 });
  expect(topicOf(before, "logs.missing")).toMatchObject({ held: 2, discards_by_reason: { rate_limited: 3 } });
  expect([numbersIn("logs.web"), numbersIn("logs.audit")]).toEqual([range(0, 2), range(0, 5)]);

  writeFileSync(join(bed.directory, "bruce.toml"), rules('unknown_topic = "discard"'));
  process.kill(bruce.pid, "SIGHUP");
  const after = await bed.drained(bruce);
  expect(topicOf(after, "logs.missing")?.discards_by_reason).toEqual({ rate_limited: 3, unknown_topic: 2 });
  expectBalanced(after);
}, 300_000);

test("a partition without a leader is waited for, in order, or left for the next, as the settings say", async () => {
  for (const name of ["waits", "goes"]) bed.broker.createTopic(name, 3);
  const bruce = await bed.serve([...QUICK, "topics.goes.on_unavailable=next"]);
  for (const name of ["waits", "goes"]) await send(bruce, name, [0], 1);
  await bed.drained(bruce);
  for (const name of ["waits", "goes"]) bed.broker.setLeader(name, 1, -1);
  // A batch that is refused makes it look; and it stays, since it was sent.
  const only = [{ topic: "goes" }];
  const refused = bed.broker.faults.once({ api: "Produce", topic: "goes" }, { kind: "error", code: 6, only });
  for (const name of ["waits", "goes"]) await send(bruce, name, range(1, 21), 1);
  await refused.hit;
  for (const name of ["waits", "goes"]) await send(bruce, name, range(21, 41), 1);
  for (const name of ["waits", "goes"]) await send(bruce, name, range(41, 51), 2);
  await bruce.until(() => numbersIn("waits", 2).length === 10 && numbersIn("goes", 2).length === 30);
  for (const name of ["waits", "goes"]) bed.broker.setLeader(name, 1, 1);
  const end = await bed.drained(bruce);
  expect([numbersIn("waits", 1), numbersIn("waits", 0)]).toEqual([range(0, 41), []]);
  expect(sorted([0, 1, 2].flatMap((id) => numbersIn("goes", id)))).toEqual(range(0, 51));
  expectBalanced(end);
  expect(end.ledger).toMatchObject({ received: 102, delivered: 102, discarded: 0 });
}, 300_000);

test("a topic that may not be written is held or given up, and after SIGHUP the other way round", async () => {
  const rules = (held: string, given: string) => `
    kafka.brokers = ["${bed.broker.bootstrap}"]
    delivery.backoff_max = "200ms"
    batch.linger = "5ms"
    topics."${held}".unauthorized_topic = "hold"
    topics."${given}".unauthorized_topic = "discard"
  `;
  for (const name of ["a", "b"]) bed.broker.createTopic(name, 1);
  const only = [{ topic: "a" }, { topic: "b" }];
  const refusal = bed.broker.faults.always("Produce", { kind: "error", code: 29, only });
  const bruce = await bed.serve([], { config: rules("a", "b") });
  for (const name of ["a", "b"]) await send(bruce, name, range(0, 10));
  const before = await bruce.until((status) => topicOf(status, "b")?.discarded === 10);
  expect((await bruce.until((status) => topicOf(status, "a")?.state === "held")).ledger.held).toBe(10);
  expectBalanced(before);
  writeFileSync(join(bed.directory, "bruce.toml"), rules("b", "a"));
  process.kill(bruce.pid, "SIGHUP");
  await bruce.until((status) => topicOf(status, "a")?.discarded === 10);
  for (const name of ["a", "b"]) await send(bruce, name, range(10, 20));
  await bruce.until((status) => topicOf(status, "a")?.discarded === 20 && topicOf(status, "b")?.state === "held");
  refusal.remove();
  const end = await bed.drained(bruce);
  expect([numbersIn("a"), numbersIn("b")]).toEqual([[], range(10, 20)]);
  expect(topicOf(end, "a")?.discards_by_reason).toEqual({ unauthorized_topic: 20 });
  expectBalanced(end);
}, 300_000);
