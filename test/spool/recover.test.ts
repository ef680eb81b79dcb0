// After any end, each message is in one place only, and the books say which.
import { expect, test } from "bun:test";
import { BlockHeader } from "../../src/spool/format.ts";
import type { Recovered } from "../../src/spool/recover.ts";
import { range, setOf } from "./logFixture.ts";
import {
  EVENTFUL,
  eventfulWorld,
  expectBalance,
  filesOf,
  heldState,
  type Outcome,
  readAll,
  some,
  World,
  worldOf,
} from "./recoverFixture.ts";
import { stateOf } from "./stateFixture.ts";

function accounts({ ledger }: Recovered) {
  return Object.fromEntries(
    [...ledger.topics()].map(([topic, { received, delivered, discarded }]) => [
      topic,
      [received, delivered, discarded],
    ]),
  );
}

/** For a busy machine. Milliseconds. */
const LONG = 600_000;

const NOTHING_LOST: Outcome = {
  main: EVENTFUL.main,
  held: EVENTFUL.held,
  open: EVENTFUL.open,
  lost: [],
  heldLost: 0,
};

test("after a crash everything is found where it was", async () => {
  const world = await eventfulWorld();
  const recovered = world.recover();
  expect(recovered.problems).toEqual([]);
  expect(recovered).toMatchObject({ clean: false, bindingOk: true, journalOrdinal: 4, topicsSeen: ["others"] });
  // The reservation of the checkpoint: numbers beyond what was found may have been given away.
  expect(recovered.log).toMatchObject({ nextNumber: 1000, previousEnd: 41, nextOrdinal: 4 });
  expect(recovered.held).toMatchObject([
    { name: "thirds", topic: "thirds", partition: null, reason: "missing", unread: 5 },
  ]);
  expectBalance(recovered);
  expect(accounts(recovered)).toEqual({ others: [18, 10, 2], thirds: [9, 3, 0] });
  expect(readAll(world.files, recovered)).toEqual(NOTHING_LOST);
});

test("the second start finds the same as the first, also when the first only looked", async () => {
  const world = await eventfulWorld();
  for (const repair of [false, true, false, true]) {
    const recovered = world.recover({ repair });
    expectBalance(recovered);
    expect(recovered.log.nextNumber).toBe(1000);
    expect(readAll(world.files, recovered)).toEqual(NOTHING_LOST);
  }
});

test("looking changes nothing", async () => {
  const world = await eventfulWorld();
  world.files.put("/data/log/0000000003.segment", world.files.content("/data/log/0000000003.segment").subarray(0, -5));
  world.files.put("/data/log/0000000002.segment", Buffer.alloc(100, 1));
  const { changes } = world.files;
  world.files.readOnly = true;
  const recovered = world.recover({ repair: false });
  expect(recovered.problems).toHaveLength(2);
  expect(world.files.changes).toBe(changes);
});

test("the other slot and its journal say the same", async () => {
  const world = await eventfulWorld();
  world.files.put("/data/checkpoint.1", Buffer.from("damaged"));
  const recovered = world.recover();
  expect(recovered.problems).toMatchObject([{ path: "/data/checkpoint.1" }]);
  expectBalance(recovered);
  expect(accounts(recovered)).toEqual({ others: [18, 10, 2], thirds: [9, 3, 0] });
  expect(readAll(world.files, recovered)).toEqual(NOTHING_LOST);
});

test("without any checkpoint the logs and journals that are there say what is unsettled", async () => {
  const world = await eventfulWorld();
  world.files.remove("/data/checkpoint.0");
  world.files.put("/data/checkpoint.1", Buffer.alloc(0));
  const recovered = world.recover();
  expectBalance(recovered);
  // No reservation is known: further on than any could have been.
  expect(recovered.log).toMatchObject({ previousEnd: 41, nextNumber: 41 + 2 ** 24 });
  expect(recovered.bindingOk).toBe(true);
  const outcome = readAll(world.files, recovered);
  expect(outcome.open).toEqual(EVENTFUL.open);
  expect(outcome.lost).toEqual([]);
  // Those that only the checkpoint knew as delivered come again.
  const again = [1, 2, 4, 5];
  expect([...outcome.main, ...outcome.held].toSorted((a, b) => a - b)).toEqual(
    [...again, ...EVENTFUL.main, ...EVENTFUL.held].toSorted((a, b) => a - b),
  );
  const waits = outcome.main.length + outcome.held.length + outcome.open.length;
  expect(recovered.ledger.total.delivered + recovered.ledger.total.discarded + waits).toBe(40);
});

test("a new directory is empty", () => {
  const world = new World();
  const recovered = world.recover();
  expect(recovered).toMatchObject({
    clean: false,
    bindingOk: true,
    openEntries: [],
    held: [],
    sessions: [],
    problems: [],
  });
  expect(recovered.log).toMatchObject({ segments: [], nextNumber: 1, previousEnd: 1, nextOrdinal: 1 });
  expect(recovered.directoryId).toMatch(/^[0-9a-f]{32}$/);
});

test("a graceful stop is known, and the numbers go on without a gap", async () => {
  const world = new World();
  world.main.segment();
  world.main.block([1, 2, 3]);
  world.main.seal();
  const { head } = world.main;
  await world.checkpoints.write(stateOf({ clean: true, log: { read: { ...head, offset: 64 }, head } }));
  expect(world.recover()).toMatchObject({ clean: true, log: { nextNumber: 4, previousEnd: 4, nextOrdinal: 2 } });
  // What came after it shows that it was not the last thing.
  world.main.segment();
  world.main.block([4]);
  expect(world.recover()).toMatchObject({ clean: false, log: { nextNumber: 1000, previousEnd: 5, nextOrdinal: 3 } });
});

test(
  "a tail that is cut at any byte is cut to its last block, and what the checkpoint knew of is lost on record",
  async () => {
    const files = filesOf(await eventfulWorld());
    const whole = files.get("/data/log/0000000003.segment") as Buffer;
    const starts = [64, ...blockStarts(whole).map(({ end }) => end)];
    for (const size of some(whole.length, 19)) {
      const world = worldOf(files);
      world.files.put("/data/log/0000000003.segment", whole.subarray(0, size));
      const recovered = world.recover();
      expectBalance(recovered);
      const outcome = readAll(world.files, recovered);
      const blocks = Math.max(0, starts.filter((start) => start <= size).length - 1);
      const there = (number: number) => number < 25 + 4 * blocks;
      expect(outcome.main).toEqual(EVENTFUL.main.filter(there));
      // Those up to 32 were there when the checkpoint was written.
      expect(outcome.lost).toEqual(EVENTFUL.main.filter((number) => !there(number) && number <= 32));
      expect(outcome.open).toEqual(EVENTFUL.open);
      if (size < 64) continue;
      expect(recovered.log.segments).toHaveLength(3);
      const end = starts.filter((start) => start <= size).at(-1);
      expect(world.files.list("/data/quarantine").length).toBe(end === size ? 0 : 1);
    }
  },
  LONG,
);

test("a missing segment is lost on record, if anything of it was wanted", async () => {
  const lost = { 1: [], 2: [22, 23], 3: [30, 31, 32] };
  for (const [ordinal, numbers] of Object.entries(lost)) {
    const world = await eventfulWorld();
    world.files.remove(`/data/log/000000000${ordinal}.segment`);
    const recovered = world.recover();
    expectBalance(recovered);
    expect(readAll(world.files, recovered).lost).toEqual(numbers);
    expect(recovered.log.nextNumber).toBe(1000);
  }
});

test("what a segment without an index has is found in its blocks", async () => {
  const world = await eventfulWorld();
  const path = "/data/log/0000000001.segment";
  world.files.put(path, world.files.content(path).subarray(0, -1));
  const recovered = world.recover();
  expect(readAll(world.files, recovered)).toEqual(NOTHING_LOST);
  expect(recovered.problems).toMatchObject([{ path }]);
  const [first, second, third] = recovered.log.segments;
  expect(first).toMatchObject({ sealed: false, firstNumber: 1, end: 13, messages: 12 });
  expect(first?.size).toBe(world.files.content(path).length);
  expect(second).toMatchObject({ sealed: true, firstNumber: 13, end: 25, messages: 12 });
  expect(third).toMatchObject({ sealed: false, firstNumber: 25, end: 41, messages: 16 });
  expect(world.recover()).toMatchObject({ problems: [], log: { segments: recovered.log.segments } });
});

test("a file that is no segment, and one that was only begun, are no obstacle", async () => {
  const world = await eventfulWorld();
  world.files.put("/data/log/0000000004.segment", Buffer.alloc(0));
  world.files.put("/data/log/0000000005.segment", Buffer.alloc(30));
  world.files.put("/data/log/0000000006.segment", Buffer.alloc(3000, 7));
  world.files.put("/data/log/notes.txt", Buffer.from("not ours"));
  world.files.put("/data/held/stray", Buffer.from("not ours"));
  const recovered = world.recover();
  expect(readAll(world.files, recovered)).toEqual(NOTHING_LOST);
  expect(recovered.log.nextOrdinal).toBe(7);
  expect(world.files.list("/data/log")).toEqual([
    ...[1, 2, 3].map((ordinal) => `000000000${ordinal}.segment`),
    "notes.txt",
  ]);
  expect(world.files.list("/data/quarantine").some((name) => name.includes("log.0000000006.segment-0"))).toBe(true);
});

test("a segment whose header and first block are both damaged is set aside, and counted", async () => {
  const world = await eventfulWorld();
  const path = "/data/log/0000000002.segment";
  const bytes = Buffer.from(world.files.content(path));
  world.files.put(path, bytes.fill(0, 0, 200).fill(0, bytes.length - 30));
  const recovered = world.recover();
  expectBalance(recovered);
  expect(readAll(world.files, recovered)).toEqual({
    ...NOTHING_LOST,
    main: range(30, 41),
    lost: [22, 23],
  });
  expect(recovered.log.segments.map(({ ordinal }) => ordinal)).toEqual([1, 3]);
});

test("a held log that is gone is lost on record", async () => {
  const world = await eventfulWorld();
  for (const name of world.files.list("/data/held/thirds")) world.files.remove(`/data/held/thirds/${name}`);
  world.files.removeDirectory("/data/held/thirds");
  const recovered = world.recover();
  expectBalance(recovered);
  const outcome = readAll(world.files, recovered);
  // What had moved there since the checkpoint is still in the main log; the others are discarded as damaged.
  expect(outcome.main).toEqual([21, ...[22, 23, 24, 27], ...range(30, 41)].toSorted((a, b) => a - b));
  expect(recovered.ledger.total.discardsByReason.get("damaged")).toBe(2);
});

test("on another machine, or with another directory's journal, the producer ids are not ours", async () => {
  const world = await eventfulWorld();
  expect(world.recover({ machineId: "00".repeat(16) }).bindingOk).toBe(false);
  world.files.remove("/data/checkpoint.0");
  world.files.remove("/data/checkpoint.1");
  expect(world.recover({ machineId: "00".repeat(16) }).bindingOk).toBe(false);
});

test("sessions are as far as the checkpoint, the indexes and the tail say", async () => {
  const world = new World();
  const ids = [1, 2, 3].map((byte) => Buffer.alloc(16, byte));
  const [one, two, three] = ids as [Buffer, Buffer, Buffer];
  world.main.segment();
  world.main.block([1, 2], false, { id: one, position: 10 });
  world.main.segment();
  world.main.block([3], false, { id: one, position: 14 });
  world.main.block([4, 5], false, { id: two, position: 0 });
  await world.checkpoints.write(
    stateOf({
      sessions: [
        [one.toString("hex"), 12, 5],
        [three.toString("hex"), 7, 6],
      ],
    }),
  );
  expect(world.recover().sessions.toSorted()).toEqual([
    [one.toString("hex"), 15, 1_795_338_076_304],
    [two.toString("hex"), 2, 1_795_338_076_304],
    [three.toString("hex"), 7, 6],
  ]);
});

test("a disk that does not list its directories is not usable, and says so", async () => {
  const world = await eventfulWorld();
  world.files.failNext("list", "EIO", "/log");
  expect(() => world.recover()).toThrow("EIO");
});

test("a disk that refuses every repair is no obstacle", async () => {
  const world = await eventfulWorld();
  const path = "/data/log/0000000003.segment";
  world.files.put(path, Buffer.concat([world.files.content(path), Buffer.alloc(50, 3)]));
  world.files.readOnly = true;
  const recovered = world.recover();
  expect(recovered.problems).toMatchObject([{ path }]);
  expect(readAll(world.files, recovered)).toEqual(NOTHING_LOST);
});

function blockStarts(bytes: Buffer): { end: number }[] {
  const found: { end: number }[] = [];
  const block = new BlockHeader();
  for (let at = 64; block.read(bytes, at, bytes.length) === "whole"; at += block.size)
    found.push({ end: at + block.size });
  return found;
}

test("numbers that a run passed over and never came to use are not lost, however often it dies", async () => {
  const world = new World();
  world.main.segment();
  world.main.block([1, 2, 3]);
  const end = world.main.head;
  await world.checkpoints.write(stateOf({ log: { read: { ...end, offset: 64, number: 1 }, head: end } }));
  let { log, checkpoints } = world.recover();
  expect(log).toMatchObject({ previousEnd: 4, nextNumber: 1000 });
  for (let life = 0; life < 3; life++) {
    const unused = { from: log.previousEnd, to: log.nextNumber };
    const read = life < 2 ? { ...end, offset: 64, number: 1 } : { ...end, number: unused.to };
    const head = { ...end, number: unused.to };
    await checkpoints.write(stateOf({ log: { read, head, unused }, reserved: 1000 * (life + 2) }));
    const recovered = world.recover();
    ({ log, checkpoints } = recovered);
    expect(log).toMatchObject({ previousEnd: 4, nextNumber: 1000 * (life + 2) });
    expect(readAll(world.files, recovered)).toMatchObject({ main: life < 2 ? [1, 2, 3] : [], lost: [] });
  }
  // Used, and gone since: those are lost, and only those.
  const unused = { from: 4, to: 4000 };
  const read = { ...end, offset: 64, number: 1 };
  await checkpoints.write(stateOf({ log: { read, head: { number: 4005, segment: 2, offset: 500 }, unused } }));
  const recovered = world.recover();
  expect(recovered.log).toMatchObject({ previousEnd: 4005, nextNumber: 4005 });
  expect(readAll(world.files, recovered)).toMatchObject({ main: [1, 2, 3], lost: range(4000, 4005) });
});

test("a held log that was emptied, and then took lower numbers, has these", async () => {
  const world = new World();
  world.main.segment();
  world.main.block(range(1, 13));
  const thirds = world.held("thirds");
  thirds.segment();
  thirds.block([9, 12], true);
  const { head } = thirds;
  const state = heldState({ read: { ...head, number: 13 }, head });
  const log = { read: { ...world.main.head, number: 13 }, head: world.main.head };
  await world.checkpoints.write(stateOf({ log, unsettled: setOf([3, 6]), held: [state] }));
  // All of it was settled by then, so its file may go; whether it went before the crash or not makes no difference.
  thirds.segment(true, 3);
  thirds.block([3, 6], true);
  for (const gone of [false, true]) {
    if (gone) world.files.remove("/data/held/thirds/0000000001.segment");
    const recovered = world.recover();
    expectBalance(recovered);
    expect(recovered.held).toMatchObject([{ unread: 2 }]);
    expect(readAll(world.files, recovered)).toMatchObject({ main: [], held: [3, 6], lost: [], heldLost: 0 });
    expect(recovered.ledger.total.discarded).toBe(0);
  }
});
