// A broker that wants silence gets it, on every connection to it, and everybody can see that.
import { expect, test } from "bun:test";
import { brokerStatus } from "../../src/brokerStatus.ts";
import { numbered, type TestPipeline, testPipeline } from "../support/testPipeline.ts";

/** How much of the silence was left whenever a produce request came. */
function watchRequests(it: TestPipeline): { left: number[] } {
  const left: number[] = [];
  it.broker.faults.always("Produce", () => {
    for (const { throttle } of it.pipeline.dispatcher.brokers()) left.push(throttle.left(it.pipeline.now()));
    return undefined;
  });
  return { left };
}

function statusOf(it: TestPipeline) {
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  if (broker === undefined) throw new Error("no broker was needed");
  return { broker, ...brokerStatus(broker, it.pipeline.now()) };
}

test("neither lane sends while a broker throttles, nor is a connection opened to it; then all of it goes", async () => {
  await using it = await testPipeline();
  it.broker.createTopic("t", 4);
  const seen = watchRequests(it);
  it.send(...numbered(1, { partitionKey: 0 }));
  await it.settled();
  it.broker.faults.clear();
  // One partition fails, and goes by the slow lane from then on; the answer that says so throttles.
  const failure = it.broker.faults.once("Produce", { kind: "error", code: 19, throttleTime: 400 });
  it.send(...numbered(1, { partitionKey: 1 }));
  await failure.done;
  const again = watchRequests(it);
  await it.until(() => statusOf(it).throttled_until !== null);
  it.send(...numbered(2, { partitionKey: 1 }), ...numbered(2, { partitionKey: 2 }));
  const { broker } = statusOf(it);
  await it.until(() => broker.fast.line.length > 0 && broker.slow.line.length > 0);
  expect(broker.throttle.left(it.pipeline.now())).toBeGreaterThan(0);
  // A connection that ends meanwhile is not replaced before.
  broker.fast.cut();
  await it.until(() => broker.fast.state.kind !== "closed" || broker.throttle.left(it.pipeline.now()) === 0);
  expect(broker.throttle.left(it.pipeline.now())).toBe(0);
  await it.settled();
  expect(again.left.length).toBeGreaterThanOrEqual(2);
  for (const left of [...seen.left, ...again.left]) expect(left).toBe(0);
  expect(statusOf(it)).toMatchObject({ throttled_until: null, state: "up" });
  expect(statusOf(it).throttled_ms).toBeGreaterThan(300);
  expect(it.values("t", 1)).toEqual(["0", "0", "1"]);
});

test("another broker is sent to meanwhile", async () => {
  await using it = await testPipeline(() => {}, { brokers: 2 });
  it.broker.createTopic("t", 2);
  it.send(...numbered(1, { partitionKey: 0 }), ...numbered(1, { partitionKey: 1 }));
  await it.settled();
  it.broker.faults.once({ api: "Produce", node: 1 }, { kind: "throttle", time: 60_000 });
  it.send(...numbered(1, { partitionKey: 0 }));
  await it.settled();
  it.send(...numbered(1, { partitionKey: 0 }), ...numbered(1, { partitionKey: 1 }));
  await it.until(() => it.values("t", 1).length === 2);
  expect(it.values("t", 0).length).toBe(2);
  expect([...it.pipeline.dispatcher.brokers()].map(({ throttle }) => throttle.left(it.pipeline.now()) > 0)).toEqual([
    true,
    false,
  ]);
});

test("THROTTLING_QUOTA_EXCEEDED is obeyed, and the batch sent again", async () => {
  await using it = await testPipeline();
  it.broker.faults.times(2, "Produce", { kind: "error", code: 89, throttleTime: 50 });
  it.send(...numbered(5));
  await it.settled();
  expect(it.values()).toEqual(["0", "1", "2", "3", "4"]);
  expect(statusOf(it).throttled_ms).toBeGreaterThan(80);
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
});

test("throttling is logged when it begins, once in a while", async () => {
  await using it = await testPipeline();
  it.broker.faults.times(5, "Produce", { kind: "throttle", time: 20 });
  for (let i = 0; i < 5; i++) {
    it.send({ value: `${i}` });
    await it.settled();
  }
  expect(it.log().split("a broker throttles us").length - 1).toBe(1);
});
