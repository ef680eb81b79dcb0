import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  directoriesOfTests,
  encodeFrame,
  messages,
  setOf,
  writeCheckpoint,
  writeJournal,
  writeSegment,
} from "./spoolDirectory.ts";
import { runSpool } from "./spoolOutput.ts";

const directory = directoriesOfTests();

const numbersIn = (out: string): number[] =>
  out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line).number);

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test("without a checkpoint everything waits", async () => {
  const path = directory();
  writeSegment(path, "log", 1, [messages("t", 1, 3), messages("u", 4, 2)]);
  writeSegment(path, "log", 2, [messages("t", 6, 2)], { seal: false });
  const { code, out, err } = await runSpool({ action: "export", path });
  expect([code, err]).toEqual([0, ""]);
  expect(numbersIn(out)).toEqual([1, 2, 3, 4, 5, 6, 7]);
});

test("a line has the message as its client meant it, and base64 where that is no text", async () => {
  const path = directory();
  const binary = Uint8Array.of(0xff, 0, 1);
  writeSegment(path, "log", 1, [
    [
      { number: 1, topic: "t", value: "grüße\n" },
      { number: 2, topic: "t", key: "k", value: binary, partitionKey: -7 },
      { number: 3, topic: "t", key: binary },
    ],
  ]);
  const { out } = await runSpool({ action: "export", path, json: true });
  const timestamp = 1_700_000_000_000;
  expect(
    out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { number: 1, topic: "t", partition_key: null, timestamp, key: null, value: "grüße\n" },
    { number: 2, topic: "t", partition_key: -7, timestamp, key: "k", value_base64: "/wAB" },
    { number: 3, topic: "t", partition_key: null, timestamp, key_base64: "/wAB", value: "" },
  ]);
});

test("what was delivered by the checkpoint or the journal is left out, what nobody knows of is not", async () => {
  const path = directory();
  writeSegment(path, "log", 1, [messages("t", 1, 100)]);
  const { head } = writeSegment(path, "log", 2, [messages("t", 101, 50)], { seal: false });
  // Read up to 60; of those before, 10 and 20 wait. Then 60 to 69 and 10 were delivered, 70 to 79 are on their way.
  await writeCheckpoint(path, {
    log: { read: { number: 60, segment: 1, offset: 64 }, head },
    unsettled: setOf(10, 20),
  });
  writeJournal(path, [
    { topic: "t", numbers: [10, ...range(60, 70)], delivered: true },
    { topic: "t", partition: 1, numbers: range(70, 80), delivered: false },
  ]);
  const { code, out } = await runSpool({ action: "export", path });
  expect(code).toBe(0);
  expect(numbersIn(out)).toEqual([20, ...range(70, 151)]);
});

test("held messages come in their place among those of their topic", async () => {
  const path = directory();
  const h = (...numbers: number[]) => numbers.map((number) => ({ number, topic: "h", value: `v${number}` }));
  const { head } = writeSegment(path, "log", 1, [[...h(1, 2, 3), ...messages("t", 4, 2), ...h(6, 7)]], { seal: false });
  const held = writeSegment(path, "held/h", 1, [h(2, 6)], { seal: false });
  const one = writeSegment(path, "held/h@1", 1, [h(3)], { seal: false });
  const state = (name: string, partition: number | null, written: typeof held) => ({
    ...{ name, topic: "h", partition, reason: "no leader", unread: 1 },
    ...{ unsettled: setOf(), settled: setOf() },
    read: { number: 0, segment: 1, offset: 64 },
    head: written.head,
  });
  await writeCheckpoint(path, {
    log: { read: { number: 7, segment: 1, offset: 64 }, head },
    // 1 was on its way when the topic was held; 2, 3 and 6 were moved; 5 is of another topic.
    unsettled: setOf(1, 5),
    held: [state("h", null, held), state("h@1", 1, one)],
  });
  writeJournal(path, []);
  const { out } = await runSpool({ action: "export", path });
  expect(numbersIn(out)).toEqual([5, 1, 2, 3, 6, 7]);
  expect(numbersIn((await runSpool({ action: "export", path, topics: ["t"] })).out)).toEqual([5]);
  expect(numbersIn((await runSpool({ action: "export", path, topics: ["h", "nope"] })).out)).toEqual([1, 2, 3, 6, 7]);
});

test("whatever is in the files, ls and export come to an end, and give nothing that was not written", async () => {
  const path = directory();
  const { head } = writeSegment(path, "log", 1, [messages("t", 1, 20), messages("u", 21, 20)]);
  const held = writeSegment(path, "held/h", 1, [messages("h", 100, 3)], { seal: false });
  await writeCheckpoint(path, {
    log: { read: { number: 5, segment: 1, offset: 64 }, head },
    unsettled: setOf(2),
    held: [
      {
        ...{ name: "h", topic: "h", partition: null, reason: "why", unread: 3, unsettled: setOf(), settled: setOf() },
        ...{ read: { number: 0, segment: 1, offset: 64 }, head: held.head },
      },
    ],
  });
  writeJournal(path, [{ topic: "t", numbers: [2, 5, 6], delivered: false }]);
  const written = new Set([...range(1, 41), 100, 101, 102]);
  const names = ["log/0000000001.segment", "held/h/0000000001.segment", "checkpoint.0", "journal/0000000001.journal"];
  let seed = 42;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (let round = 0; round < 150; round++) {
    const file = join(path, names[round % names.length] ?? "");
    const whole = readFileSync(file);
    const bytes = Buffer.from(whole);
    const offset = random(Math.min(bytes.length, 3000));
    if (round % 3 === 0) bytes.fill(random(256), offset, Math.min(bytes.length, offset + 1 + random(200)));
    else bytes[offset] = random(256);
    writeFileSync(file, round % 5 === 0 ? bytes.subarray(0, offset) : bytes);
    const exported = await runSpool({ action: "export", path });
    expect([0, 1]).toContain(exported.code);
    for (const number of numbersIn(exported.out)) expect(written.has(number)).toBe(true);
    expect((await runSpool({ action: "ls", path, json: true })).code).toBe(0);
    expect([0, 1]).toContain((await runSpool({ action: "verify", path })).code);
    writeFileSync(file, whole);
  }
});

test("--frames gives the bytes as a socket takes them", async () => {
  const path = directory();
  const list = [...messages("t", 1, 3), { number: 4, topic: "u", key: "k", partitionKey: 3 }];
  writeSegment(path, "log", 1, [list.slice(0, 2), list.slice(2)]);
  const { bytes } = await runSpool({ action: "export", path, frames: true });
  expect(bytes).toEqual(Buffer.concat(list.map(encodeFrame)));
});

test("damage is passed over, told, and makes the exit code 1", async () => {
  const path = directory();
  const segment = writeSegment(path, "log", 1, [messages("t", 1, 3), messages("t", 4, 3), messages("t", 7, 3)]);
  const bytes = readFileSync(segment.path);
  bytes[(segment.offsets[1] ?? 0) + 90] = 0xee;
  writeFileSync(segment.path, bytes);
  const { code, out, err } = await runSpool({ action: "export", path });
  expect(numbersIn(out)).toEqual([1, 2, 3, 7, 8, 9]);
  const said = `bruce spool: 1 damaged place was passed over; "bruce spool verify --path ${path}" names them\n`;
  expect([code, err]).toEqual([1, said]);
});

test("a backlog goes out piece by piece, and changes nothing in the directory", async () => {
  const path = directory();
  const { path: file } = writeSegment(
    path,
    "log",
    1,
    range(0, 100).map((block) => messages("t", 1 + block * 1000, 1000)),
  );
  const before = readFileSync(file);
  const { out } = await runSpool({ action: "export", path });
  expect(numbersIn(out)).toEqual(range(1, 100_001));
  expect(readFileSync(file).equals(before)).toBe(true);
  expect(await Array.fromAsync(new Bun.Glob("**/*").scan({ cwd: path }))).toEqual([join("log", "0000000001.segment")]);
});
