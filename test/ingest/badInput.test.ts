// Whatever comes on the sockets, every message is either in the queue or discarded with a reason, and nothing stops.
import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import type { InputDiscard } from "../../src/ingest/report.ts";
import { client, DatagramClient, frame, Harness, write } from "./support.ts";

let harness: Harness;
afterEach(() => harness.stop());

function altered(bytes: Buffer, change: (bytes: Buffer) => void): Buffer {
  change(bytes);
  return bytes;
}

/** However many reports they came in. */
function sums(discards: InputDiscard[]): unknown[][] {
  const rows = new Map<string, [string, string, string | null, number, number]>();
  for (const { input, reason, topic, count, bytes } of discards) {
    const [, , , messages, sum] = rows.get(`${reason} ${topic}`) ?? [input, reason, topic, 0, 0];
    rows.set(`${reason} ${topic}`, [input, reason, topic, messages + count, sum + bytes]);
  }
  return [...rows.values()].sort();
}

const malformed = () => altered(frame("m"), (bytes) => bytes.writeInt16BE(1, 8));
const badKey = () => altered(frame("k"), (bytes) => bytes.writeInt16BE(9, 4));
const badVersion = () => altered(frame("v"), (bytes) => bytes.writeInt16BE(9, 6));
const badTopic = () => altered(frame("t"), (bytes) => bytes.write("/", 12));

test("bad datagrams are discarded by reason, with samples, and the good ones between them arrive", async () => {
  harness = new Harness();
  harness.input.datagram.maxMessage = 2000;
  await harness.start({ maxRecord: 1000 });
  const datagrams = new DatagramClient(harness.input.datagram.path);
  const sent = [
    Buffer.alloc(0),
    Buffer.from("abc"),
    malformed(),
    Buffer.concat([frame("a"), frame("b")]), // one message each, no more
    frame("good 1"),
    badKey(),
    badVersion(),
    badTopic(),
    frame("x".repeat(1001), "large"),
    frame("x".repeat(3000), "long"),
    frame("good 2"),
  ];
  for (const bytes of sent) expect(datagrams.send(bytes)).toBe(0);
  datagrams.close();
  // Counted as they are appended, which is before they are read.
  const counted = () => harness.counters.datagram?.messages === sent.length && harness.balanced;
  await harness.until(() => counted() && harness.values.length === 2);
  expect(harness.values).toEqual(["good 1", "good 2"]);
  expect(sums(harness.discards)).toEqual(
    [
      ["datagram", "malformed", null, 4, 0 + 3 + malformed().length + 2 * frame("a").length],
      ["datagram", "unsupported_api_key", null, 1, badKey().length],
      ["datagram", "unsupported_version", null, 1, badVersion().length],
      ["datagram", "bad_topic", null, 1, badTopic().length],
      ["datagram", "too_large", "large", 1, frame("x".repeat(1001), "large").length],
      ["datagram", "too_long", null, 1, frame("x".repeat(3000), "long").length],
    ].sort(),
  );
  const long = harness.discards.find(({ reason }) => reason === "too_long");
  expect(Buffer.from(long?.samples[0] ?? []).equals(frame("x".repeat(3000), "long").subarray(0, 256))).toBe(true);
  expect(harness.balanced).toBe(true);
});

test("a stream goes on after what is well framed, and is closed after what is not", async () => {
  harness = new Harness();
  await harness.start({ maxRecord: 100_000 });
  const stream = await client(harness.input.stream.path);
  const closed = once(stream, "close");
  stream.on("error", () => {});
  const large = frame(Buffer.alloc(300_000), "large");
  stream.write(
    Buffer.concat([frame("1"), badKey(), frame("2"), badTopic(), large, frame("3"), badVersion(), frame("4")]),
  );
  await harness.until(() => harness.values.length === 4);
  stream.write(Buffer.concat([frame("5"), malformed(), frame("never")]));
  await closed;
  await harness.until(() => harness.values.length === 5 && harness.balanced);
  expect(harness.values).toEqual(["1", "2", "3", "4", "5"]);
  expect(sums(harness.discards).map(([, reason, topic, count]) => [reason, topic, count])).toEqual(
    [
      ["unsupported_api_key", null, 1],
      ["bad_topic", null, 1],
      ["too_large", "large", 1],
      ["unsupported_version", null, 1],
      ["malformed", null, 1],
    ].sort(),
  );
  expect(harness.counters.stream?.uncleanDisconnects).toBe(0);
  expect(harness.balanced).toBe(true);
});

test("a message beyond max_message breaks its stream and no other", async () => {
  harness = new Harness();
  harness.input.stream.maxMessage = 1000;
  await harness.start();
  const [one, two] = await Promise.all([client(harness.input.stream.path), client(harness.input.stream.path)]);
  const closed = once(one, "close");
  one.on("error", () => {});
  one.write(frame("x".repeat(2000)));
  await closed;
  await write(two, frame("fine"));
  await harness.until(() => harness.values.length === 1 && harness.discarded("too_long") === 1);
  two.destroy();
});

test("half a message and a closed connection is an unclean disconnect, with a sample", async () => {
  harness = new Harness();
  harness.input.tcp.enabled = true;
  const { addresses } = await harness.start();
  for (const where of [harness.input.stream.path, addresses.tcp ?? ""]) {
    const socket = await client(where);
    socket.end(Buffer.concat([frame("whole"), frame("half").subarray(0, 20)]));
  }
  await harness.until(() => harness.uncleanSamples.length === 2 && harness.values.length === 2);
  expect([harness.counters.stream?.uncleanDisconnects, harness.counters.tcp?.uncleanDisconnects]).toEqual([1, 1]);
  expect(harness.uncleanSamples.map(({ input }) => input).sort()).toEqual(["stream", "tcp"]);
  expect(Buffer.from(harness.uncleanSamples[0]?.sample ?? []).equals(frame("half").subarray(0, 20))).toBe(true);
  expect(harness.discards).toEqual([]);
  expect(harness.balanced).toBe(true);
});

test("a client that sends a byte at a time is understood, and delays no other", async () => {
  harness = new Harness();
  await harness.start();
  const slow = await client(harness.input.stream.path);
  const quick = await client(harness.input.stream.path);
  const bytes = frame("slow");
  for (let i = 0; i < bytes.length; i++) {
    await write(slow, bytes.subarray(i, i + 1));
    await write(quick, frame(`quick ${i}`));
    await harness.until(() => harness.values.includes(`quick ${i}`));
  }
  await harness.until(() => harness.values.includes("slow"));
  slow.destroy();
  quick.destroy();
});

test("incomplete long messages complete in turn when there is no memory for all, and one that stalls is closed", async () => {
  harness = new Harness();
  await harness.start({ limits: { partials: 100_000, turn: 150 } });
  const long = (id: number) => frame(`${id}`.padEnd(200_000, "."), "long");
  const sockets = await Promise.all(Array.from({ length: 6 }, () => client(harness.input.stream.path)));
  const stalls = sockets[0] as (typeof sockets)[0];
  const closed = once(stalls, "close");
  stalls.on("error", () => {});
  await write(stalls, long(0).subarray(0, 150_000));
  for (let id = 1; id < 6; id++) sockets[id]?.write(long(id));
  // Short messages of others pass all the while.
  const other = await client(harness.input.stream.path);
  await write(other, frame("short"));
  await harness.until(() => harness.values.includes("short"));
  await closed;
  await harness.until(() => harness.values.length === 6);
  expect(harness.values.map((value) => value.replaceAll(".", "")).sort()).toEqual(["1", "2", "3", "4", "5", "short"]);
  await harness.until(() => harness.counters.stream?.uncleanDisconnects === 1);
  for (const socket of [...sockets, other]) socket.destroy();
});

test("connections beyond the limit wait until another ends", async () => {
  harness = new Harness();
  await harness.start({ limits: { connections: 3 } });
  const sockets = await Promise.all(Array.from({ length: 5 }, () => client(harness.input.stream.path)));
  for (const [id, socket] of sockets.entries()) await write(socket, frame(`${id}`));
  await harness.until(() => harness.values.length === 3);
  expect(harness.values.sort()).toEqual(["0", "1", "2"]);
  sockets[0]?.end();
  sockets[1]?.end();
  await harness.until(() => harness.values.length === 5);
  for (const socket of sockets) socket.destroy();
});
