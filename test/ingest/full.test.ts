// A full queue stalls an input, or has it drop its newest, as its policy says; either way the books balance.
import { afterEach, expect, test } from "bun:test";
import { client, DatagramClient, frame, Harness, write } from "./support.ts";

let harness: Harness;
afterEach(() => harness.stop());

const VALUE = "x".repeat(1000);

test("a stream that blocks loses nothing, and its client waits", async () => {
  harness = new Harness(100_000);
  harness.reading = false;
  await harness.start();
  const stream = await client(harness.input.stream.path);
  const count = 3000;
  const all = write(stream, Buffer.concat(Array.from({ length: count }, (_, i) => frame(`${i} ${VALUE}`))));
  while (harness.queue.written < 20) await Bun.sleep(1); // nobody reads the queue, so nobody is told
  expect(stream.writableLength).toBeGreaterThan(0);
  harness.reading = true;
  harness.read();
  await all;
  await harness.until(() => harness.values.length === count);
  expect(harness.values.map((value) => Number.parseInt(value, 10))).toEqual(Array.from({ length: count }, (_, i) => i));
  expect(harness.discards).toEqual([]);
  stream.destroy();
});

test("datagrams that may be dropped are, by topic, and those taken stay", async () => {
  harness = new Harness(100_000);
  harness.reading = false;
  await harness.start();
  const datagrams = new DatagramClient(harness.input.datagram.path);
  for (let i = 0; i < 2000; i++) expect(datagrams.send(frame(`${i} ${VALUE}`, `topic${i % 2}`))).toBe(0);
  await harness.until(() => harness.discarded("queue_full") + harness.queue.written === 2000);
  expect(new Set(harness.discards.map(({ topic }) => topic))).toEqual(new Set(["topic0", "topic1"]));
  expect(harness.balanced).toBe(true);
  harness.reading = true;
  harness.read();
  expect(harness.values[0]).toStartWith("0 ");
  expect(datagrams.send(frame("after"))).toBe(0);
  await harness.until(() => harness.values.includes("after"));
  datagrams.close();
});

test("datagrams that block make the sender wait, and delay no stream that has room", async () => {
  harness = new Harness(100_000);
  harness.input.datagram.whenFull = "block";
  harness.input.stream.whenFull = "drop_newest";
  harness.reading = false;
  await harness.start();
  const datagrams = new DatagramClient(harness.input.datagram.path);
  const EAGAIN = 11;
  let sent = 0;
  let refused = 0;
  // The last refusals are from a socket that nobody reads: its ten places are taken.
  while (refused < 200) {
    if (datagrams.trySend(frame(`${sent} ${VALUE}`)) === EAGAIN) {
      refused++;
      await Bun.sleep(0);
    } else {
      sent++;
      refused = 0;
    }
  }
  const stream = await client(harness.input.stream.path);
  await write(stream, frame("y".repeat(99_000))); // has room only in a queue without a single datagram
  await harness.until(() => harness.discarded("queue_full") === 1);
  harness.reading = true;
  harness.read();
  await harness.until(() => harness.values.length === sent);
  expect(harness.values.map((value) => Number.parseInt(value, 10))).toEqual(Array.from({ length: sent }, (_, i) => i));
  datagrams.close();
  stream.destroy();
});

test("a message larger than the whole queue is too large, and one nearly as large passes", async () => {
  harness = new Harness(100_000);
  await harness.start();
  const stream = await client(harness.input.stream.path);
  stream.write(Buffer.concat([frame("x".repeat(120_000)), frame("y".repeat(99_000))]));
  await harness.until(() => harness.values.length === 1 && harness.discarded("too_large") === 1);
  expect(harness.values[0]).toStartWith("yyy");
  stream.destroy();
});
