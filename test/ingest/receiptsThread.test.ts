// Who asks on the real input thread is answered by the main thread, whatever others do meanwhile.
import { afterEach, expect, test } from "bun:test";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { Receipts } from "../../src/spool/receipts.ts";
import { encodeResume, encodeSync, SyncLevel } from "../../src/wire/receipts.ts";
import { Asker } from "./asker.ts";
import { DatagramClient, frame, Harness, PATIENCE } from "./support.ts";

let harness: Harness;
let tracker: Receipts;
const clients: Asker[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await harness.stop();
  tracker.stop();
});

const { Spooled, Synced, Delivered } = SyncLevel;

async function start(limits = {}) {
  harness = new Harness();
  harness.input.tcp.enabled = true;
  const { queue } = harness;
  tracker = new Receipts({ next: () => queue.taken + 1 });
  queue.watch(tracker);
  return await harness.start({ receipts: { tracker, acknowledged: true, syncAlways: false }, limits });
}

async function client(where: string | { host: string; port: number } = harness.input.stream.path): Promise<Asker> {
  const asker = await Asker.open(where);
  clients.push(asker);
  return asker;
}

function settle(numbers: number[], how: "delivered" | "discarded" = "delivered"): void {
  const ended = new MessageNumbers();
  for (const number of numbers) ended.append(number);
  harness.queue.settle(ended, how);
}

/** Resolves when it holds; replies come by sockets of this thread, which nobody tells of. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}

test("delivered is told on a UNIX stream and on TCP, in memory too, and the other levels are refused", async () => {
  const { addresses } = await start();
  for (const where of [harness.input.stream.path, addresses.tcp ?? ""]) {
    const asker = await client(where);
    const before = harness.messages.length;
    asker.send(encodeResume(Buffer.alloc(16, 7)), frame("1"), encodeSync(Spooled, 1), encodeSync(Synced, 2));
    asker.send(frame("2"), encodeSync(Delivered, 3), frame("3"));
    await harness.until(() => harness.messages.length === before + 3);
    const numbers = harness.messages.slice(before).map(({ number }) => number);
    settle(numbers.slice(0, 1));
    settle(numbers.slice(1, 2), "discarded");
    await until(() => asker.replies.length === 4);
    expect(asker.resumes).toMatchObject([{ position: 0, status: 2 }]);
    expect(asker.syncs).toMatchObject([
      { token: 1n, status: 2 },
      { token: 2n, status: 2 },
      { token: 3n, status: 1, received: 3, delivered: 1, discarded: 1 },
    ]);
    settle(numbers.slice(2));
  }
});

test("a hundred clients, each with its own order of ends, are told when theirs are done", async () => {
  await start();
  const askers = await Promise.all(Array.from({ length: 100 }, () => client()));
  for (const [index, asker] of askers.entries()) {
    for (let i = 0; i < 20; i++) asker.send(frame(`${index}:${i}`), encodeSync(Delivered, i));
  }
  await harness.until(() => harness.messages.length === 2000);
  expect(askers.every(({ replies }) => replies.length === 0)).toBe(true);
  const lastFirst = harness.messages.map(({ number }) => number).reverse();
  for (const number of lastFirst) settle([number]);
  await until(() => askers.every(({ syncs }) => syncs.length === 20));
  for (const asker of askers) {
    expect(asker.tokens(3)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(asker.syncs.at(-1)).toMatchObject({ status: 0, received: 20, delivered: 20, discarded: 0 });
  }
});

test("floods of questions that nobody reads the answers of delay no other client", async () => {
  await start();
  const flood = Buffer.concat(Array.from({ length: 50_000 }, (_, index) => encodeSync(index % 8, index)));
  for (let i = 0; i < 10; i++) {
    const hostile = await client();
    hostile.socket.pause();
    hostile.send(frame("stuck"), flood);
  }
  await harness.until(() => harness.messages.length === 10);
  const fine = await client();
  for (let i = 0; i < 50; i++) {
    fine.send(frame(`fine ${i}`), encodeSync(Delivered, i));
    await harness.until(() => harness.values.includes(`fine ${i}`));
    settle([harness.messages.at(-1)?.number ?? 0]);
    await until(() => fine.syncs.length === i + 1);
  }
  expect(fine.syncs.at(-1)).toMatchObject({ status: 0, received: 50, delivered: 50 });
});

test("connections come and go by the thousand, and who comes then is answered", async () => {
  await start({ connections: 50 });
  for (let i = 0; i < 3000; i += 30) {
    const askers = await Promise.all(Array.from({ length: 30 }, () => Asker.open(harness.input.stream.path)));
    for (const asker of askers) {
      asker.send(encodeSync(Delivered, 1));
      asker.socket.end();
    }
    await until(() => askers.every(({ over }) => over));
    for (const asker of askers) expect(asker.tokens(3)).toEqual([1]);
  }
  const last = await client();
  last.send(frame("last"), encodeSync(Delivered, 1));
  await harness.until(() => harness.messages.length === 1);
  settle([1]);
  await until(() => last.syncs.length === 1);
});

test("a stop answers what is delivered in time, and says of the rest that it was not", async () => {
  const ingest = await start({ farewell: 1 });
  const asker = await client();
  asker.send(frame("1"), encodeSync(Delivered, 1), frame("2"), encodeSync(Delivered, 2));
  await harness.until(() => harness.messages.length === 2);
  await ingest.stop(PATIENCE);
  settle([1]);
  await until(() => asker.syncs.length === 1);
  expect(asker.over).toBe(false);
  ingest.flushed();
  await ingest.closed;
  await until(() => asker.over);
  expect(asker.syncs.map(({ token, status }) => [token, status])).toEqual([
    [1n, 0],
    [2n, 3],
  ]);
});

test("on datagrams a question is no message that is known", async () => {
  await start();
  const datagrams = new DatagramClient(harness.input.datagram.path);
  datagrams.send(encodeSync(Delivered, 1));
  datagrams.send(encodeResume(Buffer.alloc(16)));
  datagrams.close();
  await harness.until(() => harness.discarded("unsupported_api_key") === 2);
});
