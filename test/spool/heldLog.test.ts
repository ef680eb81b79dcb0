// What waits goes to disk and comes back: in order, once, whatever the disk does, and however often it is held again.
import { describe, expect, test } from "bun:test";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { MemoryBudget } from "../../src/route/memoryBudget.ts";
import { Waiting } from "../../src/route/waiting.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { randomFrom } from "../support/fakeInode.ts";

const ID = "0123456789abcdef0123456789abcdef";
const PARTITIONS = 3;

function frame(number: number, size: number): Buffer {
  const value = Buffer.from(`#${number} ${"x".repeat(size)}`);
  return encodeAnyPartition({ topic: "t", timestamp: number, key: new Uint8Array(), value });
}

function numberIn(bytes: Buffer, start: number, end: number): number {
  return Number(/#(\d+) x*$/.exec(bytes.toString("latin1", start, end))?.[1]);
}

/** A topic's messages, which a broker of three partitions would get; every number is checked to end once. */
class Model {
  readonly files = new FakeFiles();
  readonly budget = new MemoryBudget(1 << 30);
  readonly random: () => number;
  logs: HeldLogs;
  waiting: Waiting;
  next = 1;
  /** Not settled in the main log. */
  readonly main = new Set<number>();
  readonly delivered: number[] = [];
  /** Handed out and not settled, by partition. */
  out: number[][] = Array.from({ length: PARTITIONS }, () => []);
  lost = 0;
  time = 0;

  constructor(seed: number, cap = 1 << 30) {
    this.random = randomFrom(seed);
    this.files.makeDirectory("/held");
    [this.logs, this.waiting] = this.open(cap);
  }

  open(cap: number): [HeldLogs, Waiting] {
    const logs = new HeldLogs({
      ...{ files: this.files, directory: "/held", directoryId: ID, cap, segment: 1 << 17 },
      onLost: (_topic, count) => {
        this.lost += count;
      },
      now: () => this.time,
    });
    const open = () => logs.open("t", undefined);
    const waiting = new Waiting({ pool: new BufferPool(1 << 24), budget: this.budget, open });
    return [logs, waiting];
  }

  below(most: number): number {
    return Math.floor(this.random() * most);
  }

  append(count: number): void {
    for (let left = count; left > 0; left--) {
      const number = this.next;
      this.next += 1 + this.below(3);
      this.main.add(number);
      const bytes = frame(number, this.below(10) === 0 ? this.below(30_000) : this.below(300));
      this.waiting.append(number, bytes, 0, bytes.length, { source: this.below(2), receivedAt: 1, session: undefined });
    }
  }

  readonly moved = (numbers: MessageNumbers): void => this.settle(numbers);

  settle(numbers: MessageNumbers): void {
    this.logs.settle("t", numbers, "moved").forEach((number) => {
      expect(this.main.delete(number)).toBe(true);
    });
  }

  spill(): void {
    this.waiting.spill(this.moved);
  }

  drain(count: number): void {
    let left = count;
    this.waiting.drain(
      () => left > 0,
      (number, bytes, start, end) => {
        if (left !== Number.POSITIVE_INFINITY && this.below(20) === 0) return false;
        left--;
        expect(numberIn(bytes, start, end)).toBe(number);
        const out = this.out[number % PARTITIONS] as number[];
        expect(number).toBeGreaterThan(out.at(-1) ?? 0);
        out.push(number);
        return true;
      },
    );
  }

  /** Kafka has the first `count` of a partition. */
  deliver(partition: number, count: number): void {
    const done = (this.out[partition] as number[]).splice(0, count);
    if (done.length === 0) return;
    this.settle(numbersOf(done));
    this.delivered.push(...done);
  }

  /** Held again: all but the first few of each partition, which are in flight, go back. */
  holdAgain(): void {
    const back = this.out.flatMap((out) => out.splice(this.below(out.length + 1))).sort((a, b) => a - b);
    const { frame: put, done } = this.waiting.putBack(this.moved);
    for (const number of back) {
      const bytes = frame(number, 10);
      put(number, bytes, 0, bytes.length, { source: 0, receivedAt: 1, session: undefined });
    }
    done();
  }

  checkpoint(): void {
    const garbage = this.logs.garbage();
    this.logs.states();
    this.logs.drop(garbage);
  }

  /** Everything goes out. */
  finish(): void {
    this.files.setFaults({});
    for (let round = 0; round < 50 && this.waiting.count > 0; round++) {
      this.time += 10_000;
      this.drain(Number.POSITIVE_INFINITY);
    }
    for (const partition of this.out.keys()) this.deliver(partition, Number.POSITIVE_INFINITY);
    this.checkpoint();
  }
}

function numbersOf(numbers: number[]): MessageNumbers {
  const result = new MessageNumbers();
  for (const number of numbers) result.append(number);
  return result;
}

function step(model: Model): void {
  switch (model.below(9)) {
    case 0:
    case 1:
      model.append(model.below(60));
      break;
    case 2:
      model.spill();
      break;
    case 3:
    case 4:
      model.drain(model.below(80));
      break;
    case 5:
    case 6:
      model.deliver(model.below(PARTITIONS), model.below(30));
      break;
    case 7:
      if (model.below(3) === 0) model.holdAgain();
      break;
    case 8:
      model.time += model.below(1500);
      model.checkpoint();
      break;
  }
}

function check(model: Model): void {
  expect(model.lost).toBe(0);
  expect(model.main.size).toBe(0);
  expect(model.waiting.count).toBe(0);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const mine = model.delivered.filter((number) => number % PARTITIONS === partition);
    expect(mine).toEqual([...mine].sort((a, b) => a - b));
  }
  expect(new Set(model.delivered).size).toBe(model.delivered.length);
  expect(model.budget.used).toBe(0);
  expect(model.logs.bytes).toBe(0);
  expect(model.files.list("/held")).toEqual([]);
}

describe("what is held, drained, held again and delivered at random", () => {
  test.each(Array.from({ length: 40 }, (_, seed) => seed))("comes out in order and once (seed %d)", (seed) => {
    const model = new Model(seed);
    for (let steps = 0; steps < 200; steps++) step(model);
    const appended = model.main.size + model.delivered.length;
    model.finish();
    check(model);
    expect(model.delivered.length).toBeGreaterThanOrEqual(appended);
  });

  test.each(Array.from({ length: 40 }, (_, seed) => 100 + seed))("also when the disk fails (seed %d)", (seed) => {
    const model = new Model(seed, seed % 2 === 0 ? 1 << 19 : 1 << 30);
    for (let steps = 0; steps < 200; steps++) {
      const failing = model.below(4) === 0;
      model.files.setFaults(failing ? { shortWrite: 0.2, noSpace: 0.2, writeError: 0.1 } : { shortWrite: 0.2 });
      step(model);
    }
    model.finish();
    check(model);
  });
});
