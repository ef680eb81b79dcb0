import { expect, test } from "bun:test";
import { numbered, testPipeline } from "../support/testPipeline.ts";

test("a broker that closes an idle connection has not failed", async () => {
  await using it = await testPipeline();
  it.send({ value: "before" });
  await it.settled();
  const lane = [...it.pipeline.dispatcher.brokers()][0]?.fast;
  it.broker.stopNode(1);
  it.broker.startNode(1);
  await it.until(() => lane?.state.kind !== "open");
  expect(it.log()).not.toContain("a broker cannot be reached");
  it.send({ value: "after" });
  await it.settled();
  expect(it.values()).toEqual(["before", "after"]);
});

test("a throttled lane waits once, however many batches become due meanwhile", async () => {
  await using it = await testPipeline();
  it.broker.createTopic("t", 50);
  const throttle = it.broker.faults.once("Produce", { kind: "throttle", time: 300 });
  it.send({ value: "first" });
  await throttle.done;
  await it.settled();
  const timers = new Set<number>();
  const { setTimeout } = globalThis;
  const counted = (callback: () => void, delay?: number) => {
    if (delay !== undefined && delay > 100) timers.add(timers.size);
    return setTimeout(callback, delay);
  };
  globalThis.setTimeout = counted as unknown as typeof setTimeout;
  try {
    for (let partitionKey = 0; partitionKey < 50; partitionKey++) {
      it.send(...numbered(1, { partitionKey }));
      await it.until(() => it.balance().received === partitionKey + 2);
      if (partitionKey === 10) it.pipeline.dispatcher.clusterChanged([]);
    }
    await it.settled();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  expect(timers.size).toBeLessThan(5);
});
