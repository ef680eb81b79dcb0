// Messages on any of the sockets come out of the queue, whole, once and in order.
import { afterEach, expect, test } from "bun:test";
import { client, DatagramClient, frame, Harness, write } from "./support.ts";

let harness: Harness;
afterEach(() => harness.stop());

test("a message on each of the sockets arrives", async () => {
  harness = new Harness();
  harness.input.tcp.enabled = true;
  const { addresses } = await harness.start();
  expect([addresses.datagram, addresses.stream]).toEqual([harness.input.datagram.path, harness.input.stream.path]);
  expect(addresses.tcp?.port).toBeGreaterThan(0);
  const datagrams = new DatagramClient(harness.input.datagram.path);
  expect(datagrams.send(frame("one"))).toBe(0);
  await harness.until(() => harness.messages.length === 1);
  const stream = await client(harness.input.stream.path);
  stream.write(frame("two"));
  await harness.until(() => harness.messages.length === 2);
  const tcp = await client(addresses.tcp ?? "");
  tcp.write(frame("three"));
  await harness.until(() => harness.messages.length === 3);
  expect(harness.messages.map(({ value, number, topic }) => [value, number, topic])).toEqual([
    ["one", 1, "orders"],
    ["two", 2, "orders"],
    ["three", 3, "orders"],
  ]);
  expect(harness.messages[0]?.source).toBe(0);
  expect(harness.messages[1]?.source).not.toBe(harness.messages[2]?.source);
  datagrams.close();
  stream.destroy();
  tcp.destroy();
});

test("a hundred clients at once, each in its own order", async () => {
  harness = new Harness();
  await harness.start();
  const sockets = await Promise.all(Array.from({ length: 100 }, () => client(harness.input.stream.path)));
  const values = Array.from({ length: 50 }, (_, i) => `${i}`);
  await Promise.all(
    sockets.map(async (socket, id) => {
      for (const value of values) await write(socket, frame(`${id}:${value}`));
      socket.end();
    }),
  );
  await harness.until(() => harness.messages.length === 5000);
  for (let id = 0; id < 100; id++) {
    const own = harness.messages.filter(({ value }) => value.startsWith(`${id}:`));
    expect(own.map(({ value }) => value)).toEqual(values.map((value) => `${id}:${value}`));
    expect(new Set(own.map(({ source }) => source)).size).toBe(1);
  }
  await harness.until(() => harness.counters.stream?.open === 0);
  expect(harness.counters.stream).toMatchObject({ accepted: 100, messages: 5000, uncleanDisconnects: 0 });
});
