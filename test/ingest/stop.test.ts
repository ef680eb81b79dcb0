// A graceful stop takes every byte that a client's write() has accepted, and lets the client know.
import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { client, DatagramClient, frame, Harness, PATIENCE, write } from "./support.ts";

let harness: Harness;
afterEach(() => harness.stop());

const EPIPE = 32;

test("everything accepted before the stop is in the queue when it resolves", async () => {
  harness = new Harness(200_000);
  harness.input.tcp.enabled = true;
  const ingest = await harness.start();
  harness.reading = false;
  const value = "x".repeat(5000);
  const sockets = await Promise.all(Array.from({ length: 20 }, () => client(harness.input.stream.path)));
  // 2 MB, ten times what the queue has room for: most of it waits in the kernel when the stop comes.
  await Promise.all(
    sockets.map((socket) => write(socket, Buffer.concat(Array.from({ length: 20 }, () => frame(value))))),
  );
  const tcp = await client(ingest.addresses.tcp ?? "");
  await write(tcp, frame("tcp"));
  const unaccepted = await client(harness.input.stream.path);
  await write(unaccepted, frame("last"));
  const stopped = ingest.stop(PATIENCE);
  harness.reading = true;
  harness.read();
  await stopped;
  harness.read();
  expect(harness.values.filter((one) => one === value)).toHaveLength(400);
  expect(harness.values).toContain("tcp");
  expect(harness.values).toContain("last");
  expect(harness.balanced).toBe(true);
  expect([existsSync(harness.input.stream.path), existsSync(harness.input.datagram.path)]).toEqual([false, false]);
  for (const socket of [...sockets, tcp, unaccepted]) socket.destroy();
});

test("a stream client that writes on learns of the stop by its write, before the connection is closed", async () => {
  harness = new Harness();
  const ingest = await harness.start({ limits: { farewell: 60_000 } });
  const stream = await client(harness.input.stream.path);
  let ended = false;
  stream.on("end", () => {
    ended = true;
  });
  stream.resume();
  const failure = once(stream, "error");
  await write(stream, frame("before"));
  await ingest.stop(PATIENCE);
  expect(harness.counters.stream?.open).toBe(1);
  stream.write(frame("after"));
  const [error] = await failure;
  expect([error.errno, ended]).toEqual([-EPIPE, false]);
  stream.destroy();
  await ingest.closed; // at once, since the client has gone
  harness.read();
  expect(harness.values).toEqual(["before"]);
});

test("datagrams accepted before the stop are taken, later ones are refused", async () => {
  harness = new Harness();
  const ingest = await harness.start();
  const datagrams = new DatagramClient(harness.input.datagram.path);
  let sent = 0;
  while (sent < 500) if (datagrams.trySend(frame(`${sent}`)) === 0) sent++;
  await ingest.stop(PATIENCE);
  expect(datagrams.trySend(frame("late"))).not.toBe(0);
  harness.read();
  expect(harness.values).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`));
  datagrams.close();
});

test("half a message at the stop is an unclean disconnect", async () => {
  harness = new Harness();
  const ingest = await harness.start();
  const stream = await client(harness.input.stream.path);
  await write(stream, Buffer.concat([frame("whole"), frame("half").subarray(0, 10)]));
  await ingest.stop(PATIENCE);
  expect(harness.counters.stream?.uncleanDisconnects).toBe(1);
  harness.read();
  expect(harness.values).toEqual(["whole"]);
  stream.destroy();
});

test("what finds no room in time is discarded, and the stop goes on", async () => {
  harness = new Harness(100_000);
  harness.input.datagram.whenFull = "block";
  harness.reading = false;
  const ingest = await harness.start();
  const stream = await client(harness.input.stream.path);
  stream.on("error", () => {});
  stream.write(Buffer.concat(Array.from({ length: 300 }, () => frame("x".repeat(1000)))));
  while (harness.queue.written < 20) await Bun.sleep(1);
  await ingest.stop(20);
  await harness.until(() => harness.discarded("shutdown") > 0 && harness.balanced);
  stream.destroy();
});

test("the sockets can be opened again at once", async () => {
  harness = new Harness();
  harness.input.tcp.enabled = true;
  const ingest = await harness.start();
  harness.input.tcp.listen.port = ingest.addresses.tcp?.port ?? 0;
  const tcp = await client(ingest.addresses.tcp ?? "");
  await write(tcp, frame("first"));
  await ingest.stop(PATIENCE);
  await ingest.closed;
  const again = await harness.start();
  const stream = await client(again.addresses.stream ?? "");
  stream.write(frame("second"));
  const other = await client(again.addresses.tcp ?? "");
  other.write(frame("third"));
  await harness.until(() => harness.values.length === 3);
  for (const socket of [tcp, stream, other]) socket.destroy();
});
