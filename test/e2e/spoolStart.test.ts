// What a start finds in the data directory: another daemon, nothing that is usable, damage, another machine's messages, or
// what the last run left. It starts, or says why it must not, and delivers what is there.
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { BRUCE } from "../../scripts/executable.ts";
import { CheckpointStore } from "../../src/spool/checkpoint.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import type { Bruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { expectBalanced } from "./books.ts";
import { runBruce } from "./command.ts";
import { copyDirectory, diskBed, filesIn, flip, range, TOPIC } from "./diskBed.ts";

const isRoot = process.getuid?.() === 0;
const bed = diskBed();
const state = () => join(bed.directory, "state");

/** Messages of a block at most. */
const PIECE = 200;
/** Small files, so that there are many. */
const SMALL = ["buffer.segment=64k"];

/** Without a receipt, which memory alone cannot give. */
async function writeUnsafe(bruce: Bruce, count: number): Promise<void> {
  const client = await openStreamClient(bruce.sockets.stream);
  const frames = range(0, count).map((index) => {
    const value = Buffer.from(String(index).padStart(12, "0"));
    return encodeAnyPartition({ topic: TOPIC, timestamp: 1_795_000_000_000, key: new Uint8Array(), value });
  });
  await client.write(Buffer.concat(frames));
  await client.end();
}

const unique = (numbers: number[]) => [...new Set(numbers)].sort((a, b) => a - b);

describe("one daemon for a directory", () => {
  test("a second one is refused and told the process of the first; after kill -9 there is nothing in the way", async () => {
    const first = await bed.serve();
    await bed.write(first, 100);
    const other = join(bed.directory, "other");
    mkdirSync(other);
    const set = [`kafka.brokers=["${bed.broker.bootstrap}"]`, `buffer.path="${state()}"`, "http.enabled=false"];
    const sockets = [`input.datagram.path="${other}/d"`, `input.stream.path="${other}/s"`];
    const args = ["serve", ...[...set, ...sockets].flatMap((each) => ["--set", each])];
    await using second = runBruce(args, { cwd: other });
    const { code, stderr } = await second.finished;
    expect(code).toBe(1);
    expect(stderr).toContain(`the process ${first.pid} is using ${state()}`);
    expectBalanced(await bed.drained(first));

    bed.away();
    await bed.write(first, 100, { first: 100 });
    await first.kill("SIGKILL");
    const third = await bed.serve();
    bed.back();
    expectBalanced(await bed.drained(third));
    expect(bed.arrived()).toEqual(range(0, 200));
  });
});

describe("a directory that cannot be used: in memory, and it says so", () => {
  async function worksInMemory(bruce: Bruce, reason: string): Promise<void> {
    await writeUnsafe(bruce, 1000);
    const status = await bruce.until(({ ledger }) => ledger.delivered === 1000);
    expectBalanced(status);
    expect(status.buffer).toMatchObject({ mode: "degraded", path: expect.any(String), full: false });
    expect(status.buffer.reason).toContain(reason);
    await bruce.untilLogged("messages are kept in memory alone until bruce is started again");
    await expect(bed.write(bruce, 1)).rejects.toThrow("not spooled");
    expect(await bruce.stop()).toBe(0);
    expect(unique(bed.arrived())).toEqual(range(0, 1000));
  }

  test("a file in its place", async () => {
    writeFileSync(state(), "not a directory");
    await worksInMemory(await bed.serve(), "a part of the path is a file");
    expect(readFileSync(state(), "utf8")).toBe("not a directory");
  });

  test("a directory that this user may not write to", async () => {
    mkdirSync(state());
    chmodSync(state(), 0o555);
    chmodSync(bed.directory, 0o777);
    // Root may write everywhere: the executable runs as nobody then, who must be able to read it.
    const executable = join(bed.directory, "bruce");
    copyFileSync(BRUCE, executable);
    chmodSync(executable, 0o755);
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    // $1 is where it lies in the tree.
    const prefix = [...(isRoot ? nobody : []), "sh", "-c", `shift; exec "${executable}" "$@"`, "sh"];
    await worksInMemory(await bed.serve([], { prefix }), "may not write there");
  });
});

describe("damage that happened while it was down", () => {
  /** A backlog of 5000 messages in many files, of which 1000 before it were delivered. Killed. */
  async function backlog(): Promise<string[]> {
    const bruce = await bed.serve(SMALL);
    await bed.write(bruce, 1000);
    await bed.drained(bruce);
    bed.away();
    // With a receipt for each piece no block has more than that.
    for (let first = 1000; first < 6000; first += PIECE) await bed.write(bruce, PIECE, { first });
    await bruce.kill("SIGKILL");
    return filesIn(state(), "log");
  }

  async function startsAndDelivers(): Promise<{ lost: number; times: number[]; bruce: Bruce }> {
    const bruce = await bed.serve(SMALL);
    bed.back();
    const status = await bed.drained(bruce);
    expectBalanced(status);
    const { damaged = 0, ...others } = status.ledger.discards_by_reason;
    expect(others).toEqual({});
    return { lost: damaged, times: bed.arrived(), bruce };
  }

  test("in a block of a segment: its messages are counted as lost, all others arrive once and in order", async () => {
    const segments = await backlog();
    expect(segments.length).toBeGreaterThan(3);
    const hit = segments[Math.floor(segments.length / 2)] as string;
    flip(hit, 30_000);
    const { lost, times, bruce } = await startsAndDelivers();
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThanOrEqual(PIECE);
    expect(times).toHaveLength(6000 - lost);
    const missing = range(0, 6000).filter((number) => !times.includes(number));
    expect(missing).toEqual(range(missing[0] as number, (missing[0] as number) + lost));
    expect(times).toEqual(unique(times));
    expect(bruce.log()).toContain("damaged");
    expect(filesIn(state(), "quarantine")).not.toEqual([]);
    const { buffer } = await bruce.status();
    expect(buffer.quarantined_bytes).toBeGreaterThan(0);
    expect(await bruce.stop()).toBe(0);
  });

  test("in the header of a segment: at most that segment's messages are lost", async () => {
    const segments = await backlog();
    flip(segments[Math.floor(segments.length / 2)] as string, 20);
    const { lost, times, bruce } = await startsAndDelivers();
    expect(lost).toBeLessThan(1000);
    expect(times).toHaveLength(6000 - lost);
    expect(times).toEqual(unique(times));
    expect(await bruce.stop()).toBe(0);
  });

  test("the last segment ends in the middle of a block, as after a power cut: the rest arrives", async () => {
    const segments = await backlog();
    const last = segments.at(-1) as string;
    truncateSync(last, readFileSync(last).length - 10);
    const { times, bruce } = await startsAndDelivers();
    expect(times.length).toBeGreaterThan(5000);
    expect(times).toEqual(range(0, times.length));
    expect(await bruce.stop()).toBe(0);
  });

  test("in the newer checkpoint: nothing is lost, nothing comes twice", async () => {
    await backlog();
    flip(newestCheckpoint(), 100);
    const { lost, times, bruce } = await startsAndDelivers();
    expect(lost).toBe(0);
    expect(times).toEqual(range(0, 6000));
    expect(await bruce.stop()).toBe(0);
  });

  test("in both checkpoints and in the journal: nothing is lost", async () => {
    await backlog();
    for (const slot of slots()) flip(slot, 100);
    for (const file of filesIn(state(), "journal")) flip(file, -1);
    const { lost, times, bruce } = await startsAndDelivers();
    expect(lost).toBe(0);
    expect(unique(times)).toEqual(range(0, 6000));
    expect(await bruce.stop()).toBe(0);
  });

  test("nothing but the log is left: what is in it is delivered", async () => {
    await backlog();
    for (const slot of slots()) rmSync(slot);
    rmSync(join(state(), "journal"), { recursive: true });
    const { times, bruce } = await startsAndDelivers();
    expect(unique(times)).toEqual(range(0, 6000));
    expect(await bruce.stop()).toBe(0);
  });
});

const slots = () =>
  ["checkpoint.0", "checkpoint.1"].map((name) => join(state(), name)).filter((path) => existsSync(path));

function newestCheckpoint(): string {
  const generation = (path: string) => readFileSync(path).readBigInt64BE(12);
  const [first = "", second = first] = slots();
  return generation(first) > generation(second) ? first : second;
}

describe("what was on its way when it was killed", () => {
  /** Kafka does not answer for a batch, whether or not it takes it (`append`); others wait behind it. */
  async function killedWhileSending(append: boolean): Promise<void> {
    const bruce = await bed.serve();
    await bed.write(bruce, 100);
    await bed.drained(bruce);
    const rule = bed.broker.faults.once("Produce", { kind: "silent", append });
    await bed.write(bruce, 500, { first: 100 });
    await rule.hit;
    await bruce.kill("SIGKILL");
  }

  test.each([
    ["Kafka has it", true],
    ["Kafka has not got it", false],
  ])("is sent again as it was (%s): it is there once, and nobody doubts it", async (_, append) => {
    await killedWhileSending(append);
    const bruce = await bed.serve();
    const status = await bed.drained(bruce);
    expectBalanced(status);
    expect(status.ledger).toMatchObject({ received: 600, delivered: 600, discarded: 0, possible_duplicates: 0 });
    expect(bed.arrived()).toEqual(range(0, 600));
  });

  test("in a copy of the directory on another machine: sent under a new producer id, counted, nothing lost", async () => {
    await killedWhileSending(true);
    const copy = join(bed.directory, "copy");
    copyDirectory(state(), copy);
    const store = new CheckpointStore(nodeFiles, copy);
    const { checkpoint } = store.load();
    if (checkpoint === undefined) throw new Error("there is no checkpoint");
    await store.write({ ...checkpoint, machineId: "f".repeat(32) });
    store.close();
    const bruce = await bed.serve([`buffer.path="${copy}"`]);
    const status = await bed.drained(bruce);
    expectBalanced(status);
    expect(status.ledger.possible_duplicates).toBeGreaterThan(0);
    expect(status.ledger.possible_duplicates).toBeLessThanOrEqual(500);
    expect(unique(bed.arrived())).toEqual(range(0, 600));
  });
});

describe("what a stop leaves", () => {
  test("Kafka is away: it ends without waiting for it, with 0, and the next start delivers what is left", async () => {
    // A stop that waits for Kafka does not end within this test.
    const set = ['delivery.shutdown_timeout="1h"'];
    bed.away();
    const bruce = await bed.serve(set);
    await bed.write(bruce, 3000);
    expect(await bruce.stop()).toBe(0);
    const line = bruce
      .log()
      .split("\n")
      .find((each) => each.includes("delivered after the next start"));
    expect(JSON.parse(line ?? "{}")).toMatchObject({ left_in_buffer: 3000, delivered: 0 });

    const next = await bed.serve(set);
    const before = await next.until(({ ledger }) => ledger.held === 3000);
    expectBalanced(before);
    bed.back();
    const status = await bed.drained(next);
    expectBalanced(status);
    expect(status.ledger).toMatchObject({ received: 3000, delivered: 3000, possible_duplicates: 0 });
    expect(bed.arrived()).toEqual(range(0, 3000));
    expect(await next.stop()).toBe(0);
    expect((await (await bed.serve(set)).status()).ledger).toMatchObject({ received: 3000, delivered: 3000, held: 0 });
  });
});

describe("memory only", () => {
  test("writes nothing, gives no receipt for what it cannot keep, and a stop says what it lost", async () => {
    const set = ['buffer.disk="0"', 'delivery.shutdown_timeout="100ms"'];
    const bruce = await bed.serve(set);
    await writeUnsafe(bruce, 1000);
    const status = await bruce.until(({ ledger }) => ledger.delivered === 1000);
    expectBalanced(status);
    expect(status.buffer).toMatchObject({ mode: "memory", path: null, used: 0 });
    await expect(bed.write(bruce, 1)).rejects.toThrow("not spooled");
    await bed.drained(bruce);
    bed.away();
    await writeUnsafe(bruce, 500);
    await bruce.until(({ ledger }) => ledger.held === 500);
    expect(await bruce.stop()).toBe(1);
    const line = bruce
      .log()
      .split("\n")
      .find((each) => each.includes("messages were lost"));
    expect(JSON.parse(line ?? "{}")).toMatchObject({ lost: 500 });
    expect(existsSync(state())).toBe(false);
  });
});
