// A Sync is answered when what came before it on its connection has reached its level: no sooner, and delayed by no one.
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeResume, encodeSync, SyncLevel } from "../../src/wire/receipts.ts";
import { type BenchOptions, StreamBench } from "./streamBench.ts";
import { frame } from "./support.ts";

let bench: StreamBench;
const start = (options?: BenchOptions) => {
  bench = new StreamBench(options);
  return bench;
};
afterEach(() => bench.stop());

const { Spooled, Synced, Delivered } = SyncLevel;

function bad(): Buffer {
  const bytes = frame("bad");
  bytes.write("?", 12);
  return bytes;
}

test("spooled is answered as soon as what came before is appended, in order, pipelined with messages", async () => {
  const { queue } = start();
  const client = await bench.client();
  client.send(
    frame("1"),
    encodeSync(Spooled, 1),
    frame("2"),
    frame("3"),
    encodeSync(Spooled, -2n),
    encodeSync(Spooled, 3),
  );
  await bench.until(() => client.syncs.length === 3);
  expect(client.syncs.map(({ token, status }) => [token, status])).toEqual([
    [1n, 0],
    [-2n, 0],
    [3n, 0],
  ]);
  expect(client.syncs.at(-1)).toMatchObject({ received: 3, delivered: 0, discarded: 0 });
  expect(queue.blocks.map(({ values }) => values)).toEqual([["1"], ["2", "3"]]);
});

test("synced is answered when the disk is, and asks for it", async () => {
  const { queue } = start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Synced, 1), frame("2"), encodeSync(Synced, 2), encodeSync(Spooled, 3));
  await bench.until(() => client.syncs.length === 1);
  expect([client.tokens(Spooled), queue.syncsWanted > 0]).toEqual([[3], true]);
  queue.synced = 1;
  await bench.until(() => client.syncs.length === 2);
  await bench.settle();
  expect(client.tokens(Synced)).toEqual([1]);
  queue.synced = 2;
  await bench.until(() => client.syncs.length === 3);
  expect(client.tokens(Synced)).toEqual([1, 2]);
  queue.syncsWanted = 0;
  client.send(encodeSync(Synced, 4));
  await bench.until(() => client.syncs.length === 4);
  expect(queue.syncsWanted).toBe(0);
});

test("delivered is answered when each is settled, in order, and other levels do not wait for it", async () => {
  start();
  const client = await bench.client();
  client.send(
    frame("1"),
    frame("2"),
    encodeSync(Delivered, 1),
    frame("3"),
    encodeSync(Delivered, 2),
    encodeSync(Spooled, 3),
  );
  await bench.until(() => client.syncs.length === 1);
  bench.take();
  bench.end(3);
  bench.end(1);
  await bench.settle();
  expect(client.tokens(Delivered)).toEqual([]);
  bench.end(2, "discarded");
  await bench.until(() => client.syncs.length === 3);
  expect(client.syncs.slice(1)).toMatchObject([
    { token: 1n, status: 1, received: 3, delivered: 2, discarded: 1 },
    { token: 2n, status: 1, received: 3, delivered: 2, discarded: 1 },
  ]);
});

test("what is discarded at the input is in the totals, and the status says so from there on", async () => {
  start({ whenFull: "drop_newest" });
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Spooled, 1), bad(), frame("2"), encodeSync(Spooled, 2), encodeSync(Delivered, 3));
  await bench.until(() => client.syncs.length === 2);
  bench.take();
  bench.end(1);
  bench.end(2);
  await bench.until(() => client.syncs.length === 3);
  expect(client.syncs.map(({ status }) => status)).toEqual([0, 1, 1]);
  expect(client.syncs[2]).toMatchObject({ received: 3, delivered: 2, discarded: 1 });
  bench.queue.room = 0;
  client.send(frame("dropped"), encodeSync(Delivered, 4));
  await bench.until(() => client.syncs.length === 4);
  expect(client.syncs[3]).toMatchObject({ status: 1, received: 4, delivered: 2, discarded: 2 });
});

test("what another connection waits for delays no answer", async () => {
  start();
  const [one, other] = [await bench.client(), await bench.client()];
  other.send(frame("stuck"), encodeSync(Delivered, 1), encodeSync(Synced, 2));
  await bench.until(() => bench.values.length === 1);
  one.send(frame("quick"), encodeSync(Delivered, 3));
  await bench.until(() => bench.values.length === 2);
  bench.take();
  bench.end(2);
  await bench.until(() => one.syncs.length === 1);
  expect(other.syncs).toEqual([]);
});

test("in memory, spooled and synced cannot be had, delivered can; without acknowledgements that cannot either", async () => {
  start();
  bench.queue.state = "memory";
  const client = await bench.client();
  client.send(frame("1"), ...[Spooled, Synced, Delivered].map((level) => encodeSync(level, level)));
  await bench.until(() => client.syncs.length === 2);
  bench.take();
  bench.end(1);
  await bench.until(() => client.syncs.length === 3);
  expect(client.syncs.map(({ token, status }) => [token, status])).toEqual([
    [1n, 2],
    [2n, 2],
    [3n, 0],
  ]);
  bench.stop();
  start({ acknowledged: false });
  const second = await bench.client();
  second.send(frame("1"), encodeSync(Delivered, 1));
  await bench.until(() => second.syncs.length === 1);
  expect(second.syncs[0]).toMatchObject({ level: 3, token: 1n, status: 2, received: 1 });
});

test("a level that does not exist cannot be had", async () => {
  start();
  const client = await bench.client();
  client.send(...[0, 4, -128, 127].map((level) => encodeSync(level, level)), encodeSync(Spooled, 9));
  await bench.until(() => client.syncs.length === 5);
  expect(client.syncs.map(({ level, status }) => [level, status])).toEqual([
    [0, 2],
    [4, 2],
    [-128, 2],
    [127, 2],
    [1, 0],
  ]);
});

test("what the disk refused is not spooled until it is settled, also when the disk takes more again", async () => {
  const { queue } = start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Synced, 1));
  await bench.until(() => bench.values.length === 1);
  queue.state = "degraded";
  await bench.until(() => client.syncs.length === 1);
  client.send(frame("2"), encodeSync(Spooled, 2));
  await bench.until(() => client.syncs.length === 2);
  queue.state = "disk";
  queue.aloneTo = 2;
  queue.synced = 1;
  client.send(frame("3"), encodeSync(Spooled, 3), encodeSync(Synced, 4));
  await bench.until(() => client.syncs.length === 4);
  expect(client.syncs.map(({ status }) => status)).toEqual([2, 2, 2, 2]);
  bench.take();
  for (const number of [1, 2, 3]) bench.end(number);
  client.send(encodeSync(Spooled, 5));
  await bench.until(() => client.syncs.length === 5);
  expect(client.syncs[4]).toMatchObject({ status: 0, delivered: 3 });
});

test("after an fdatasync that failed, synced cannot be had for what it covered", async () => {
  const { queue } = start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Synced, 1));
  await bench.until(() => bench.values.length === 1);
  queue.refusedSync = (from) => (from <= 1 ? 1 : 0);
  await bench.until(() => client.syncs.length === 1);
  client.send(frame("2"), encodeSync(Synced, 2), encodeSync(Spooled, 3));
  queue.synced = 2;
  await bench.until(() => client.syncs.length === 3);
  expect(client.syncs.map(({ level, status }) => [level, status])).toEqual([
    [2, 2],
    [1, 0],
    [2, 2],
  ]);
});

test("one that failed in the midst of what was asked after is no less a failure, until all of that is delivered", async () => {
  const { queue } = start();
  const client = await bench.client();
  client.send(frame("1"), frame("2"), frame("3"), encodeSync(Synced, 1));
  queue.refusedSync = (from, to) => (from <= 2 && to >= 2 ? 2 : 0);
  queue.synced = 3;
  await bench.until(() => client.syncs.length === 1);
  bench.take();
  bench.end(1);
  client.send(encodeSync(Synced, 2));
  await bench.until(() => client.syncs.length === 2);
  bench.end(2);
  bench.end(3);
  client.send(encodeSync(Synced, 3), frame("4"), encodeSync(Synced, 4));
  await bench.until(() => client.syncs.length === 3);
  queue.synced = 4;
  await bench.until(() => client.syncs.length === 4);
  expect(client.syncs.map(({ status }) => status)).toEqual([2, 2, 0, 0]);
});

test("one that fails at the very moment of the question counts, if it counts as synced by then", async () => {
  const { queue } = start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Synced, 1));
  await bench.until(() => queue.syncsWanted > 0);
  // The other thread says both between two looks.
  let first: string | undefined;
  const look = (what: string) => {
    first ??= what;
    return what === first ? 0 : 1;
  };
  queue.refusedSync = () => look("failed");
  Object.defineProperty(queue, "synced", { get: () => look("synced") });
  bench.connections.answer(0);
  await bench.until(() => client.syncs.length === 1);
  expect(client.syncs[0]?.status).toBe(2);
});

test("who was woken and has to wait on asks again, whatever came between", async () => {
  const { queue } = start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Synced, 1));
  await bench.until(() => queue.syncsWanted > 0);
  for (let times = 0; times < 3; times++) {
    queue.syncsWanted = 0;
    bench.connections.answer(0);
    expect([client.syncs.length, queue.syncsWanted]).toEqual([0, 1]);
  }
  queue.synced = 1;
  bench.connections.answer(0);
  queue.syncsWanted = 0;
  await bench.until(() => client.syncs.length === 1);
  expect([client.syncs[0]?.status, queue.syncsWanted]).toEqual([0, 0]);
});

test('with sync = "always" spooled is what is synced', async () => {
  const { queue } = start({ syncAlways: true });
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Spooled, 1));
  await bench.until(() => bench.values.length === 1);
  await bench.settle();
  expect([client.syncs.length, queue.syncsWanted > 0]).toEqual([0, true]);
  queue.synced = 1;
  await bench.until(() => client.syncs.length === 1);
  expect(client.syncs[0]?.status).toBe(0);
});

test("a Sync behind what finds no room waits for it", async () => {
  const { queue } = start();
  const client = await bench.client();
  queue.room = 0;
  client.send(frame("1"), encodeSync(Spooled, 1), frame("2"), encodeSync(Delivered, 2));
  await bench.settle();
  expect([client.syncs.length, bench.values.length]).toEqual([0, 0]);
  bench.makeRoom(frame("1").length);
  await bench.until(() => client.syncs.length === 1);
  await bench.settle();
  expect([bench.values, client.tokens(1)]).toEqual([["1"], [1]]);
  bench.makeRoom();
  await bench.until(() => bench.values.length === 2);
  bench.take();
  bench.end(1);
  bench.end(2);
  await bench.until(() => client.tokens(3).length === 1);
});

test("a client that says it is done still gets its answers, then the connection is closed", async () => {
  start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Delivered, 1));
  client.socket.end();
  await bench.until(() => bench.values.length === 1);
  await bench.settle();
  expect(bench.connections.count).toBe(1);
  bench.take();
  bench.end(1);
  await bench.until(() => bench.connections.count === 0 && client.over);
  expect(client.tokens(3)).toEqual([1]);
});

test("a client that is gone is waited for no longer", async () => {
  start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Delivered, 1));
  client.socket.end();
  await bench.until(() => bench.values.length === 1);
  client.close();
  await bench.until(() => bench.connections.count === 0);
});

test("a million Syncs of a client that reads nothing take little memory, stall only that client, and are all answered", async () => {
  start();
  const hostile = await bench.client();
  hostile.socket.pause();
  const many = Buffer.concat(Array.from({ length: 10_000 }, (_, index) => encodeSync((index % 5) as 0, index)));
  for (let i = 0; i < 20; i++) hostile.socket.write(many);
  hostile.socket.write(frame("behind"));
  await bench.settle();
  const before = process.memoryUsage().rss;
  const other = await bench.client();
  other.send(frame("other"), encodeSync(Spooled, 1));
  await bench.until(() => other.syncs.length === 1);
  expect(hostile.socket.writableLength).toBeGreaterThan(1_000_000);
  expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
  hostile.socket.resume();
  const due = () => hostile.syncs.length === 200_000;
  await bench.until(() => {
    bench.take();
    return due() && bench.values.includes("behind");
  });
  expect(hostile.tokens(1).slice(0, 3)).toEqual([1, 6, 11]);
  for (const level of [1, 3]) {
    expect(hostile.tokens(level)).toEqual(Array.from({ length: 40_000 }, (_, index) => ((index * 5) % 10_000) + level));
  }
}, 120_000);

test("with many outstanding the client waits, and goes on as they are answered", async () => {
  start();
  const client = await bench.client();
  const count = 3000;
  client.send(...Array.from({ length: count }, (_, index) => [frame(`${index}`), encodeSync(Delivered, index)]).flat());
  await bench.settle();
  expect(bench.values.length).toBe(257);
  let ended = 0;
  await bench.until(() => {
    bench.take();
    while (ended < bench.next - 1) bench.end(++ended);
    return client.syncs.length === count;
  });
  expect(client.tokens(3)).toEqual(Array.from({ length: count }, (_, index) => index));
});

test("a client that has read in the very moment when it was given up for slow is answered all the same", async () => {
  for (let refused = 1; refused <= 6; refused++) {
    let calls = 0;
    // As often as it takes to stop reading, and then to go on once more.
    start({ refuses: () => calls++ % 7 < refused });
    const client = await bench.client();
    const count = 2000;
    client.send(...Array.from({ length: count }, (_, i) => encodeSync(Spooled, i)));
    await bench.serveAsTold();
    expect(client.tokens(Spooled)).toEqual(Array.from({ length: count }, (_, i) => i));
    bench.stop();
  }
  start();
});

test("many clients with more outstanding than is kept for them cost only themselves", async () => {
  start({ connections: 200 });
  const flood = Buffer.concat(Array.from({ length: 20_000 }, () => encodeSync(Delivered, 1)));
  const clients = [];
  for (let i = 0; i < 120; i++) clients.push(await bench.client());
  for (const client of clients) client.send(frame("stuck"), flood);
  await bench.until(() => bench.values.length === 120);
  await bench.settle();
  const open = bench.connections.count;
  expect(open).toBeGreaterThan(30);
  if (open < 120) expect(bench.warnings).toContain("a connection was closed: it has too many Syncs outstanding");
  const other = await bench.client();
  other.send(frame("fine"), encodeSync(Spooled, 7));
  await bench.until(() => other.syncs.length === 1);
});

test("half a Sync is an unclean disconnect, and one of another size breaks the connection", async () => {
  start();
  const half = await bench.client();
  half.send(frame("1"), encodeSync(Spooled, 1).subarray(0, 11));
  half.socket.end();
  await bench.until(() => half.over);
  expect([bench.values, half.replies, bench.intake.counters.uncleanDisconnects]).toEqual([["1"], [], 1]);
  const wrong = await bench.client();
  const longer = frame("x".repeat(50));
  longer.writeInt16BE(512, 4);
  wrong.send(frame("2"), encodeSync(Spooled, 2), longer, frame("never"));
  await bench.until(() => wrong.over);
  expect([bench.values, wrong.tokens(1)]).toEqual([["1", "2"], [2]]);
  expect(bench.discards.take()).toMatchObject([{ reason: "malformed", count: 1 }]);
});

test("a Resume that does not come first is malformed", async () => {
  start();
  for (const first of [frame("1"), encodeSync(Spooled, 1), bad(), encodeResume(Buffer.alloc(16, 1))]) {
    const client = await bench.client();
    client.send(first, encodeResume(Buffer.alloc(16, 2)), frame("never"));
    await bench.until(() => client.over);
    expect(bench.values).not.toContain("never");
    expect(bench.discards.take().filter(({ reason }) => reason === "malformed")).toMatchObject([{ count: 1 }]);
  }
});

test("on a stop what can be answered is, and the rest is told that it will not be", async () => {
  start();
  const client = await bench.client();
  client.send(frame("1"), encodeSync(Delivered, 1), frame("2"), encodeSync(Delivered, 2), encodeSync(Synced, 3));
  await bench.until(() => bench.values.length === 2);
  bench.connections.stop();
  bench.take();
  bench.end(1);
  await bench.until(() => bench.connections.allDrained && client.syncs.length === 1);
  bench.connections.flushed(0);
  await bench.until(() => client.syncs.length === 3);
  expect(client.syncs.map(({ token, status }) => [token, status]).sort()).toEqual([
    [1n, 0],
    [2n, 3],
    [3n, 3],
  ]);
});

test("a stop waits for no client that does not read", async () => {
  start();
  const client = await bench.client();
  client.socket.pause();
  const flood = Buffer.concat(Array.from({ length: 5000 }, () => encodeSync(Delivered, 1)));
  client.send(frame("1"), flood, frame("2"));
  await bench.until(() => bench.values.length === 1);
  await bench.settle();
  expect(bench.values).toEqual(["1"]);
  bench.connections.stop();
  await bench.until(() => bench.connections.allDrained);
  expect(bench.values).toEqual(["1", "2"]);
});

test("however the bytes are cut, the answers are the same", async () => {
  start({ connections: 1000 });
  const part = fc.oneof(
    fc.constant("message" as const),
    fc.constant("bad" as const),
    fc.integer({ min: 0, max: 4 }).map((level) => ({ level })),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 30 }),
      fc.array(fc.nat(2000), { maxLength: 8 }),
      async (parts, places) => {
        let received = 0;
        let soiled = false;
        const expected: { level: number; token: bigint; status: number }[] = [];
        const bytes = Buffer.concat(
          parts.map((one, index) => {
            if (one === "message" || one === "bad") {
              received++;
              soiled ||= one === "bad";
              return one === "bad" ? bad() : frame(`${index}`);
            }
            const status = one.level < 1 || one.level > 3 ? 2 : soiled ? 1 : 0;
            expected.push({ level: one.level, token: BigInt(index), status });
            return encodeSync(one.level, index);
          }),
        );
        const client = await bench.client();
        const edges = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        for (const [index, edge] of edges.slice(1).entries()) {
          client.send(bytes.subarray(edges[index], edge));
          await bench.settle();
        }
        const count = bench.queue.lastNumber;
        bench.take();
        for (let number = 1; number <= count; number++) bench.end(number);
        bench.queue.synced = count;
        await bench.until(() => client.syncs.length === expected.length);
        for (const level of [1, 2, 3]) {
          const of = (all: { level: number; token: bigint; status: number }[]) =>
            all.filter((one) => one.level === level).map(({ token, status }) => [token, status]);
          expect(of(client.syncs)).toEqual(of(expected));
        }
        expect(client.syncs.every((one) => one.received <= received)).toBe(true);
        client.close();
        await bench.until(() => bench.connections.count === 0);
      },
    ),
    { numRuns: 40 },
  );
}, 120_000);
