// Receipts and sessions with the disk buffer: what a receipt says is so, and a position outlives the process.
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { encodeResume, encodeSync, SyncLevel } from "../../src/wire/receipts.ts";
import { DiskHarness, type DiskOptions, newDirectory } from "./diskHarness.ts";
import { frame } from "./support.ts";

const started: DiskHarness[] = [];
afterEach(async () => {
  for (const harness of started.splice(0)) {
    await harness.stop();
    harness.remove();
  }
});

function start(options?: DiskOptions, directory = newDirectory()): DiskHarness {
  const harness = new DiskHarness(directory, options);
  started.push(harness);
  return harness;
}

/** Replies come by sockets of this thread. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}

const { Spooled, Synced, Delivered } = SyncLevel;
const SESSION = Buffer.from("00112233445566778899aabbccddeeff", "hex");

function bad(): Buffer {
  const bytes = frame("bad");
  bytes.write("?", 12);
  return bytes;
}

async function resume(harness: DiskHarness, session = SESSION) {
  const client = await harness.client();
  client.send(encodeResume(session));
  await until(() => client.resumes.length === 1);
  const { position = -1, status = -1 } = client.resumes[0] ?? {};
  return { client, position, status };
}

test("all three levels are reached, and the disk is synced for the one who asks", async () => {
  const harness = start();
  const client = await harness.client();
  client.send(frame("1"), encodeSync(Spooled, 1), encodeSync(Synced, 2), encodeSync(Delivered, 3));
  await until(() => client.syncs.length === 2 && harness.messages.length === 1);
  harness.settle([1]);
  await until(() => client.syncs.length === 3);
  expect(client.syncs.map(({ token, status }) => [token, status])).toEqual([
    [1n, 0],
    [2n, 0],
    [3n, 0],
  ]);
});

test('with sync = "always", spooled is answered too', async () => {
  const harness = start({ sync: "always" });
  const client = await harness.client();
  for (let i = 0; i < 20; i++) {
    client.send(frame(`${i}`), encodeSync(Spooled, i));
    await until(() => client.syncs.length === i + 1);
  }
  expect(client.syncs.every(({ status }) => status === 0)).toBe(true);
});

test("what was told to be spooled is there after a crash, and the position is exact", async () => {
  const harness = start({ segmentSize: 70_000 });
  const count = 4000;
  const frames = Array.from({ length: count }, (_, i) => (i % 50 === 7 ? bad() : frame(`${i}`.padEnd(60, "."))));
  const { client, position } = await resume(harness);
  expect(position).toBe(0);
  const parts: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    parts.push(frames[i] as Buffer);
    if (i % 100 === 99) parts.push(encodeSync(Spooled, i + 1));
  }
  client.send(...parts);
  await until(() => client.syncs.length > 10);
  const crashed = harness.crashed();
  const told = Number(client.syncs[9]?.token);
  const second = start({}, crashed);
  const again = await resume(second);
  expect(again.status).toBe(0);
  expect(again.position).toBeGreaterThanOrEqual(told);
  again.client.send(...frames.slice(again.position), encodeSync(Spooled, 1), encodeSync(Delivered, 2));
  await until(() => again.client.syncs.length === 1);
  const expected = frames.flatMap((bytes, i) => (i % 50 === 7 || bytes.length === 0 ? [] : [`${i}`.padEnd(60, ".")]));
  await until(() => second.messages.length === expected.length);
  expect(second.values).toEqual(expected);
  // Delivered waits for those of the connection before the crash too.
  const numbers = second.messages.map(({ number }) => number);
  second.settle(numbers.slice(1));
  await Bun.sleep(30);
  expect(again.client.tokens(3)).toEqual([]);
  second.settle(numbers.slice(0, 1));
  await until(() => again.client.tokens(3).length === 1);
  const third = await resume(second);
  expect(third.position).toBe(count);
}, 120_000);

test("a session goes on where it was after each of several stops, and others are not mixed up with it", async () => {
  const directory = newDirectory();
  const sessions = [Buffer.alloc(16, 1), Buffer.alloc(16, 2), Buffer.alloc(16, 3)];
  for (let round = 0; round < 3; round++) {
    const harness = new DiskHarness(directory);
    for (const [index, session] of sessions.entries()) {
      const { client, position } = await resume(harness, session);
      expect(position).toBe(round * (index + 1));
      client.send(...Array.from({ length: index + 1 }, () => frame("x")), encodeSync(Spooled, 1));
      await until(() => client.syncs.length === 1);
    }
    await harness.stop();
    if (round === 2) harness.remove();
  }
});

test("a full disk makes a session wait, who resumes is answered all the same, and nothing is taken twice", async () => {
  const harness = start({ limit: 200_000, segmentSize: 50_000 });
  harness.reading = false;
  const count = 600;
  const frames = Array.from({ length: count }, (_, i) => frame(`${i}`.padEnd(1000, ".")));
  const first = await resume(harness);
  first.client.send(...frames, encodeSync(Spooled, 1));
  await until(() => harness.queue.full);
  const second = await resume(harness);
  expect([first.client.syncs.length, second.position > 0, second.position < count]).toEqual([0, true, true]);
  const other = await harness.client();
  other.send(frame("other"));
  second.client.send(...frames.slice(second.position), encodeSync(Spooled, 2));
  harness.queue.setLimit(1 << 28);
  await until(() => second.client.syncs.length === 1 && first.client.over);
  expect(second.client.syncs[0]).toMatchObject({ token: 2n, status: 0, received: count - second.position });
  harness.reading = true;
  harness.read();
  await until(() => harness.messages.length === count + 1);
  const own = harness.values.filter((value) => value !== "other");
  expect(own.map((value) => Number.parseInt(value, 10))).toEqual(Array.from({ length: count }, (_, i) => i));
});

test("what waits for memory goes to the disk as soon as that takes another input's messages", async () => {
  const harness = start({ tcp: true });
  harness.reading = false;
  const log = join(harness.directory, "log");
  rmSync(log, { recursive: true });
  const { addresses } = await harness.ingest;
  const client = await harness.client();
  const frames = Array.from({ length: 300 }, (_, i) => frame(`${i}`.padEnd(20_000, ".")));
  client.send(...frames);
  await until(() => harness.queue.full && harness.queue.state === "degraded");
  // The other thread does not wake it: it has nothing to say but that the disk may be tried.
  harness.queue.onRoom(() => {});
  mkdirSync(log);
  // By then the disk may be tried again. Before, the other's messages would take what is left of the memory, and wait too.
  await Bun.sleep(1100);
  const other = connect(addresses.tcp?.port ?? 0, "127.0.0.1");
  for (let others = 0; harness.queue.written < frames.length + others; others++) {
    other.write(frame("other"));
    await Bun.sleep(20);
  }
  other.destroy();
  harness.reading = true;
  harness.read();
  await until(() => harness.messages.length === harness.queue.written);
  const own = harness.values.filter((value) => value !== "other");
  expect(own.map((value) => Number.parseInt(value, 10))).toEqual(Array.from(frames.keys()));
});

test("questions that never end leave no garbage behind that would not be collected", async () => {
  const harness = start();
  const client = await harness.client();
  const flood = Buffer.concat(Array.from({ length: 20_000 }, (_, i) => encodeSync(Spooled, i)));
  const rounds = 20;
  let before = 0;
  for (let round = 0; round < rounds; round++) {
    client.send(frame("x"), flood);
    await until(() => client.syncs.length === flood.length / 19);
    client.replies.length = 0;
    Bun.gc(true);
    if (round === 4) before = process.memoryUsage().rss;
  }
  // 300,000 Syncs since: forty bytes for each would show.
  expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000);
}, 120_000);
