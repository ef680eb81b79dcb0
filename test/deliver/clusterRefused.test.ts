// Why no metadata can be had is told: in the status always, in the log once for each reason.
import { expect, test } from "bun:test";
import { Cluster } from "../../src/deliver/cluster.ts";
import type { Connection } from "../../src/deliver/clusterLink.ts";
import { KafkaFailure, type KafkaFailureKind } from "../../src/kafka/connectionFailure.ts";

/** A broker that cannot be connected to, for the reason that it is given. */
function bed() {
  const failure: { kind: KafkaFailureKind; message: string } = { kind: "connect", message: "it is down" };
  const warned: unknown[] = [];
  let wake: (() => void) | undefined;
  const connection: Connection = {
    broker: "a:1",
    open: false,
    sessionEndsAt: Number.POSITIVE_INFINITY,
    connect: async () => {
      throw new KafkaFailure(failure.kind, "a:1", failure.message);
    },
    destroy() {},
    request: () => Promise.reject(new Error("not connected")),
    supports: () => true,
  };
  const cluster = new Cluster({
    kafka: {
      brokers: [{ host: "a", port: 1 }],
      metadataRefresh: 60_000,
      requestTimeout: 60_000,
      autoCreateTopics: false,
    },
    log: { debug() {}, info() {}, warn: (_, fields) => void warned.push(fields?.why) },
    connect: () => connection,
    now: () => performance.now(),
    random: () => 0,
    after(_, callback) {
      wake = callback;
      return () => {};
    },
  });
  cluster.start();
  /** Lets it try once more. */
  const attempt = async (kind: KafkaFailureKind, message: string) => {
    Object.assign(failure, { kind, message });
    wake?.();
    for (let n = 0; n < 50; n++) await Promise.resolve();
  };
  return { cluster, warned, attempt };
}

test("a broker that was down and then refuses the login is told of twice, whatever the number of attempts", async () => {
  const { cluster, warned, attempt } = bed();
  expect(cluster.failure).toBeUndefined();
  for (let n = 0; n < 3; n++) await attempt("connect", "it is down");
  expect(cluster.failure).toBe("it is down");
  for (let n = 0; n < 3; n++) await attempt("authentication", "wrong password");
  expect(cluster.failure).toBe("wrong password");
  expect(cluster.failures).toBe(6);
  expect(warned).toEqual(["it is down", "wrong password"]);
  cluster.stop();
});
