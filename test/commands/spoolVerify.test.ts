import { afterEach, expect, test } from "bun:test";
import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkDirectory } from "../../src/commands/spoolCheck.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { makeDirectory, messages, writeSegment } from "./spoolDirectory.ts";
import { runSpool } from "./spoolOutput.ts";

const made: (() => void)[] = [];
afterEach(() => {
  for (const remove of made.splice(0)) remove();
});

/** Three segments of the main log, 60 messages in 6 blocks, the last not sealed; and a held log. */
function spool() {
  const { path, remove } = makeDirectory();
  made.push(remove);
  const block = (from: number) => messages("t", from, 10);
  const log = [
    writeSegment(path, "log", 1, [block(1), block(11), block(21)]),
    writeSegment(path, "log", 2, [block(31), block(41)]),
    writeSegment(path, "log", 3, [block(51)], { seal: false }),
  ];
  const held = writeSegment(path, "held/h", 1, [messages("h", 100, 3), messages("h", 200, 2)], { seal: false });
  return { path, log, held, at: (index: number) => log[index] ?? held };
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x40;
  writeFileSync(path, bytes);
}

const damages = (path: string, running = false) =>
  checkDirectory(nodeFiles, path, running).findings.filter(({ kind }) => kind === "damage");

test("a directory as it was written has no damage", async () => {
  const { path } = spool();
  expect(checkDirectory(nodeFiles, path, false)).toMatchObject({ findings: [], files: 4, messages: 65 });
  const { code, out } = await runSpool({ action: "verify", path }, { isTTY: true });
  expect(code).toBe(0);
  expect(out).toMatch(/^\/.*: read 4 files, .* KiB, 65 messages\n✓ nothing is damaged\n$/);
});

test("an empty directory has none either", async () => {
  const { path, remove } = makeDirectory();
  made.push(remove);
  expect((await runSpool({ action: "verify", path })).code).toBe(0);
});

test("a damaged block is named by file, offset, size and the messages it had", async () => {
  const { path, log } = spool();
  const [first] = log;
  const [, second = 0, third = 0] = first?.offsets ?? [];
  flip(first?.path ?? "", second + 100);
  const { code, out } = await runSpool({ action: "verify", path, json: true });
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({
    directory: path,
    files: 4,
    messages: 55,
    damages: [{ file: "log/0000000001.segment", offset: second, bytes: third - second, messages: 10 }],
    notes: [],
  });
  const told = await runSpool({ action: "verify", path }, { isTTY: true });
  expect(told.out).toContain(`✗ log/0000000001.segment at byte ${second}: bytes that are no block`);
  expect(told.out).toContain("10 messages are lost");
  const piped = await runSpool({ action: "verify", path });
  expect(piped.out.split("\n")[1]?.split("\t").slice(0, 5)).toEqual([
    "damage",
    "log/0000000001.segment",
    String(second),
    String(third - second),
    "10",
  ]);
});

test("the last block of a segment that another follows is damaged too, and the numbers tell what was in it", () => {
  const { path, log } = spool();
  const last = log[1]?.offsets[1] ?? 0;
  flip(log[1]?.path ?? "", last + 70);
  expect(damages(path)).toMatchObject([{ file: "log/0000000002.segment", offset: last, messages: 10 }]);
  // Without its index, the next segment's header says where the numbers should have gone on.
  truncateSync(log[1]?.path ?? "", log[1]?.end ?? 0);
  expect(damages(path)).toMatchObject([{ file: "log/0000000002.segment", offset: last, messages: 10 }]);
});

test("what a crash leaves at the end is no damage", () => {
  const { path, log, held } = spool();
  appendFileSync(log[2]?.path ?? "", Buffer.alloc(50, 7));
  appendFileSync(held.path, readFileSync(held.path).subarray(64, 128));
  const { findings, messages: whole } = checkDirectory(nodeFiles, path, false);
  expect(findings).toMatchObject([
    { kind: "note", file: "held/h/0000000001.segment", offset: held.end, bytes: 64, messages: 0 },
    { kind: "note", file: "log/0000000003.segment", offset: log[2]?.end, bytes: 50, messages: 0 },
  ]);
  expect(whole).toBe(65);
});

test("while a daemon writes, an unfinished end is nothing to speak of", () => {
  const { path, log } = spool();
  appendFileSync(log[2]?.path ?? "", Buffer.alloc(50, 7));
  expect(checkDirectory(nodeFiles, path, true).findings).toEqual([]);
});

test("while a daemon writes, damage in the file it writes to is looked at again", () => {
  const { path, remove } = makeDirectory();
  made.push(remove);
  const one = writeSegment(path, "log", 1, [messages("t", 1, 5), messages("t", 6, 5)], { seal: false });
  const whole = readFileSync(one.path);
  flip(one.path, (one.offsets[0] ?? 0) + 80);
  // The second read finds what the daemon has finished meanwhile.
  let reads = 0;
  const files = {
    ...nodeFiles,
    read: (...args: Parameters<typeof nodeFiles.read>) => {
      if (++reads === 3) writeFileSync(one.path, whole);
      return nodeFiles.read(...args);
    },
  };
  expect(checkDirectory(files, path, true).findings).toEqual([]);
  expect(reads).toBeGreaterThan(2);
});

test("a directory that is written to all the time has no damage, and can be exported", async () => {
  const { path, remove } = makeDirectory();
  made.push(remove);
  const shared = new SharedArrayBuffer(8);
  const words = new Int32Array(shared);
  const writer = new Worker(new URL("./spoolWriter.worker.ts", import.meta.url));
  const stopped = new Promise<void>((resolve) => {
    writer.onmessage = () => resolve();
  });
  writer.postMessage({ directory: path, shared });
  try {
    for (let round = 0; round < 40; round++) {
      // The two go on side by side, whichever is faster.
      const wait = Atomics.waitAsync(words, 1, Atomics.load(words, 1));
      if (wait.async) await wait.value;
      expect({ round, ...checkDirectory(nodeFiles, path, true) }).toMatchObject({ round, findings: [] });
      if (round % 10 !== 0) continue;
      const { code, err } = await runSpool({ action: "export", path });
      expect({ round, code, err }).toEqual({ round, code: 0, err: "" });
    }
  } finally {
    Atomics.store(words, 0, 1);
    await stopped;
    writer.terminate();
  }
  expect(Atomics.load(words, 1)).toBeGreaterThan(40);
  expect(checkDirectory(nodeFiles, path, false).findings.filter(({ kind }) => kind === "damage")).toEqual([]);
}, 120_000);

test("a segment without a header, an index that is damaged, and a file under a wrong name are named", () => {
  const { path, log } = spool();
  flip(log[0]?.path ?? "", 20);
  flip(log[1]?.path ?? "", (log[1]?.end ?? 0) + 100);
  nodeFiles.rename(log[2]?.path ?? "", join(path, "log", "0000000009.segment"));
  expect(damages(path)).toMatchObject([
    { file: "log/0000000001.segment", offset: 0, what: "the header of the segment is damaged" },
    { file: "log/0000000002.segment", offset: log[1]?.end, messages: 0 },
    { file: "log/0000000009.segment", offset: 0, what: "is segment 3 by its header" },
  ]);
});

test("each byte of each file flipped in turn is damage in that file, but for an end that a crash could have left", () => {
  const { path, log, held } = spool();
  for (const segment of [...log, held]) {
    const bytes = readFileSync(segment.path);
    const isOpen = segment === log[2] || segment === held;
    const lastBlock = segment.offsets.at(-1) ?? 0;
    for (let offset = 0; offset < bytes.length; offset++) {
      // Bytes of the header that nothing depends on are under its checksum all the same.
      flip(segment.path, offset);
      const { findings } = checkDirectory(nodeFiles, path, false);
      const kinds = findings.map(({ kind }) => kind);
      expect({ offset, kinds, n: findings.length > 0 }).toMatchObject({ n: true });
      if (!(isOpen && offset >= lastBlock)) expect({ offset, kinds }).toMatchObject({ kinds: ["damage"] });
      for (const { file } of findings) expect(segment.path).toEndWith(file);
      flip(segment.path, offset);
    }
  }
});

test("files that are deleted while it reads are no damage", () => {
  const { path, log } = spool();
  const files = {
    ...nodeFiles,
    open: (...args: Parameters<typeof nodeFiles.open>) => {
      rmSync(log[1]?.path ?? "", { force: true });
      return nodeFiles.open(...args);
    },
  };
  expect(checkDirectory(files, path, true)).toMatchObject({ findings: [], messages: 45 });
});

test("numbers that were never used, and segments that are gone, are no damage", () => {
  const { path, remove } = makeDirectory();
  made.push(remove);
  writeSegment(path, "log", 1, [messages("t", 1, 10)]);
  writeSegment(path, "log", 2, [messages("t", 1000, 10)], { previousEnd: 11 });
  writeSegment(path, "log", 5, [messages("t", 5000, 10)]);
  expect(checkDirectory(nodeFiles, path, false).findings).toEqual([]);
});

test("messages that were never on disk are told, and are no damage", () => {
  const { path, remove } = makeDirectory();
  made.push(remove);
  writeSegment(path, "log", 1, [messages("t", 1, 10)]);
  writeSegment(path, "log", 2, [messages("t", 31, 10)]);
  expect(checkDirectory(nodeFiles, path, false).findings).toMatchObject([
    { kind: "note", what: "20 messages after it are not on disk: they came while it took none" },
  ]);
});

test("what was set aside earlier is told", () => {
  const { path } = spool();
  writeFileSync(join(path, "quarantine", "0000000001.segment-64"), "x");
  expect(checkDirectory(nodeFiles, path, false).findings).toMatchObject([
    { kind: "note", file: "quarantine/0000000001.segment-64" },
  ]);
});

test("a checkpoint that is not valid is damage when there is no other", () => {
  const { path } = spool();
  writeFileSync(join(path, "checkpoint.0"), "brucechk and nothing");
  expect(damages(path)).toMatchObject([{ file: "checkpoint.0", offset: 0 }]);
});
