import { afterEach, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { Cluster } from "../../src/deliver/cluster.ts";
import { startDevBroker } from "../../src/dev/devBroker.ts";
import { KafkaConnection } from "../../src/kafka/connection.ts";

let stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  stops = [];
});

/** A server that is no Kafka; returns its address. */
async function impostor(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { host: "127.0.0.1", port: (server.address() as { port: number }).port };
}

test("one broker of the list is enough, where others are dead, silent, slam the door or are no Kafka", async () => {
  const broker = await startDevBroker({ brokers: 1 });
  stops.push(() => broker.stop());
  broker.createTopic("t");
  const gone = await startDevBroker({ brokers: 1 });
  await gone.stop();
  const brokers = [
    ...gone.addresses,
    await impostor(() => {}),
    await impostor((socket) => socket.destroy()),
    await impostor((socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")),
    { host: "no-such-host.invalid", port: 9092 },
    ...broker.addresses,
  ];
  const log = { debug: () => {}, info: () => {}, warn: () => {} };
  // The last one of the list, however it is shuffled: chance is at its least.
  for (const random of [() => 0, () => 0.5, () => 0.999]) {
    const cluster = new Cluster({
      kafka: { brokers, metadataRefresh: 300_000, requestTimeout: 5_000, autoCreateTopics: false },
      delivery: { backoff: 5, backoffMax: 50 },
      log,
      connect: (host, port) =>
        new KafkaConnection({ host, port, clientId: "test", connectTimeout: 300, requestTimeout: 5_000, log }),
      now: () => performance.now(),
      random,
    });
    stops.push(() => cluster.stop());
    const answered = new Promise<void>((resolve) => {
      cluster.onChange = () => resolve();
    });
    cluster.want("t");
    cluster.start();
    await answered;
    expect(cluster.topic("t").kind).toBe("known");
    expect(cluster.failing).toBe(false);
  }
});
