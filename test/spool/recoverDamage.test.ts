// In a spool of 16 KiB, whatever byte is flipped: it starts, loses no more than the block that has it, and the books balance.
import { expect, test } from "bun:test";
import { BlockHeader, SEGMENT_HEADER } from "../../src/spool/format.ts";
import { EVENTFUL, eventfulWorld, expectBalance, filesOf, readAll, some, World, worldOf } from "./recoverFixture.ts";

/** For a busy machine. Milliseconds. */
const LONG = 600_000;
/** What is found again may be delivered twice only if the journal's own entry of it was damaged: the most one has. */
const BATCH = 2;
const BLOCK = 4;

const files = filesOf(await eventfulWorld());
const known = [...EVENTFUL.main, ...EVENTFUL.held, ...EVENTFUL.open];
const settled = [...EVENTFUL.delivered, ...EVENTFUL.discarded];

/** The messages in the block of a segment that has the byte, or undefined when it is in none. */
function blockAt(bytes: Buffer, byte: number): number | undefined {
  const block = new BlockHeader();
  for (let at = SEGMENT_HEADER; block.read(bytes, at, bytes.length) === "whole"; at += block.size)
    if (byte >= at && byte < at + block.size) return block.count;
  return undefined;
}

/** Bytes of a slot's header and content; behind them nothing counts. */
function lengthOf(path: string, bytes: Buffer): number {
  return path.includes("checkpoint") ? bytes.indexOf(0, 40) : bytes.length;
}

test.each([...files.keys()])(
  "%s",
  (path) => {
    const whole = files.get(path) as Buffer;
    for (const at of some(lengthOf(path, whole), 23)) {
      const world = worldOf(files);
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
      world.files.put(path, bytes);

      const recovered = world.recover();
      expectBalance(recovered);
      const { main, held, open, lost, heldLost } = readAll(world.files, recovered);
      const damaged = recovered.ledger.total.discardsByReason.get("damaged") ?? 0;
      const found = [...main, ...held, ...open];
      const here = `byte ${at}: ${JSON.stringify({ main, held, open, lost, heldLost, damaged })}`;
      // Nobody is in two places, and nobody was made up.
      expect([new Set(found).size, here]).toEqual([found.length, here]);
      expect([found.filter((number) => !known.includes(number) && !settled.includes(number)), here]).toEqual([
        [],
        here,
      ]);
      // What is not found is lost on record, message by message, and is no more than one block.
      const missing = known.filter((number) => !found.includes(number));
      const most = path.endsWith(".segment") ? (blockAt(whole, at) ?? 0) : 0;
      expect([missing.length, here]).toEqual([lost.length + heldLost + damaged, here]);
      expect([missing.length <= most && most <= BLOCK, here]).toEqual([true, here]);
      // What was settled stays so, unless it was the journal that was damaged.
      const twice = found.filter((number) => settled.includes(number));
      expect([twice.length <= (path.includes("journal/0000000003") ? BATCH : 0), here]).toEqual([true, here]);
      // All messages are in the books.
      const { delivered, discarded } = recovered.ledger.total;
      expect([delivered + discarded + found.length + lost.length + heldLost, here]).toEqual([40, here]);
    }
  },
  LONG,
);

/** What bytes a power cut, or another program, may leave of a file: cut anywhere, or some of it zeros. */
function* leftovers(path: string, whole: Buffer): Generator<[string, Buffer]> {
  for (const length of some(lengthOf(path, whole), 61)) yield [`cut to ${length}`, whole.subarray(0, length)];
  for (const size of [64, 512, 4096]) {
    for (let at = 0; at < lengthOf(path, whole); at += size) {
      const bytes = Buffer.from(whole);
      yield [`zeros from ${at} to ${at + size}`, bytes.fill(0, at, Math.min(bytes.length, at + size))];
    }
  }
}

test.each([...files.keys()])(
  "%s, cut anywhere or zeros in part",
  (path) => {
    for (const [what, bytes] of leftovers(path, files.get(path) as Buffer)) {
      const world = worldOf(files);
      world.files.put(path, bytes);
      const recovered = world.recover();
      expectBalance(recovered);
      const { main, held, open, lost, heldLost } = readAll(world.files, recovered);
      const found = [...main, ...held, ...open];
      const here = `${what}: ${JSON.stringify({ main, held, open, lost, heldLost })}`;
      expect([new Set(found).size, here]).toEqual([found.length, here]);
      expect([found.filter((number) => !known.includes(number) && !settled.includes(number)), here]).toEqual([
        [],
        here,
      ]);
      // The other files are whole, and so is what they say.
      if (!path.endsWith(".segment"))
        expect([known.filter((number) => !found.includes(number)), here]).toEqual([[], here]);
      if (!path.includes("journal/0000000003"))
        expect([found.filter((number) => settled.includes(number)), here]).toEqual([[], here]);
    }
  },
  LONG,
);

test.each([...files.keys()])("%s, which this user may not open, costs nothing but a start", (path) => {
  const found = readAll(worldOf(files).files, worldOf(files).recover());
  const world = worldOf(files);
  world.files.failNext("open", "EACCES", path);
  const start = () => world.recover();
  if (/[12]\.journal/.test(path)) return; // of before the checkpoint: nobody opens it
  expect(start).toThrow(/EACCES.*give its owner or mode back/);
  expect(readAll(world.files, start())).toEqual(found);
});

test(
  "the next start after any of these finds nothing more to mend",
  () => {
    for (const [path, whole] of files) {
      if (!path.endsWith(".segment")) continue;
      for (const at of some(whole.length, 211)) {
        const world = worldOf(files);
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] as number) ^ 0xff;
        world.files.put(path, bytes);
        const first = readAll(world.files, world.recover());
        const again = world.recover();
        expect([path, at, again.problems]).toEqual([path, at, []]);
        const second = readAll(world.files, again);
        expect([path, at, second.main, second.held]).toEqual([path, at, first.main, first.held]);
      }
    }
  },
  LONG,
);

test("a start tells of damage in what is held, though nothing of it is delivered yet", () => {
  const world = new World();
  const log = world.held("t");
  log.segment();
  for (const first of [1, 3]) log.block([first, first + 1], true);
  log.close();
  const path = "/data/held/t/0000000001.segment";
  const bytes = Buffer.from(world.files.content(path));
  bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
  world.files.put(path, bytes);
  const told: unknown[] = [];
  const { held } = world.recover({ log: { warn: (_line, fields) => void told.push(fields) } });
  expect(held.map(({ unread }) => unread)).toEqual([2]);
  expect(told).toContainEqual(expect.objectContaining({ path, from: 64 }));
});
