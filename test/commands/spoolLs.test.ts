import { expect, test } from "bun:test";
import { closeSync, openSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockHolder } from "../../src/commands/spoolLock.ts";
import { lockFile } from "../../src/spool/flock.ts";
import { directoriesOfTests, messages, setOf, writeCheckpoint, writeJournal, writeSegment } from "./spoolDirectory.ts";
import { runSpool } from "./spoolOutput.ts";

const directory = directoriesOfTests();

/** 160 messages in three segments, 110 of which wait; and two that are held. */
async function spool() {
  const path = directory();
  writeSegment(path, "log", 1, [messages("t", 1, 100)]);
  writeSegment(path, "log", 2, [messages("t", 101, 30), messages("u", 131, 20)]);
  const { head } = writeSegment(path, "log", 3, [messages("t", 151, 10)], { seal: false });
  const gone = [5, 6].map((number) => ({ number, topic: "gone" }));
  const held = writeSegment(path, "held/gone", 1, [gone], { seal: false });
  await writeCheckpoint(path, {
    clean: true,
    log: { read: { number: 61, segment: 1, offset: 64 }, head },
    unsettled: setOf(10, 11, ...Array.from({ length: 8 }, (_, i) => 20 + i)),
    held: [
      {
        ...{ name: "gone", topic: "gone", partition: null, reason: "the topic does not exist", unread: 2 },
        ...{ unsettled: setOf(), settled: setOf() },
        read: { number: 0, segment: 1, offset: 64 },
        head: held.head,
      },
    ],
  });
  writeJournal(path, []);
  writeFileSync(join(path, "quarantine", "0000000001.segment-640"), "damaged");
  return path;
}

test("for programs there is one object with everything", async () => {
  const path = await spool();
  const { code, out, err } = await runSpool({ action: "ls", path, json: true });
  expect([code, err]).toEqual([0, ""]);
  const listing = JSON.parse(out);
  expect(listing).toMatchObject({
    directory: path,
    pid: null,
    running: false,
    checkpoint: { generation: 1, clean: true },
    waiting: 112,
    uncertain_batches: 0,
    log: [
      { file: "0000000001.segment", messages: 100, first_number: 1, sealed: true },
      { file: "0000000002.segment", messages: 50, first_number: 101, sealed: true },
      { file: "0000000003.segment", messages: 10, first_number: 151, sealed: false },
    ],
    held: [{ topic: "gone", partition: null, reason: "the topic does not exist", waiting: 2, files: 1 }],
    unread_topics: { t: 30, u: 20 },
    quarantine: [{ file: "0000000001.segment-640", bytes: 7 }],
  });
  expect(listing.bytes).toBeGreaterThan(5000);
});

test("a terminal gets what matters first, a pipe lines of fields", async () => {
  const path = await spool();
  const { out } = await runSpool({ action: "ls", path }, { isTTY: true });
  const lines = out.split("\n");
  expect(lines[0]).toBe(`${path}  no daemon is at work`);
  expect(lines[1]).toMatch(/^checkpoint 1, \d.* old; the daemon was stopped cleanly$/);
  expect(lines[2]).toMatch(/^112 messages wait, \d.* KiB in files$/);
  expect(out).toMatch(/\ngone +2 +\d+ B\n {2}↳ the topic does not exist\n\n/);
  expect(out).toMatch(/\n0000000002\.segment +complete +101 +50 +[\d.]+ KiB\n/);
  expect(out).toMatch(/\nt +30\nu +20\n/);
  expect(out).toMatch(/\n0000000001\.segment-640 +7 B\n/);

  const piped = (await runSpool({ action: "ls", path })).out.split("\n").map((line) => line.split("\t"));
  expect(piped[0]?.slice(0, 4)).toEqual(["spool", path, "down", "112"]);
  expect(piped.find(([kind]) => kind === "held")?.slice(1, 4)).toEqual(["gone", "-", "2"]);
  expect(piped.filter(([kind]) => kind === "log").map(([, file]) => file)).toHaveLength(3);
});

test("a directory without anything in it is not an error", async () => {
  const path = directory();
  const { code, out } = await runSpool({ action: "ls", path }, { isTTY: true });
  expect(code).toBe(0);
  expect(out).toContain("0 messages wait, 0 B in files");
  expect(out).toContain("no checkpoint");
});

test("a reason cannot steer the terminal", async () => {
  const path = directory();
  const held = writeSegment(path, "held/x", 1, [[{ number: 1, topic: "x" }]], { seal: false });
  await writeCheckpoint(path, {
    log: { read: { number: 2, segment: 0, offset: 0 }, head: { number: 2, segment: 0, offset: 0 } },
    held: [
      {
        ...{ name: "x", topic: "x", partition: 3, reason: "\u001b]0;owned\u0007", unread: 1 },
        ...{ unsettled: setOf(), settled: setOf(), read: { number: 0, segment: 1, offset: 64 }, head: held.head },
      },
    ],
  });
  for (const isTTY of [true, false]) {
    const { out } = await runSpool({ action: "ls", path }, { isTTY });
    expect(out).toContain("\\x1b]0;owned\\x07");
    expect(out).not.toContain("\u001b]");
  }
});

test("a daemon at work is seen by its lock, and the lock is left alone", () => {
  const path = directory();
  expect(lockHolder(path)).toEqual({ state: "absent" });
  const lock = join(path, "lock");
  writeFileSync(lock, "4711\n");
  expect(lockHolder(path)).toEqual({ state: "absent" });
  const fd = openSync(lock, "r+");
  try {
    expect(lockFile(fd)).toEqual({ kind: "locked" });
    expect(lockHolder(path)).toEqual({ state: "running", pid: 4711 });
    expect(lockHolder(path, join(tmpdir(), "no-such-file"))).toEqual({ state: "unknown" });
    writeFileSync(lock, "");
    expect(lockHolder(path)).toEqual({ state: "running", pid: undefined });
  } finally {
    closeSync(fd);
    unlinkSync(lock);
  }
});
