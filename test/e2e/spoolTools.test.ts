// `bruce spool` on the directory of a daemon that runs, and of one that was killed; what it exports is taken by another daemon.
import { describe, expect, test } from "bun:test";
import { createReadStream, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BRUCE } from "../../scripts/executable.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { expectBalanced } from "./books.ts";
import { type CommandEnd, runBruce } from "./command.ts";
import { diskBed, filesIn, flip, range, TOPIC } from "./diskBed.ts";

const HELD = "nobody-made-it";
const bed = diskBed();
const state = () => join(bed.directory, "state");

async function spool(...args: string[]): Promise<CommandEnd> {
  await using command = runBruce(["spool", ...args, "--path", state()], { cwd: bed.directory });
  return await command.finished;
}

interface Listing {
  running: boolean;
  pid: number | null;
  waiting: number;
  held: { reason: string }[];
}

async function listing(): Promise<Listing> {
  const { code, stdout, stderr } = await spool("ls", "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

/** Every file with its size and time: what must not change. */
function picture(): string[] {
  return readdirSync(state(), { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const { size, mtimeMs } = statSync(join(state(), name));
      return `${name} ${size} ${mtimeMs}`;
    });
}

/** 1000 messages delivered, then 500 for a topic that is not there, and 2000 since Kafka is away. */
async function filled(): Promise<Bruce> {
  const bruce = await bed.serve(["buffer.segment=64k"]);
  await bed.write(bruce, 1000);
  await bed.drained(bruce);
  await bed.write(bruce, 500, { topic: HELD });
  await bruce.until(({ topics }) =>
    topics.some(({ name, held_logs: logs = [] }) => name === HELD && logs.some(({ messages }) => messages === 500)),
  );
  bed.away();
  for (let first = 1000; first < 3000; first += 200) await bed.write(bruce, 200, { first });
  // Why it is held is written down with the next checkpoint.
  while ((await listing()).held[0]?.reason === "") await Bun.sleep(50);
  return bruce;
}

describe.each(["running", "killed"] as const)("of a daemon that was %s", (how) => {
  async function prepared(): Promise<Bruce> {
    const bruce = await filled();
    if (how === "killed") await bruce.kill("SIGKILL");
    return bruce;
  }

  test("ls names what waits, what is held and why; verify finds nothing; neither changes anything", async () => {
    const bruce = await prepared();
    const before = picture();
    const seen = await listing();
    expect(seen).toMatchObject({ running: how === "running", pid: how === "running" ? bruce.pid : null });
    expect(seen).toMatchObject({ quarantine: [] });
    expect(seen.held).toEqual([
      expect.objectContaining({ topic: HELD, partition: null, waiting: 500, reason: expect.stringMatching(/./) }),
    ]);
    // The picture is a little behind: what was just delivered, or moved to a log of its own, may still be in it.
    expect(seen.waiting).toBeGreaterThanOrEqual(2500);
    const { code, stdout, stderr } = await spool("verify");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).not.toContain("damage ");
    // A daemon that runs writes to it.
    if (how === "killed") expect(picture()).toEqual(before);
  });

  test("export has every message that waits, in order, and of the topics asked for", async () => {
    await prepared();
    const lines = async (...args: string[]) => {
      const { code, stdout } = await spool("export", ...args);
      expect(code).toBe(0);
      return stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { topic: string; value: string; number: number });
    };
    const numbers = (found: { value: string }[]) => found.map(({ value }) => Number(value.slice(0, 12)));
    const held = await lines("--topic", HELD);
    expect(numbers(held)).toEqual(range(0, 500));
    const others = numbers(await lines("--topic", TOPIC));
    expect(others.slice(-2000)).toEqual(range(1000, 3000));
    expect((await lines()).length).toBe(held.length + others.length);
  });

  test("export --frames goes through the socket of another daemon, and arrives", async () => {
    await prepared();
    const file = Bun.file(join(bed.directory, "frames"));
    const exporting = Bun.spawn(
      ["sh", "-c", '"$0" "$@" > frames', BRUCE, "spool", "export", "--topic", TOPIC, "--frames", "--path", state()],
      { cwd: bed.directory, stdin: "ignore" },
    );
    expect(await exporting.exited).toBe(0);
    bed.back();
    // Were the first one still at work, it would deliver them as well.
    const other = await startBruce({ bootstrap: bed.broker.bootstrap });
    try {
      const before = bed.arrived().length;
      const client = await openStreamClient(other.sockets.stream);
      for await (const chunk of createReadStream(join(bed.directory, "frames"))) await client.write(chunk as Buffer);
      await client.end();
      const status = await other.until(({ ledger }) => ledger.received >= 2000 && ledger.held === 0);
      expectBalanced(status);
      expect(status.ledger.discarded).toBe(0);
      expect(file.size).toBeGreaterThan(2000 * 100);
      expect(bed.arrived().length - before).toBeGreaterThanOrEqual(2000);
      expect([...new Set(bed.arrived())].sort((a, b) => a - b)).toEqual(range(0, 3000));
      expect(await other.stop()).toBe(0);
    } finally {
      await other.close();
    }
  });
});

test("why a topic is held is known after a kill, also before Kafka is back to say it again", async () => {
  await (await filled()).kill("SIGKILL");
  const bruce = await bed.serve(["buffer.segment=64k"]);
  const { topics } = await bruce.status();
  const logs = topics.find(({ name }) => name === HELD)?.held_logs ?? [];
  const reasons = [...(await listing()).held, ...logs].map(({ reason }) => reason);
  expect(reasons).toEqual(reasons.map(() => expect.stringContaining("does not exist")));
  expect(reasons.length).toBe(2);
});

test("verify names a damaged file and where, with exit code 1; ls and export go on", async () => {
  const bruce = await filled();
  await bruce.kill("SIGKILL");
  // What is broken at the very end is no damage: so does a power cut leave it.
  const hit = filesIn(state(), "log").at(-2) as string;
  flip(hit, Math.floor(readFileSync(hit).length / 3));
  const { code, stdout } = await spool("verify");
  expect(code).toBe(1);
  expect(stdout).toContain(hit.slice(hit.lastIndexOf("/") + 1));
  await listing();
  const exported = await spool("export");
  expect(exported.code).toBe(1);
  expect(exported.stderr).toContain("damaged place");
  expect(exported.stdout.split("\n").length).toBeGreaterThan(500);
});
