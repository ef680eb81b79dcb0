// Random troubles of topics, partitions and brokers, in any order, with and without disk: every keyed message comes to its
// partition once and in order, and everything ends.
import { expect, test } from "bun:test";
import type { FaultRule } from "../../src/dev/faults.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { randomFrom } from "../support/fakeInode.ts";
import { type TestMessage, testPipeline } from "../support/testPipeline.ts";

const PARTITIONS = 3;
const TOPICS = ["t", "u"];

async function live(seed: number, disk: boolean): Promise<void> {
  const random = randomFrom(seed);
  const below = (most: number) => Math.floor(random() * most);
  const files = new FakeFiles(seed);
  files.makeDirectory("/held");
  const held = disk
    ? new HeldLogs({ files, directory: "/held", directoryId: "0".repeat(32), cap: 1 << 30, segment: 1 << 16 })
    : undefined;
  await using it = await testPipeline(
    (settings) => {
      settings.batch.messages = 1 + below(30);
      settings.buffer.memory = 16 << 20;
    },
    { brokers: 2 },
    { ...(held === undefined ? {} : { held }), hold: { times: { after: below(40), gone: 3_600_000, every: 5 } } },
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
    () => files.setFaults(below(2) === 0 ? {} : { shortWrite: 0.3, noSpace: 0.3, writeError: 0.2 }),
  ];
  for (let step = 0; step < 60; step++) {
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
  for (const topic of TOPICS) {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      expect([topic, partition, keyed(topic, partition)]).toEqual([
        ...[topic, partition],
        sent.get(`${topic} ${partition}`) ?? [],
      ]);
    }
  }
  const all = TOPICS.flatMap((topic) => it.values(topic));
  expect([all.length, new Set(all).size]).toEqual([next, next]);
  expect(it.balance()).toMatchObject({ received: next, delivered: next, held: 0, discarded: 0, agrees: true });
  expect([it.pipeline.around.memory.used, it.pipeline.around.heldMemory.used]).toEqual([0, 0]);
  if (held === undefined) return;
  held.drop(held.garbage());
  expect([held.bytes, files.list("/held")]).toEqual([0, []]);
}

test.each(Array.from({ length: 6 }, (_, seed) => 1 + seed))("with a disk buffer (seed %d)", (seed) => live(seed, true));
test.each(Array.from({ length: 4 }, (_, seed) => 50 + seed))("without (seed %d)", (seed) => live(seed, false));
