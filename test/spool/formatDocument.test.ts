// docs/spool-format.md is enough to read what is written: a reader made from it alone finds what the writers put down.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { discard, Ledger, receive } from "../../src/observe/ledger.ts";
import { CheckpointStore } from "../../src/spool/checkpoint.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { Journal } from "../../src/spool/journal.ts";
import { journalName } from "../../src/spool/journalFile.ts";
import { replayJournal } from "../../src/spool/journalReplay.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { openSegment, scanSegment } from "../../src/spool/scan.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { readCheckpoint, readJournal, readLog, readWaiting } from "../support/documentReader.ts";
import { blockOf, frameOf } from "../support/segments.ts";

const directoryId = randomBytes(16).toString("hex");
const machineId = randomBytes(16).toString("hex");
let root: string;
beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/bruce-format-`);
  for (const name of ["log", "held/late", "held/keyed@3", "journal"]) mkdirSync(`${root}/${name}`, { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function segment(log: string, ordinal: number, firstNumber: number, previousEnd = firstNumber): SegmentWriter {
  return SegmentWriter.create(nodeFiles, {
    directory: `${root}/${log}`,
    ordinal,
    firstNumber,
    previousEnd,
    directoryId,
  });
}

type BlockArguments = Parameters<typeof blockOf> extends [number, ...infer Rest] ? Rest : never;

function append(writer: SegmentWriter, ...block: BlockArguments): number {
  const bytes = blockOf(writer.seed, ...block);
  return writer.append(bytes, 0, bytes.length);
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 4;
  writeFileSync(path, bytes);
}

function numbersOf(values: Iterable<number>): MessageNumbers {
  const numbers = new MessageNumbers();
  for (const value of values) numbers.append(value);
  return numbers;
}

function setOf(...values: number[]): NumberSet {
  const set = new NumberSet();
  for (const value of values) set.add(value);
  return set;
}

function entry(topic: string, partition: number, numbers: number[]) {
  return {
    topic,
    partition,
    clusterId: "cluster",
    producerId: 7_000_000_001n,
    producerEpoch: 3,
    baseSequence: 17,
    sentAt: 1_795_338_076_304,
    numbers: numbersOf(numbers),
    checksum: 0xfedcba98,
    repeats: false,
  };
}

function journal(ordinal: number): Journal {
  const ids = { directoryId, machineId, carried: [], onFailing: () => {}, wallClock: () => 5 };
  return Journal.open({ files: nodeFiles, directory: `${root}/journal`, ordinal, ...ids, later: () => () => {} });
}

function oneByOne(from: number, end: number): [Buffer[], number][] {
  return Array.from({ length: end - from }, (_, index) => [[frameOf("t", `m${from + index}`)], from + index]);
}

test("segments of a log are read: numbers, frames, sessions, indexes, damage, a torn end, what a failed write left", () => {
  const session = randomBytes(16);
  const first = segment("log", 1, 1);
  append(first, [frameOf("a", "one"), frameOf("b", "two")], { firstNumber: 1, source: 9, receivedAt: 12 });
  append(first, [frameOf("b", "three")], { firstNumber: 3, session, position: 40, receivedAt: 13 });
  first.seal();
  first.close();
  const second = segment("log", 2, 4);
  append(second, [frameOf("a", "four")], { firstNumber: 4 });
  const hit = append(second, [frameOf("a", "five"), frameOf("a", "six")], { firstNumber: 5 });
  const next = append(second, [frameOf("a", "seven")], { firstNumber: 7 });
  append(second, [frameOf("a", "written, said the disk, and was not")], { firstNumber: 8 });
  second.close();
  flip(second.path, hit + 70);
  const third = segment("log", 3, 8);
  append(third, [frameOf("a", "eight")], { firstNumber: 8 });
  third.close();
  const last = segment("log", 10, 1000, 9);
  append(last, [frameOf("a", "thousand")], {}, [1000]);
  const torn = append(last, [frameOf("a", "torn")], { firstNumber: 1001 });
  last.close();
  writeFileSync(last.path, readFileSync(last.path).subarray(0, torn + 30));
  writeFileSync(`${root}/log/0000000011.segment`, "");

  const log = readLog(`${root}/log`);
  expect(log.map(({ ordinal, messages }) => [ordinal, messages.map(({ number, value }) => [number, value])])).toEqual([
    [
      1,
      [
        [1, "one"],
        [2, "two"],
        [3, "three"],
      ],
    ],
    [
      2,
      [
        [4, "four"],
        [7, "seven"],
      ],
    ],
    [3, [[8, "eight"]]],
    [10, [[1000, "thousand"]]],
  ]);
  expect(log.map(({ torn, damaged }) => [torn, damaged])).toEqual([
    [false, []],
    [false, [[hit, next]]],
    [false, []],
    [true, []],
  ]);
  expect(log[0]?.messages[0]).toMatchObject({ topic: "a", source: 9, receivedAt: 12, session: "0".repeat(32) });
  expect(log[0]?.messages[2]).toMatchObject({ topic: "b", session: session.toString("hex") });
  expect(log[0]?.index).toEqual({
    first: 1,
    end: 4,
    messages: 3,
    topics: { a: 1, b: 2 },
    sessions: { [session.toString("hex")]: [41, 13] },
    offsets: [[1, 64]],
  });
  expect(log[3]).toMatchObject({ firstNumber: 1000, previousEnd: 9, directoryId });
});

test("the newer of two checkpoints is read, and what is still to be delivered follows from it, the journal and the logs", async () => {
  const main = segment("log", 1, 1);
  for (const [frames, firstNumber] of oneByOne(1, 61)) append(main, frames, { firstNumber });
  const { offset } = main;
  main.close();
  const late = segment("held/late", 1, 4);
  append(
    late,
    [4, 9, 11].map((number) => frameOf("late", `h${number}`)),
    {},
    [4, 9, 11],
  );
  append(
    late,
    [30, 31].map((number) => frameOf("late", `h${number}`)),
    {},
    [30, 31],
  );
  late.close();
  const keyed = segment("held/keyed@3", 1, 33); // newer than the checkpoint
  append(keyed, [frameOf("keyed", "h33")], {}, [33]);
  keyed.close();

  const old = journal(4);
  old.sending([entry("t", 0, [1, 2]), entry("t", 1, [5])]);
  const ordinal = old.rotate(); // both are carried over
  expect(ordinal).toBe(5);
  const ledger = new Ledger(10);
  receive(ledger.topic("__proto__"), 8);
  discard(ledger.topic("__proto__"), "too_large", 2);
  const store = new CheckpointStore(nodeFiles, root, () => 99);
  const held = { name: "late", topic: "late", partition: null, reason: "it does not exist", unread: 3 };
  const place = (number: number) => ({ number, segment: 1, offset });
  const state = {
    directoryId,
    machineId,
    clean: false,
    reserved: 16_777_216,
    journal: ordinal,
    log: { read: place(20), head: place(60) },
    unsettled: setOf(1, 2, 5, 6, 7, 8),
    settled: setOf(25, 26),
    held: [{ ...held, read: place(11), head: place(12), unsettled: setOf(4), settled: setOf(11) }],
    ledger,
    topicsSeen: ["t"],
    sessions: [["ab".repeat(16), 12, 34] as [string, number, number]],
  };
  await store.write({ ...state, reserved: 1, journal: 4 });
  await store.write(state);
  store.close();

  old.sending([entry("t", 0, [7, 20])]); // so 1 and 2 were delivered
  old.ended("t", 0, { kind: "delivered" });
  old.ended("t", 1, { kind: "returned" });
  old.sending([entry("t", 1, [21, 22, 300])]);
  old.ended("t", 1, { kind: "discarded", reason: "rejected_by_broker" });
  old.sending([entry("t", 1, [23, 24])]);
  old.sending([{ ...entry("t", 1, [23, 24]), repeats: true }, entry("late", 0, [30])]);
  old.ended("late", 0, { kind: "delivered" });
  old.close();

  const checkpoint = readCheckpoint(root);
  expect(checkpoint).toMatchObject({
    ...{ generation: 2, directoryId, machineId, clean: false, reserved: 16_777_216, journal: 5, writtenAt: 99 },
    log: state.log,
    held: [{ ...held, read: place(11), head: place(12) }],
    topicsSeen: ["t"],
    sessions: [["ab".repeat(16), 12, 34]],
  });
  expect(Object.entries(checkpoint?.ledger.topics ?? {})).toEqual([
    ["__proto__", expect.objectContaining({ received: 8, discarded: 2, discardsByReason: { too_large: 2 } })],
  ]);
  const read = readJournal(`${root}/journal`, 5);
  expect(read.delivered.map(({ numbers }) => numbers)).toEqual([[1, 2], [7, 20], [30]]);
  expect(read.discarded).toMatchObject([{ reason: "rejected_by_broker", batch: { numbers: [21, 22, 300] } }]);
  expect(read.repeated.map(({ numbers }) => numbers)).toEqual([[23, 24]]);
  expect(read.open).toEqual([
    {
      ...{ topic: "t", partition: 1, clusterId: "cluster", producerId: 7_000_000_001, epoch: 3, baseSequence: 17 },
      ...{ sentAt: 1_795_338_076_304, checksum: 0xfedcba98, numbers: [23, 24] },
    },
  ]);
  const waiting = readWaiting(root);
  const left = [5, 6, 8, 23, 24, 27, 28, 29, 32, ...Array.from({ length: 27 }, (_, index) => 34 + index)];
  expect(waiting.log.map(({ number }) => number)).toEqual(left);
  expect(waiting.log[0]).toMatchObject({ topic: "t", value: "m5" });
  const held2 = Object.entries(waiting.held).map(([name, list]) => [name, list.map(({ value }) => value)]);
  expect(Object.fromEntries(held2)).toEqual({ late: ["h4", "h31"], "keyed@3": ["h33"] });
});

test("a damaged slot leaves the other, a directory without a checkpoint is read from the beginning", async () => {
  const main = segment("log", 1, 1);
  for (const [frames, firstNumber] of oneByOne(1, 4)) append(main, frames, { firstNumber });
  main.close();
  expect(readWaiting(root).log.map(({ number }) => number)).toEqual([1, 2, 3]);
  const store = new CheckpointStore(nodeFiles, root);
  const place = { number: 2, segment: 1, offset: 64 };
  const state = { directoryId, machineId, clean: true, reserved: 9, journal: 0, log: { read: place, head: place } };
  const sets = { unsettled: setOf(), settled: setOf() };
  const rest = { held: [], ledger: new Ledger(1), topicsSeen: [], sessions: [] };
  await store.write({ ...state, ...sets, ...rest });
  await store.write({ ...state, ...sets, ...rest, log: { read: { ...place, number: 3 }, head: place } });
  store.close();
  expect(readWaiting(root).log.map(({ number }) => number)).toEqual([3]);
  const newer = ["checkpoint.0", "checkpoint.1"].find((name) => readFileSync(`${root}/${name}`).readUInt8(19) === 2);
  flip(`${root}/${newer}`, 40);
  expect(readWaiting(root).log.map(({ number }) => number)).toEqual([2, 3]);
});

test("any byte of a segment flipped, the reader finds what bruce finds", () => {
  const made = segment("log", 1, 1);
  for (const [frames, firstNumber] of oneByOne(1, 6)) append(made, frames, { firstNumber });
  append(made, [frameOf("t", "x"), frameOf("t", "y")], {}, [6, 600]);
  made.seal();
  made.close();
  const size = readFileSync(made.path).length;
  for (let at = 0; at < size; at++) {
    flip(made.path, at);
    // Its footer is checked by the reader of this test with an error, and by bruce not while it reads blocks.
    if (at < size - 16) {
      const [read] = readLog(`${root}/log`);
      const opened = openSegment(nodeFiles, made.path);
      if ("problem" in opened) {
        expect(read).toBeUndefined();
      } else {
        const counts: number[] = [];
        const damaged: [number, number][] = [];
        const { torn } = scanSegment({
          files: nodeFiles,
          ...opened,
          visit: (block) => counts.push(block.count),
          damaged: (from, to) => damaged.push([from, to]),
        });
        nodeFiles.close(opened.fd);
        expect(read).toMatchObject({ damaged, torn });
        expect(read?.messages.length).toBe(counts.reduce((sum, count) => sum + count, 0));
      }
    }
    flip(made.path, at);
  }
});

const act = fc.record({
  do: fc.constantFrom("sending", "delivered", "discarded", "returned", "flush", "rotate", "reopen"),
  partition: fc.nat(2),
  count: fc.integer({ min: 1, max: 300 }),
});

test("any journal, also with a byte flipped, says to the reader what it says to bruce", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 25 }), fc.double({ min: 0, max: 1.3, noNaN: true }), (acts, place) => {
      const directory = `${root}/journal`;
      rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory);
      let written = journal(1);
      let number = 1;
      for (const { do: what, partition, count } of acts) {
        if (what === "sending") {
          written.sending([
            entry(
              "t",
              partition,
              Array.from({ length: count }, (_, index) => number + index * 100),
            ),
          ]);
          number += count * 100;
        } else if (what === "flush") written.flush();
        else if (what === "rotate") written.rotate();
        else if (what === "reopen") {
          written.close();
          const carried = replayJournal(nodeFiles, directory, 1, () => {}).open;
          const ids = {
            directoryId,
            machineId,
            carried,
            onFailing: () => {},
            wallClock: () => 5,
            later: () => () => {},
          };
          written = Journal.open({ files: nodeFiles, directory, ordinal: written.ordinal + 1, ...ids });
        } else if (what === "discarded") written.ended("t", partition, { kind: "discarded", reason: "too_large" });
        else written.ended("t", partition, { kind: what });
      }
      const last = written.ordinal;
      written.close();
      const file = `${directory}/${journalName(last)}`;
      // Not in the header: bruce mends it, which a reader need not.
      const at = 64 + Math.floor(place * (readFileSync(file).length - 64));
      if (at < readFileSync(file).length) flip(file, at);

      const ended: unknown[] = [];
      const plain = (numbers: MessageNumbers) => {
        const values: number[] = [];
        numbers.forEach((value) => {
          values.push(value);
        });
        return values;
      };
      const replay = replayJournal(nodeFiles, directory, 1, ({ numbers }, how) =>
        ended.push([how.kind, plain(numbers)]),
      );
      const read = readJournal(directory, 1);
      const order = (list: unknown[]) => list.map((item) => JSON.stringify(item)).sort();
      expect(order(read.open.map(({ numbers }) => numbers))).toEqual(
        order(replay.open.map(({ numbers }) => plain(numbers))),
      );
      const found = [
        ...read.delivered.map(({ numbers }) => ["delivered", numbers]),
        ...read.discarded.map(({ batch }) => ["discarded", batch.numbers]),
      ];
      expect(order(found)).toEqual(order(ended));
    }),
    { numRuns: 60 },
  );
});

test("the checksums in the description are those that other tools compute", () => {
  // The check value of CRC-32 (RFC 1952 has the code), and that of the same in two steps.
  expect(crc32("123456789")).toBe(0xcbf43926);
  expect(crc32("56789", crc32("1234"))).toBe(0xcbf43926);
});
