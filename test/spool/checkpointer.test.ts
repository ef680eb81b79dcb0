// Checkpoints come one at a time, and one that fails costs nothing but time: no file for each try, and no number withheld.
import { expect, test } from "bun:test";
import type { CheckpointState } from "../../src/spool/checkpoint.ts";
import { Checkpointer, RESERVE } from "../../src/spool/checkpointer.ts";
import { stateOf } from "./stateFixture.ts";

/** A checkpointer whose slots are written when the test says so. */
class Bench {
  readonly written: CheckpointState[] = [];
  readonly reserved: number[] = [];
  readonly failing: (string | undefined)[] = [];
  writing = 0;
  most = 0;
  rotations = 0;
  synced = 0;
  released = 0;
  fails = false;
  needed = false;
  progress = 0;
  head = 1;
  time = 0;
  readonly checkpointer: Checkpointer;

  constructor() {
    this.checkpointer = new Checkpointer({
      store: {
        firstJournal: 0,
        write: async (state, ready) => {
          this.writing++;
          this.most = Math.max(this.most, this.writing);
          await ready;
          await Bun.sleep(1);
          this.writing--;
          if (this.fails) throw new Error("the disk refuses");
          this.written.push(state);
        },
      },
      journal: { rotate: () => ++this.rotations, removeBefore: () => {}, bytes: 0 },
      snapshot: () => {
        const { clean: _, journal: __, reserved: ___, ...rest } = stateOf();
        return { ...rest, log: { ...rest.log, head: { number: this.head, segment: 0, offset: 0 } } };
      },
      next: () => this.head,
      progress: () => this.progress,
      hasGarbage: () => false,
      journalNeedsIt: () => this.needed,
      garbage: () => () => void this.released++,
      sync: async () => {
        this.synced++;
      },
      reserved: 1,
      onReserved: (reserved) => void this.reserved.push(reserved),
      onFailing: (why) => void this.failing.push(why),
      now: () => this.time,
    });
  }
}

test("however many ask while one is on its way, one comes after it, and is of a moment after they asked", async () => {
  const bench = new Bench();
  const { checkpointer } = bench;
  const first = checkpointer.write();
  bench.head = 5;
  const others = [checkpointer.write(), checkpointer.write(), checkpointer.write()];
  expect(await Promise.all([first, ...others])).toEqual([true, true, true, true]);
  expect(bench.written.map(({ log }) => log.head.number)).toEqual([1, 5]);
  expect([bench.most, bench.synced, bench.released]).toEqual([1, 2, 2]);
});

test("the last one is the clean one, whoever asks before or after", async () => {
  const bench = new Bench();
  const { checkpointer } = bench;
  const asked = [checkpointer.write(), checkpointer.write(), checkpointer.write(true), checkpointer.write()];
  await Promise.all(asked);
  expect(await checkpointer.write()).toBe(false);
  expect(bench.written.at(-1)?.clean).toBe(true);
  expect(bench.written.filter(({ clean }) => clean).length).toBe(1);
  expect(bench.most).toBe(1);
});

test("one that fails is tried again with the file of the journal that was begun for it, and gives back nothing", async () => {
  const bench = new Bench();
  const { checkpointer } = bench;
  bench.fails = true;
  for (let second = 1; second <= 100; second++) {
    bench.time = second * 1000;
    checkpointer.turn();
    await checkpointer.write();
  }
  expect([bench.rotations, bench.released, bench.failing.length]).toEqual([1, 0, 1]);
  bench.fails = false;
  expect(await checkpointer.write()).toBe(true);
  expect(bench.written.map(({ journal }) => journal)).toEqual([1]);
  expect(bench.failing).toEqual(["the disk refuses", undefined]);
  await checkpointer.write();
  expect(bench.written.map(({ journal }) => journal)).toEqual([1, 2]);
});

test("numbers go on also when no checkpoint can be written, and are reserved by the next that can", async () => {
  const bench = new Bench();
  const { checkpointer } = bench;
  bench.fails = true;
  for (let round = 0; round < 5; round++) {
    await checkpointer.write();
    const { reserved } = bench;
    expect((reserved.at(-1) as number) - bench.head).toBeGreaterThanOrEqual(RESERVE / 2);
    bench.head += RESERVE / 2;
  }
  bench.fails = false;
  await checkpointer.write();
  expect(bench.written.at(-1)?.reserved).toBe(bench.head + RESERVE);
  expect(bench.reserved.at(-1)).toBe(bench.head + RESERVE);
});

test("while the journal misses something, one comes each second that anything happens", async () => {
  const bench = new Bench();
  const { checkpointer } = bench;
  const wait = async (ms: number) => {
    bench.time += ms;
    checkpointer.turn();
    while (bench.writing > 0) await Bun.sleep(1);
    return bench.written.length;
  };
  await checkpointer.write();
  bench.progress++;
  expect(await wait(2000)).toBe(1);
  bench.needed = true;
  expect(await wait(1)).toBe(2);
  expect(await wait(5000)).toBe(2);
  bench.progress++;
  expect(await wait(1)).toBe(3);
  bench.progress++;
  expect(await wait(900)).toBe(3);
  expect(await wait(100)).toBe(4);
});

test("the first one of a run says what the last one said, and waits for nothing", async () => {
  const bench = new Bench();
  const { reserved: _, ...restated } = stateOf({ journal: 7, topicsSeen: ["a"] });
  expect(await bench.checkpointer.begin(restated)).toBe(true);
  expect(bench.written).toEqual([{ ...restated, reserved: 1 + RESERVE }]);
  expect(bench.reserved).toEqual([1 + RESERVE]);
  expect([bench.synced, bench.rotations, bench.released]).toEqual([0, 0, 0]);
  expect(await bench.checkpointer.write()).toBe(true);
  expect([bench.synced, bench.rotations, bench.released, bench.written.at(-1)?.reserved]).toEqual([
    1,
    1,
    1,
    1 + RESERVE,
  ]);
});

test("numbers can be given also when the first one cannot be written", async () => {
  const bench = new Bench();
  bench.fails = true;
  const { reserved: _, ...restated } = stateOf();
  expect(await bench.checkpointer.begin(restated)).toBe(false);
  expect([bench.reserved, bench.failing]).toEqual([[1 + RESERVE], ["the disk refuses"]]);
});
