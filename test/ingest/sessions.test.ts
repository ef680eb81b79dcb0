// A session's position is what bruce has of it, whatever happened to its connections: who resumes sends just the rest.
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeResume, encodeSync } from "../../src/wire/receipts.ts";
import { type BenchOptions, StreamBench } from "./streamBench.ts";
import { frame } from "./support.ts";

let bench: StreamBench;
const start = (options?: BenchOptions) => {
  bench = new StreamBench(options);
  return bench;
};
afterEach(() => bench.stop());

const SESSION = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
const HEX = SESSION.toString("hex");

function bad(): Buffer {
  const bytes = frame("bad");
  bytes.write("?", 12);
  return bytes;
}

async function resume(session = SESSION) {
  const client = await bench.client();
  client.send(encodeResume(session));
  await bench.until(() => client.resumes.length === 1);
  const [reply] = client.resumes;
  expect(reply?.session).toEqual(session);
  return { client, position: reply?.position, status: reply?.status };
}

test("a new session begins at 0, and is resumed where it was", async () => {
  start();
  const first = await resume();
  expect([first.position, first.status]).toEqual([0, 0]);
  first.client.send(frame("1"), frame("2"));
  await bench.until(() => bench.values.length === 2);
  first.client.close();
  await bench.until(() => bench.connections.count === 0);
  const second = await resume();
  expect([second.position, second.status]).toEqual([2, 0]);
  second.client.send(frame("3"), encodeSync(1, 1));
  await bench.until(() => second.client.syncs.length === 1);
  expect(second.client.syncs[0]).toMatchObject({ status: 0, received: 1 });
  expect(bench.queue.blocks.map(({ session, position }) => [session, position])).toEqual([
    [HEX, 0],
    [HEX, 2],
  ]);
});

test("what is turned away in between counts in the position, and in that of the next block", async () => {
  start();
  const { client } = await resume();
  client.send(frame("1"), bad(), frame("2"), encodeSync(1, 1), bad(), bad(), frame("3"));
  await bench.until(() => bench.values.length === 3);
  expect(bench.queue.blocks.map(({ values, position }) => [values, position])).toEqual([
    [["1"], 0],
    [["2"], 2],
    [["3"], 5],
  ]);
  client.close();
  const { position } = await resume();
  expect(position).toBe(6);
});

test("a message that breaks the stream counts, a Sync that does so does not", async () => {
  start({ maxMessage: 1000 });
  const { client } = await resume();
  client.send(frame("1"), frame("x".repeat(2000)));
  await bench.until(() => client.over);
  const second = await resume();
  expect(second.position).toBe(2);
  const flags = encodeSync(1, 1);
  flags[9] = 1;
  second.client.send(frame("2"), flags);
  await bench.until(() => second.client.over);
  expect((await resume()).position).toBe(3);
});

test("a session that goes on elsewhere takes nothing more from the connection before", async () => {
  start();
  const old = await resume();
  const bystander = await bench.client();
  old.client.send(frame("1"));
  await bench.until(() => bench.values.length === 1);
  old.client.send(frame("never"), frame("never"));
  await old.client.written();
  const next = await bench.client();
  next.send(encodeResume(SESSION), frame("2"));
  await bench.until(() => next.resumes.length === 1 && old.client.over);
  const [reply] = next.resumes;
  // Whether what was on its way was read first is open; but the position says so.
  const taken = bench.values.filter((value) => value === "never").length;
  expect(reply?.position).toBe(1 + taken);
  await bench.until(() => bench.values.includes("2"));
  bystander.send(frame("3"));
  await bench.until(() => bench.values.includes("3"));
});

test("what waits for room when its session goes on elsewhere is not taken, and the position says so", async () => {
  start();
  const old = await resume();
  bench.queue.room = frame("1").length;
  old.client.send(frame("1"), encodeSync(1, 1));
  await bench.until(() => bench.values.length === 1);
  old.client.send(frame("2"), frame("3"), bad(), frame("4"));
  await bench.until(() => bench.intake.stalled);
  const { client, position } = await resume();
  expect(position).toBe(1);
  await bench.until(() => old.client.over);
  bench.makeRoom();
  client.send(frame("2"), frame("3"), bad(), frame("4"), encodeSync(1, 9));
  await bench.until(() => client.syncs.length === 1);
  expect(bench.values).toEqual(["1", "2", "3", "4"]);
  expect(client.syncs[0]).toMatchObject({ received: 4, discarded: 1, status: 1 });
});

test("what waits for room when its connection ends is taken, unless the session goes on before", async () => {
  start();
  const old = await resume();
  bench.queue.room = 0;
  old.client.send(frame("1"));
  await bench.until(() => bench.intake.stalled);
  old.client.close();
  await bench.settle();
  bench.makeRoom();
  await bench.until(() => bench.values.length === 1 && bench.connections.count === 0);
  const second = await resume();
  expect(second.position).toBe(1);
});

test("messages of a session wait for room where others are dropped", async () => {
  start({ whenFull: "drop_newest" });
  const { client } = await resume();
  const other = await bench.client();
  bench.queue.room = 0;
  client.send(frame("kept"), bad(), encodeSync(1, 1));
  await bench.until(() => bench.intake.stalled);
  other.send(frame("dropped"), encodeSync(3, 2));
  await bench.until(() => other.syncs.length === 1);
  expect(other.syncs[0]).toMatchObject({ received: 1, discarded: 1, status: 1 });
  expect(client.syncs).toEqual([]);
  bench.makeRoom();
  await bench.until(() => client.syncs.length === 1);
  expect([bench.values, client.syncs[0]?.discarded]).toEqual([["kept"], 1]);
});

test("an input that drops the oldest says that it needs room, again and again until there is", async () => {
  start({ whenFull: "drop_oldest" });
  const client = await bench.client();
  bench.queue.room = 0;
  client.send(frame("1"));
  await bench.until(() => bench.intake.stalled);
  expect(bench.fullTold).toBe(1);
  bench.makeRoom(1);
  expect(bench.fullTold).toBe(2);
  bench.makeRoom();
  expect([bench.values, bench.fullTold]).toEqual([["1"], 2]);
});

test("without a disk buffer no session is kept, and the connection goes on all the same", async () => {
  start();
  bench.queue.state = "memory";
  const { client, position, status } = await resume();
  expect([position, status]).toEqual([0, 2]);
  client.send(frame("1"), encodeSync(3, 1));
  await bench.until(() => bench.values.length === 1);
  expect(bench.queue.blocks[0]?.session).toBeUndefined();
});

test("sessions of the run before are known", async () => {
  start({ sessions: [[HEX, 41, Date.now() - 1000]] });
  const { client, position } = await resume();
  expect(position).toBe(41);
  client.send(frame("42"));
  await bench.until(() => bench.values.length === 1);
  expect(bench.queue.blocks[0]).toMatchObject({ session: HEX, position: 41 });
});

test("sessions without a message are not kept", async () => {
  start({ connections: 8 });
  for (let i = 0; i < 20; i++) {
    const session = Buffer.alloc(16, i + 1);
    const { client } = await resume(session);
    client.close();
    await bench.until(() => bench.connections.count === 0);
  }
  expect(bench.receipts.sessions()).toEqual([]);
});

test("delivered waits for what the session sent on connections before", async () => {
  start();
  const first = await resume();
  first.client.send(frame("1"));
  await bench.until(() => bench.values.length === 1);
  first.client.close();
  const { client } = await resume();
  client.send(encodeSync(3, 1), frame("2"), encodeSync(3, 2));
  await bench.until(() => bench.values.length === 2);
  bench.take();
  bench.end(2);
  await bench.settle();
  expect(client.syncs).toEqual([]);
  bench.end(1);
  await bench.until(() => client.syncs.length === 2);
  expect(client.syncs[1]).toMatchObject({ token: 2n, status: 0, received: 1, delivered: 1 });
});

test("over any number of connections, each broken anywhere, each message is taken once and in order", async () => {
  start({ connections: 2000 });
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
      fc.array(fc.record({ bytes: fc.nat(900), room: fc.option(fc.nat(400)), wait: fc.boolean() }), { maxLength: 6 }),
      async (good, tries) => {
        const session = Buffer.alloc(16);
        session.writeInt32BE(++runs);
        const frames = good.map((fine, index) => (fine ? frame(`${runs}:${index}`) : bad()));
        const before = bench.values.length;
        for (const { bytes, room, wait } of tries) {
          const { client, position = 0 } = await resume(session);
          if (room !== null) bench.queue.room = room;
          client.send(Buffer.concat(frames.slice(position)).subarray(0, bytes));
          if (wait) await bench.settle();
          client.close();
          if (wait) await bench.settle();
          if (wait) bench.makeRoom();
        }
        bench.makeRoom();
        const { client, position = 0 } = await resume(session);
        client.send(...frames.slice(position), encodeSync(1, 1));
        await bench.until(() => client.syncs.length === 1);
        const expected = good.flatMap((fine, index) => (fine ? [`${runs}:${index}`] : []));
        expect(bench.values.slice(before)).toEqual(expected);
        client.close();
        const again = await resume(session);
        expect(again.position).toBe(good.length);
        again.client.close();
        await bench.until(() => bench.connections.count === 0);
      },
    ),
    { numRuns: 60 },
  );
}, 120_000);
