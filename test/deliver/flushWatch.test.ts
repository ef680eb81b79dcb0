// A stop waits for what can still be delivered, and for nothing else.
import { expect, test } from "bun:test";
import { mortal } from "../support/mortalPipeline.ts";
import { numbered, testPipeline } from "../support/testPipeline.ts";

/** Longer than the test may take. Milliseconds. */
const LONG = 600_000;

test("it does not wait for a topic that is held", async () => {
  await using it = await testPipeline((settings) => {
    settings.kafka.autoCreateTopics = false;
  });
  it.broker.createTopic("there");
  it.send({ topic: "missing", value: "held" }, ...numbered(10, { topic: "there" }));
  await it.until(() => it.pipeline.topics.get("missing")?.standing.kind === "held");
  await it.pipeline.flush(LONG);
  expect(it.balance()).toMatchObject({ received: 11, delivered: 10, held: 1 });
});

test("it waits for a batch that is in flight, whatever is held", async () => {
  await using it = await testPipeline();
  const answer = Promise.withResolvers<void>();
  const asked = it.broker.faults.once("Produce", { kind: "delay", until: answer.promise, append: true });
  it.send({ value: "slow" });
  await asked.hit;
  const flushed = it.pipeline.flush(LONG);
  // Time to make the mistake of not waiting.
  setTimeout(answer.resolve, 200);
  await flushed;
  expect(it.balance()).toMatchObject({ received: 1, delivered: 1, held: 0 });
});

test("with a journal, it does not wait for brokers that are away: the next start delivers", async () => {
  await using it = await mortal();
  const life = it.live();
  it.append({ value: "delivered" });
  await life.settled();
  it.broker.stopNode(1);
  it.append({ value: "later" });
  await life.pipeline.flush(LONG);
  life.kill();
  it.broker.startNode(1);
  await it.live().settled();
  expect(it.values()).toEqual(["delivered", "later"]);
});

test("with a journal, it does not wait for brokers that never were there", async () => {
  await using it = await mortal();
  it.broker.stopNode(1);
  const life = it.live();
  it.append({ value: "later" });
  await life.pipeline.flush(LONG);
  life.kill();
  it.broker.startNode(1);
  await it.live().settled();
  expect(it.values()).toEqual(["later"]);
});
