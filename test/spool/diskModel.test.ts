// Random appends, reads, settlements, faults of the disk, crashes and power cuts: each message comes until it is settled, and
// never after; what is missing was in memory alone, or not yet safe from a power cut, and is told of.
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { LogPosition } from "../../src/spool/checkpoint.ts";
import { listSegments, openSegment } from "../../src/spool/scan.ts";
import { segmentName } from "../../src/spool/segmentWriter.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { DiskBench, freshStart, segmentsIn } from "./diskBench.ts";
import { numbersOf, range, setOf, valuesOf } from "./logFixture.ts";

interface Checkpoint {
  read: LogPosition;
  unsettled: number[];
  ahead: number[];
}

class Model {
  readonly files: FakeFiles;
  bench: DiskBench;
  readonly appended = new Set<number>();
  /** In no file for certain: the disk refused, or the power went before they were safe. */
  readonly unsafe = new Set<number>();
  readonly settled = new Set<number>();
  readonly lost = new Set<number>();
  taken = new Set<number>();
  checkpoint: Checkpoint = { read: { number: 1, segment: 0, offset: 0 }, unsettled: [], ahead: [] };
  readonly #credit: number;
  #losses = 0;
  readonly #doubtful = new Set<number>();
  #powerWent = false;

  constructor(seed: number, credit: number) {
    this.files = new FakeFiles(seed);
    this.#credit = credit;
    this.bench = this.#open(freshStart());
  }

  append(count: number, length: number): void {
    const first = this.bench.append(count, length);
    if (first === 0) return;
    for (const number of range(first, first + count)) {
      expect(this.appended.has(number)).toBe(false);
      this.appended.add(number);
      if (this.bench.writer.state === "degraded") this.unsafe.add(number);
    }
  }

  read(blocks: number): void {
    for (let i = 0; i < blocks && !this.files.dead; i++) {
      const numbers = this.bench.take();
      this.#noteLost();
      if (numbers === undefined) return;
      for (const number of numbers) {
        if (!this.appended.has(number)) throw new Error(`${number} was never appended`);
        if (this.settled.has(number)) throw new Error(`${number} was settled`);
        if (this.taken.has(number)) throw new Error(`${number} was taken`);
        if (this.lost.has(number)) throw new Error(`${number} was lost`);
        this.taken.add(number);
      }
    }
  }

  /** Each with that probability, in percent. */
  settle(percent: number): void {
    const numbers = [...this.taken].filter(() => this.files.random() * 100 < percent).sort((a, b) => a - b);
    if (numbers.length === 0) return;
    this.bench.queue.settle(numbersOf(numbers), "delivered");
    for (const number of numbers) {
      this.taken.delete(number);
      this.settled.add(number);
    }
  }

  makeCheckpoint(): void {
    const { queue } = this.bench;
    const done = queue.segmentsToDelete();
    this.checkpoint = {
      read: queue.readPosition,
      unsettled: valuesOf(queue.unsettledNumbers()),
      ahead: valuesOf(queue.settledAhead()),
    };
    expect(this.checkpoint.unsettled.filter((number) => this.settled.has(number))).toEqual([]);
    queue.dropSegments(done);
  }

  turnOver(): void {
    this.read(Number.POSITIVE_INFINITY);
    if (this.files.dead) return;
    this.settle(100);
    this.makeCheckpoint();
  }

  async sync(): Promise<void> {
    await this.bench.queue.syncNow();
  }

  crash(how: "process" | "power"): void {
    const { writer } = this.bench;
    // The next process syncs the same file and is told that all is well: only this one knows that it is not.
    for (const number of this.appended) if (writer.refusedSync(number, number) > 0) this.#doubtful.add(number);
    if (how === "power") {
      this.#powerWent = true;
      for (const number of this.appended)
        if (number > writer.synced || this.#doubtful.has(number)) this.unsafe.add(number);
    }
    this.files.setFaults({});
    this.files.readOnly = false;
    this.files.crash(how);
    for (const { path } of listSegments(this.files, "/log")) {
      const opened = openSegment(this.files, path);
      if ("problem" in opened) {
        this.files.remove(path);
        continue;
      }
      this.files.close(opened.fd);
      // A file that was written over has its old name again, or not its new header yet. A start calls it what that says.
      const name = `/log/${segmentName(opened.header.ordinal)}`;
      if (name !== path) this.files.rename(path, name);
    }
    const segments = segmentsIn(this.files);
    const { read, unsettled, ahead } = this.checkpoint;
    const nextNumber = Math.ceil((Math.max(1, ...this.appended) + 1) / 1000) * 1000;
    const previousEnd = Math.max(read.number, segments.at(-1)?.end ?? 1);
    this.taken = new Set();
    this.bench = this.#open({
      ...freshStart(),
      segments,
      read,
      again: setOf(unsettled.filter((number) => !this.settled.has(number) && !this.lost.has(number))),
      skip: setOf([...ahead, ...this.settled, ...this.lost].filter((number) => number >= read.number)),
      nextNumber,
      nextOrdinal: Math.max(read.segment, segments.at(-1)?.ordinal ?? 0) + 1,
      previousEnd: Math.min(previousEnd, nextNumber),
    });
    // What is behind the last one found, or was in memory alone before the first segment of a run, is missing without a
    // gap that shows.
    const shows = (number: number) =>
      number < previousEnd &&
      !segments.some((segment) => number >= segment.previousEnd && number < segment.firstNumber);
    for (const number of this.unsafe) if (!this.settled.has(number) && !shows(number)) this.lost.add(number);
    // A checkpoint comes first after each start.
    const { queue } = this.bench;
    this.checkpoint = {
      read: queue.readPosition,
      unsettled: valuesOf(queue.unsettledNumbers()),
      ahead: valuesOf(queue.settledAhead()),
    };
  }

  /** Reads what is left, and looks whether all is accounted for. */
  finish(): void {
    this.files.setFaults({});
    this.files.readOnly = false;
    for (let round = 0; round < 10; round++) this.read(Number.POSITIVE_INFINITY);
    const { queue } = this.bench;
    expect(queue.unread).toBe(0);
    expect(queue.unsettled).toBe(this.taken.size);
    expect(valuesOf(queue.unsettledNumbers())).toEqual([...this.taken].sort((a, b) => a - b));
    const missing = [...this.appended].filter(
      (number) => !this.taken.has(number) && !this.settled.has(number) && !this.lost.has(number),
    );
    expect(missing).toEqual([]);
    this.settle(100);
    this.makeCheckpoint();
    expect(queue.segments).toBeLessThanOrEqual(1);
  }

  #open(start: ReturnType<typeof freshStart>): DiskBench {
    this.#losses = 0;
    return new DiskBench({ start, segmentSize: 1500, credit: this.#credit, capacity: 8000 }, this.files);
  }

  #noteLost(): void {
    for (const { from, to } of this.bench.lost.slice(this.#losses)) {
      for (const number of range(from, to)) {
        // The header that said so may have gone with the power.
        if (this.#powerWent && !this.appended.has(number)) continue;
        if (!this.unsafe.has(number)) throw new Error(`${number} is lost, and was safe`);
        if (this.settled.has(number) || this.taken.has(number)) throw new Error(`${number} is lost, and was not`);
        this.lost.add(number);
      }
    }
    this.#losses = this.bench.lost.length;
  }
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("append" as const), of: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("read" as const), of: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("settle" as const), of: fc.constantFrom(10, 70, 100) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("checkpoint" as const), of: fc.constant(0) }) },
  // So that files are written over.
  { weight: 4, arbitrary: fc.record({ do: fc.constant("turnover" as const), of: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("sync" as const), of: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), of: fc.constantFrom(400, 1000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("faults" as const), of: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const), of: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("process" as const), of: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("power" as const), of: fc.constant(0) }) },
);

const FAULTS = [
  {},
  { shortWrite: 0.5, shortRead: 0.3 },
  { noSpace: 0.3, shortWrite: 0.2 },
  { writeError: 0.3, lostSync: 0.5 },
  { readOnly: 0.4 },
];

test("a model of random operations on a disk that fails holds", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 120 }),
      fc.integer({ min: 1, max: 2 ** 30 }),
      fc.constantFrom(1, 600, 8000),
      async (steps, seed, credit) => {
        const model = new Model(seed, credit);
        for (const { do: action, of } of steps) {
          if (action === "append") model.append(of, (of * 37) % 120);
          else if (action === "read") model.read(of);
          else if (action === "settle") model.settle(of);
          else if (action === "checkpoint") model.makeCheckpoint();
          else if (action === "turnover") model.turnOver();
          else if (action === "sync") await model.sync();
          else if (action === "wait") model.bench.now += of;
          else if (action === "faults") model.files.setFaults(FAULTS[of] ?? {});
          else if (action === "die" && !model.files.dead) model.files.dieAfter(of);
          else if (action !== "die") model.crash(action);
        }
        model.crash("process"); // one that is about to die would do so meanwhile
        model.finish();
        await model.bench.queue.stop();
      },
    ),
    { numRuns: Number(process.env.BRUCE_MODEL_RUNS ?? 150) },
  );
}, 120_000);
