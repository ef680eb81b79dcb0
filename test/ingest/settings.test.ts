// The input thread takes other limits and policies while it runs, and loses nothing by it.
import { afterEach, expect, test } from "bun:test";
import type { Ingest } from "../../src/ingest/ingest.ts";
import type { InputSettings } from "../../src/ingest/report.ts";
import { client, DatagramClient, frame, Harness, write } from "./support.ts";

let harness: Harness;
afterEach(() => harness.stop());

/** What it was started with, with some of it changed. */
function settings(change: (settings: InputSettings) => void): InputSettings {
  const { datagram, stream, tcp } = harness.input;
  const changed = {
    maxRecord: 1_000_000,
    syncAlways: false,
    ...{ datagram: { ...datagram }, stream: { ...stream }, tcp: { ...tcp } },
  };
  change(changed);
  return changed;
}

/** Settings are taken over at the next turn of the thread: asks until they are. */
async function untilActs(ask: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await ask())) await Bun.sleep(1);
}

async function start(): Promise<Ingest> {
  harness = new Harness(1 << 20);
  return await harness.start();
}

test("max_record and max_message grow and shrink, on every input, also for connections that are open", async () => {
  const ingest = await start();
  const datagrams = new DatagramClient(harness.input.datagram.path);
  const stream = await client(harness.input.stream.path);
  const kilobyte = "x".repeat(1000);
  ingest.set(
    settings((now) => {
      now.maxRecord = 500;
      now.datagram.maxMessage = 2000;
    }),
  );
  await untilActs(async () => {
    const before = harness.discarded("too_large");
    const taken = harness.messages.length;
    expect(datagrams.send(frame(kilobyte))).toBe(0);
    await harness.until(() => harness.discarded("too_large") > before || harness.messages.length > taken);
    return harness.discarded("too_large") > before;
  });
  const large = harness.discarded("too_large");
  await write(stream, frame(kilobyte));
  await harness.until(() => harness.discarded("too_large") === large + 1);
  datagrams.send(frame("x".repeat(3000)));
  await harness.until(() => harness.discarded("too_long") === 1);

  // As large as a datagram may ever be, which is more than it was at the start.
  harness.input.datagram.maxMessage = 262_144;
  ingest.set(settings((now) => Object.assign(now, { maxRecord: 1_000_000 })));
  const most = "y".repeat(150_000);
  await untilActs(async () => {
    const before = harness.discarded("too_long");
    const taken = harness.messages.length;
    expect(datagrams.send(frame(most))).toBe(0);
    await harness.until(() => harness.discarded("too_long") > before || harness.messages.length > taken);
    return harness.messages.length > taken;
  });
  expect(harness.messages.at(-1)?.value).toBe(most);
  await write(stream, frame("still open"));
  await harness.until(() => harness.values.includes("still open"));
  expect(harness.counters.stream?.uncleanDisconnects).toBe(0);
  await harness.until(() => harness.balanced);
  datagrams.close();
  stream.destroy();
});

test("an input that blocked drops its newest when it is told to, and what waited already keeps its place", async () => {
  harness = new Harness(100_000);
  harness.reading = false;
  const ingest = await harness.start();
  const stream = await client(harness.input.stream.path);
  const value = "x".repeat(1000);
  const count = 3000;
  const sent = write(stream, Buffer.concat(Array.from({ length: count }, (_, i) => frame(`${i} ${value}`))));
  while (harness.queue.written < 20) await Bun.sleep(1);
  ingest.set(settings(({ stream: it }) => Object.assign(it, { whenFull: "drop_newest" })));
  harness.reading = true;
  harness.read();
  await sent;
  await harness.until(() => harness.messages.length + harness.discarded("queue_full") === count);
  const order = harness.values.map((each) => Number.parseInt(each, 10));
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(harness.balanced).toBe(true);
  stream.destroy();
});

test("an input that dropped makes its clients wait when it is told to", async () => {
  harness = new Harness(100_000);
  harness.input.stream.whenFull = "drop_newest";
  harness.reading = false;
  const ingest = await harness.start();
  const stream = await client(harness.input.stream.path);
  const value = "x".repeat(1000);
  ingest.set(settings(({ stream: it }) => Object.assign(it, { whenFull: "block" })));
  await write(stream, frame("first"));
  while (harness.queue.written < 1) await Bun.sleep(1);
  const sent = write(stream, Buffer.concat(Array.from({ length: 1000 }, (_, i) => frame(`${i} ${value}`))));
  while (harness.queue.written < 20) await Bun.sleep(1);
  harness.reading = true;
  harness.read();
  await sent;
  await harness.until(() => harness.messages.length === 1001);
  expect(harness.discards).toEqual([]);
  stream.destroy();
});
