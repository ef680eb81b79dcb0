// Random troubles of topics, partitions and brokers, in any order, with and without disk: every keyed message comes to its
// partition once and in order, and everything ends. With max_age as well: then those that are not there were too old.
import { expect, test } from "bun:test";
import type { FaultRule } from "../../src/dev/faults.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { randomFrom } from "../support/fakeInode.ts";
import { type TestMessage, testPipeline } from "../support/testPipeline.ts";

const PARTITIONS = 3;
const TOPICS = ["t", "u"];

/** With max_age, time passes in steps that are far beyond what the test takes. Milliseconds. */
const MAX_AGE = 100_000;

interface Kind {
  disk?: boolean;
  aging?: boolean;
  /** on_unavailable = "next": there is no order then, and no partition that a message must be in. */
  next?: boolean;
}

async function live(seed: number, { disk = false, aging = false, next: moves = false }: Kind): Promise<void> {
  const random = randomFrom(seed);
  const below = (most: number) => Math.floor(random() * most);
  const files = new FakeFiles(seed);
  files.makeDirectory("/held");
  const held = disk
    ? new HeldLogs({ files, directory: "/held", directoryId: "0".repeat(32), cap: 1 << 30, segment: 1 << 16 })
    : undefined;
  let passed = 0;
  const ageClocks = { wall: () => 1_795_000_000_000 + passed, monotonic: () => passed };
  const bornAt = new Map<string, number>();
  await using it = await testPipeline(
    (settings) => {
      if (aging) settings.topics.push({ pattern: "t", overrides: { maxAge: MAX_AGE } });
      if (moves) settings.delivery.onUnavailable = "next";
      settings.batch.messages = 1 + below(30);
      settings.buffer.memory = 16 << 20;
    },
    { brokers: 2 },
    {
      ageClocks,
      ...(held === undefined ? {} : { held }),
      hold: { times: { after: below(40), gone: 3_600_000, every: 5 } },
    },
  );
  const down = new Set<number>();
  const sent = new Map<string, string[]>();
  const refusals = new Map<string, FaultRule>();
  let next = 0;
  for (const topic of TOPICS) it.broker.createTopic(topic, PARTITIONS, (partition) => 1 + (partition % 2));
  const steps: (() => void)[] = [
    () => {
      const messages: TestMessage[] = [];
      for (let count = below(100); count > 0; count--) {
        const topic = TOPICS[below(TOPICS.length)] as string;
        const value = `${next++}`;
        bornAt.set(value, passed);
        const partitionKey = below(PARTITIONS + 1);
        if (partitionKey === PARTITIONS) messages.push({ topic, value: `any ${value}` });
        else {
          messages.push({ topic, value, partitionKey });
          const lane = `${topic} ${partitionKey}`;
          sent.set(lane, [...(sent.get(lane) ?? []), value]);
        }
      }
      if (messages.length > 0) it.send(...messages);
    },
    () => {
      const topic = TOPICS[below(TOPICS.length)] as string;
      const refusal = refusals.get(topic);
      if (refusal === undefined) {
        const fault = { kind: "error" as const, code: 29, only: [{ topic }] };
        refusals.set(topic, it.broker.faults.always({ api: "Produce", topic }, fault));
      } else {
        refusal.remove();
        refusals.delete(topic);
      }
    },
    () => {
      it.broker.setLeader(TOPICS[below(TOPICS.length)] as string, below(PARTITIONS), [-1, 1, 2][below(3)] as number);
      it.pipeline.cluster.refresh("the test moved a leader");
    },
    () => {
      const node = 1 + below(2);
      if (down.delete(node)) it.broker.startNode(node);
      else if (down.size === 0) {
        it.broker.stopNode(node);
        down.add(node);
      }
      it.pipeline.cluster.refresh("the test stopped or started a broker");
    },
    () => {
      if (held !== undefined) held.drop(held.garbage());
    },
    () => {
      if (!aging) return;
      // What was not delivered by then may be too old at once, or old enough never again.
      const maxAge = below(2) * MAX_AGE;
      it.settings.topics = [{ pattern: "t", overrides: { maxAge } }];
      it.pipeline.topicSettingsChanged();
    },
    () => files.setFaults(below(2) === 0 ? {} : { shortWrite: 0.3, noSpace: 0.3, writeError: 0.2 }),
  ];
  for (let step = 0; step < 60; step++) {
    if (aging && below(6) === 0) passed += below(MAX_AGE);
    (random() < 0.5 ? steps[0] : steps[below(steps.length)])?.();
    await Bun.sleep(below(15));
  }
  files.setFaults({});
  for (const refusal of refusals.values()) refusal.remove();
  for (const node of down) it.broker.startNode(node);
  for (const topic of TOPICS) for (let id = 0; id < PARTITIONS; id++) it.broker.setLeader(topic, id, 1 + (id % 2));
  it.pipeline.cluster.refresh("the test is nearly over");
  await it.until(() => it.balance().received === next);
  await it.settled();
  const keyed = (topic: string, partition: number) =>
    it.values(topic, partition).filter((value) => !value.startsWith("any"));
  const all = TOPICS.flatMap((topic) => it.values(topic));
  const there = new Set(all.map((value) => value.replace("any ", "")));
  for (const topic of moves ? [] : TOPICS) {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      expect([topic, partition, keyed(topic, partition)]).toEqual([
        ...[topic, partition],
        (sent.get(`${topic} ${partition}`) ?? []).filter((value) => there.has(value)),
      ]);
    }
  }
  const missing = [...bornAt].filter(([value]) => !there.has(value));
  for (const [, at] of missing) expect(passed - at).toBeGreaterThan(MAX_AGE);
  expect([all.length, there.size]).toEqual([next - missing.length, all.length]);
  if (!aging) expect(missing).toEqual([]);
  expect(it.pipeline.ledger.topic("u").discarded).toBe(0);
  expect(Object.fromEntries(it.pipeline.ledger.topic("t").discardsByReason)).toEqual(
    missing.length === 0 ? {} : { expired: missing.length },
  );
  expect(it.balance()).toMatchObject({ received: next, delivered: all.length, held: 0, agrees: true });
  expect([it.pipeline.around.memory.used, it.pipeline.around.heldMemory.used]).toEqual([0, 0]);
  if (held === undefined) return;
  held.drop(held.garbage());
  expect([held.bytes, files.list("/held")]).toEqual([0, []]);
}

const KINDS: [name: string, kind: Kind, seeds: number[]][] = [
  ["with a disk buffer", { disk: true }, [1, 2, 3, 4, 5, 6]],
  ["without", {}, [50, 51, 52, 53]],
  ["with max_age", { disk: true, aging: true }, [100, 101, 102, 103]],
  ["with max_age, without disk", { aging: true }, [150, 151, 152]],
  ["going to the next partition", { disk: true, next: true }, [200, 201, 202]],
  ["going to the next partition, without disk", { next: true }, [250, 251, 252]],
];
for (const [name, kind, seeds] of KINDS) test.each(seeds)(`${name} (seed %d)`, (seed) => live(seed, kind));
