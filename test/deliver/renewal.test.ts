// Connections that are renewed while messages flow, and brokers that do not let us in: nothing is lost or comes twice.
import { expect, test } from "bun:test";
import { brokerStatus } from "../../src/brokerStatus.ts";
import { Broker } from "../../src/deliver/broker.ts";
import { numbered, testPipeline } from "../support/testPipeline.ts";
import { laneOnFakeClock } from "./laneOnFakeClock.ts";

test.each([true, false])(
  "connections renewed again and again under load lose and repeat nothing (idempotence %p)",
  async (idempotence) => {
    await using it = await testPipeline((settings) => {
      settings.kafka.idempotence = idempotence;
      settings.kafka.requestTimeout = 60_000;
    });
    it.broker.createTopic("t", 3);
    const connections = new Set<number>();
    it.broker.faults.always("Produce", ({ connection }) => {
      connections.add(connection);
      return { kind: "delay", until: Bun.sleep(2), append: true };
    });
    const values: string[] = [];
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 10; i++) {
        values.push(`${round} ${i}`);
        it.send({ value: `${round} ${i}`, partitionKey: i % 3 });
        await Bun.sleep(0);
      }
      it.pipeline.dispatcher.renewConnections("the test wants it");
      await it.until(() => it.balance().delivered >= values.length - 15);
    }
    await it.settled();
    expect(connections.size).toBeGreaterThan(10);
    expect(it.values().toSorted()).toEqual(values.toSorted());
    expect(it.pipeline.ledger.total.possibleDuplicates).toBe(0);
    expect(it.log()).not.toContain("a broker cannot be reached");
    const [broker] = [...it.pipeline.dispatcher.brokers()];
    expect(broker?.fast.failing).toBe(false);
  },
);

test("a request that is late when connections are to be renewed is waited for, and delays no other", async () => {
  await using it = await testPipeline((settings) => {
    settings.kafka.requestTimeout = 60_000;
  });
  it.broker.createTopic("t", 2);
  it.send(...numbered(1, { partitionKey: 0 }), ...numbered(1, { partitionKey: 1 }));
  await it.settled();
  const gate = Promise.withResolvers<void>();
  const late = it.broker.faults.once("Produce", { kind: "delay", until: gate.promise });
  it.send({ value: "late", partitionKey: 0 });
  await late.hit;
  it.pipeline.dispatcher.renewConnections("the test wants it");
  const [broker] = [...it.pipeline.dispatcher.brokers()];
  expect(broker?.fast.state.kind).toBe("draining");
  gate.resolve();
  await it.settled();
  it.send({ value: "more", partitionKey: 1 });
  await it.settled();
  expect([it.values("t", 0), it.values("t", 1)]).toEqual([
    ["0", "late"],
    ["0", "more"],
  ]);
});

test("a broker that refuses the login, or speaks other versions, is told from one that is out of reach", async () => {
  for (const [kind, state] of [
    ["authentication", "refused"],
    ["unsupported", "refused"],
    ["connect", "down"],
    ["timeout", "down"],
  ] as const) {
    const { lane, connections } = laneOnFakeClock();
    lane.connection();
    await connections[0]?.refuses(kind, `the reason is ${kind}`);
    const broker = new Broker(7, "kafka", 9092, {
      connect: () => {
        throw new Error("nothing is to be sent");
      },
      settings: { kafka: { idempotence: true }, delivery: { backoff: 1, backoffMax: 2 } },
      now: () => 0,
      random: () => 0,
      refreshMetadata: () => {},
      ping: async () => {},
      keepsWaiting: () => false,
      onJudged: () => {},
      onStall: () => {},
      onReady: () => {},
      onFailure: () => {},
    });
    broker.fast.swapWith(lane);
    expect(brokerStatus(broker, 0)).toMatchObject({
      id: 7,
      address: "kafka:9092",
      state,
      reason: `the reason is ${kind}`,
    });
    broker.stop();
  }
});
