import { afterEach, describe, expect, test } from "bun:test";
import { Cluster } from "../../src/deliver/cluster.ts";
import { type DevBrokerOptions, startDevBroker } from "../../src/dev/devBroker.ts";
import { KafkaConnection } from "../../src/kafka/connection.ts";

let stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  stops = [];
});

async function start(options: DevBrokerOptions, kafka: { autoCreateTopics?: boolean } = {}) {
  const broker = await startDevBroker(options);
  const warned = Promise.withResolvers<void>();
  const log = { debug: () => {}, info: () => {}, warn: () => warned.resolve() };
  const cluster = new Cluster({
    kafka: {
      brokers: broker.addresses,
      metadataRefresh: 300_000,
      requestTimeout: 5_000,
      autoCreateTopics: kafka.autoCreateTopics ?? false,
    },
    log,
    connect: (host, port) =>
      new KafkaConnection({ host, port, clientId: "test", connectTimeout: 5_000, requestTimeout: 5_000, log }),
    now: () => performance.now(),
    random: Math.random,
    delivery: { backoff: 5, backoffMax: 5_000 },
  });
  stops.push(
    () => broker.stop(),
    () => cluster.stop(),
  ); // prettier-ignore
  return { broker, cluster, warned: warned.promise };
}

/** Resolves when an answer has made the condition true. */
function until(cluster: Cluster, condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (condition()) resolve();
    };
    cluster.onChange = look;
    look();
  });
}

const leaders = (cluster: Cluster, name: string) => {
  const state = cluster.topic(name);
  return state.kind === "known" ? state.partitions.map(({ leader }) => leader) : state.kind;
};

describe("the picture of a cluster of three brokers", () => {
  const options = { brokers: 3, partitions: 3, autoCreate: false };

  test("has brokers, leaders and what is missing", async () => {
    const { broker, cluster } = await start(options);
    broker.createTopic("t", 3, (partition) => 3 - partition);
    cluster.want("t");
    cluster.want("nowhere");
    cluster.start();
    await until(cluster, () => cluster.topic("nowhere").kind === "missing");
    expect(leaders(cluster, "t")).toEqual([3, 2, 1]);
    expect(cluster.brokers().map(({ port }) => port)).toEqual(broker.addresses.map(({ port }) => port));
    expect(broker.requests.Metadata).toBe(1);
  });

  test("follows a leader that moves, and a partition that has none", async () => {
    const { broker, cluster } = await start(options);
    broker.createTopic("t", 2, () => 1);
    cluster.want("t");
    cluster.start();
    await until(cluster, () => cluster.topic("t").kind === "known");
    broker.setLeader("t", 1, 2);
    cluster.refresh("test");
    await until(cluster, () => leaders(cluster, "t")[1] === 2);
    broker.setLeader("t", 1, -1);
    cluster.refresh("test");
    await until(cluster, () => leaders(cluster, "t")[1] === -1);
    broker.setLeader("t", 1, 3);
    await until(cluster, () => leaders(cluster, "t")[1] === 3);
  });

  test("survives the broker it asks, and an answer that is cut or garbled", async () => {
    const { broker, cluster } = await start(options);
    broker.createTopic("t", 1, () => 1);
    cluster.want("t");
    cluster.start();
    await until(cluster, () => cluster.topic("t").kind === "known");
    const faults = broker.faults.times(2, "Metadata", { kind: "cut", after: 20 });
    const garbled = broker.faults.times(2, "Metadata", { kind: "size", size: -1 });
    broker.setLeader("t", 0, 2);
    cluster.refresh("test");
    await until(cluster, () => leaders(cluster, "t")[0] === 2);
    expect([faults.hits, garbled.hits]).toEqual([2, 2]);
    expect(cluster.failures).toBe(4);
    const portInUse = () => Number(cluster.address?.split(":")[1]);
    const stopped = broker.addresses.findIndex(({ port }) => port === portInUse()) + 1;
    const next = (stopped % 3) + 1;
    broker.stopNode(stopped);
    broker.setLeader("t", 0, next);
    cluster.refresh("test");
    await until(cluster, () => leaders(cluster, "t")[0] === next && cluster.broker(stopped) === undefined);
    expect(portInUse()).not.toBe(broker.addresses[stopped - 1]?.port as number);
  });

  test("sees errors of topics as what they are", async () => {
    const { broker, cluster } = await start(options);
    for (const name of ["secret", "bad", "new"]) broker.createTopic(name, 1);
    broker.faults.always(
      { api: "Metadata", topic: "secret" },
      { kind: "error", code: 29, only: [{ topic: "secret" }] },
    );
    broker.faults.times(2, { api: "Metadata", topic: "new" }, { kind: "error", code: 5, only: [{ topic: "new" }] });
    broker.faults.always({ api: "Metadata", topic: "bad" }, { kind: "error", code: 17, only: [{ topic: "bad" }] });
    cluster.start();
    for (const name of ["secret", "bad", "new"]) {
      cluster.want(name);
      await until(cluster, () => cluster.topic(name).kind !== "unknown");
    }
    expect(["secret", "bad", "new"].map((name) => cluster.topic(name).kind)).toEqual(["forbidden", "invalid", "known"]);
  });
});

test("topics are made on first use when that is wanted", async () => {
  const { broker, cluster } = await start({ autoCreate: true, partitions: 2 }, { autoCreateTopics: true });
  for (let n = 0; n < 300; n++) cluster.want(`t${n}`);
  cluster.start();
  await until(cluster, () =>
    Array.from({ length: 300 }, (_, n) => n).every((n) => leaders(cluster, `t${n}`).length === 2),
  );
  expect(broker.requests.Metadata).toBe(1);
});

test("a cluster that is not there yet is found when it comes", async () => {
  const { broker, cluster, warned } = await start({});
  broker.stopNode(1);
  cluster.start();
  cluster.want("t");
  await warned;
  broker.createTopic("t");
  broker.startNode(1);
  await until(cluster, () => cluster.topic("t").kind === "known");
  expect(leaders(cluster, "t")).toEqual([1]);
});
