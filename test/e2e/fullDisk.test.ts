// The disk has no room: `disk` is reached, the volume is down to `min_free_disk`, or it refuses although nobody expected that.
// Nothing crashes, `when_full` is kept, and with room again everything goes on by itself.
import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DaemonStatus } from "../../src/observe/status.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { mountSmallVolume, type SmallVolume } from "../chaos/smallVolume.ts";
import type { Bruce } from "../support/bruce.ts";
import { openDatagramClient, openStreamClient } from "../support/clients.ts";
import { expectBalanced } from "./books.ts";
import { diskBed, range, TOPIC } from "./diskBed.ts";

const MB = 1024 * 1024;
/** Bytes of a value. */
const SIZE = 1000;
const RECORD = ["batch.max_record=100k"];

const bed = diskBed();

function frame(index: number, filler: Buffer | string = "x"): Buffer {
  const value = Buffer.alloc(SIZE, filler);
  value.write(String(index).padStart(12, "0"));
  return encodeAnyPartition({ topic: TOPIC, timestamp: 1_795_000_000_000, key: new Uint8Array(), value });
}

/** Nothing makes it smaller. */
const NOISE = randomBytes(SIZE * 100);

/** Writes them to the stream while there is room; `done` resolves when the socket took the last one. */
async function stream(bruce: Bruce, from: number, to: number, noise = false) {
  const filler = (index: number) => (noise ? NOISE.subarray((index * 577) % (SIZE * 99)) : undefined);
  const client = await openStreamClient(bruce.sockets.stream);
  const done = (async () => {
    for (let at = from; at < to; at += 50) {
      await client.write(Buffer.concat(range(at, Math.min(at + 50, to)).map((index) => frame(index, filler(index)))));
    }
    await client.end();
  })();
  return { done };
}

function datagrams(bruce: Bruce, from: number, to: number): void {
  const client = openDatagramClient(bruce.sockets.datagram);
  for (let index = from; index < to; index++) client.send(frame(index));
  client.close();
}

const isFull = ({ buffer }: DaemonStatus) => buffer.full;

/** The most bytes that a file of it may have from now on. Its log is one, too: it cannot tell, and goes on all the same. */
function limitFiles({ pid }: Bruce, bytes: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["prlimit", "--pid", String(pid), `--fsize=${bytes}:unlimited`]);
  if (exitCode !== 0) throw new Error(`no limit can be set: ${stderr}`);
}

async function readyz({ url }: Bruce): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${url}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

async function metric({ url }: Bruce, line: string): Promise<string | undefined> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return text.split("\n").find((each) => each.startsWith(line));
}

describe("`disk` is reached while Kafka is away", () => {
  const disk = 2 * MB;
  const set = [...RECORD, `buffer.disk=${disk}`];

  test("block: the stream waits, and all of it arrives in its order", async () => {
    bed.away();
    const bruce = await bed.serve(set);
    const { done } = await stream(bruce, 0, 10_000);
    const full = await bruce.until(isFull);
    expect(full.buffer).toMatchObject({ mode: "disk", limit: disk });
    expect(full.buffer.used).toBeLessThanOrEqual(disk);
    expect(full.ledger.received).toBeLessThan(10_000);
    expect(full.ledger.discarded).toBe(0);
    expectBalanced(full);
    expect(await readyz(bruce)).toMatchObject({
      status: 503,
      text: expect.stringContaining("the disk buffer is full"),
    });
    expect(await metric(bruce, "bruce_buffer_full")).toBe("bruce_buffer_full 1");

    bed.back();
    await done;
    const status = await bruce.until(({ ledger }) => ledger.delivered === 10_000);
    expectBalanced(status);
    expect(bed.arrived()).toEqual(range(0, 10_000));
    expect((await bruce.until(({ buffer }) => !buffer.full)).buffer.mode).toBe("disk");
    expect((await readyz(bruce)).status).toBe(200);
    expect(await bruce.stop()).toBe(0);
  });

  test("drop_newest: what comes then is discarded and counted, and what came before arrives", async () => {
    bed.away();
    const bruce = await bed.serve(set);
    datagrams(bruce, 0, 5000);
    const full = await bruce.until(({ ledger }) => ledger.received === 5000);
    expectBalanced(full);
    const { discarded } = full.ledger;
    expect(full.ledger.discards_by_reason).toEqual({ queue_full: discarded });
    expect(discarded).toBeGreaterThan(5000 - disk / SIZE);
    await bruce.kill("SIGKILL");

    // Those that were taken are still there after that; the others were counted in memory only.
    const again = await bed.serve(set);
    bed.back();
    const status = await bed.drained(again);
    expectBalanced(status);
    const arrived = bed.arrived();
    expect(arrived).toHaveLength(5000 - discarded);
    // The last bytes of room may fit a small block where a larger one before it was turned away.
    expect(arrived.slice(0, 1500)).toEqual(range(0, 1500));
    expect(arrived).toEqual([...new Set(arrived)].sort((a, b) => a - b));
  });

  test("drop_oldest: the oldest messages go, counted, and the newest arrive", async () => {
    bed.away();
    const bruce = await bed.serve([...set, 'input.stream.when_full="drop_oldest"']);
    const { done } = await stream(bruce, 0, 10_000);
    await done;
    const before = await bruce.until(({ ledger }) => ledger.received === 10_000);
    expectBalanced(before);
    expect(before.buffer.used).toBeLessThanOrEqual(disk);
    bed.back();
    const status = await bed.drained(bruce);
    expectBalanced(status);
    const { delivered, discarded, discards_by_reason } = status.ledger;
    expect(discards_by_reason).toEqual({ dropped_oldest: discarded });
    expect(delivered).toBeGreaterThan(500);
    expect(bed.arrived()).toEqual(range(10_000 - delivered, 10_000));
  });
});

test("drop_oldest: the senders do not wait for a file that a batch on its way keeps", async () => {
  bed.broker.faults.always("Produce", { kind: "silent" });
  // Files larger than what is dropped of them at once.
  const small = ["buffer.disk=2m", "buffer.segment=256k", "batch.bytes=16k", "batch.request_bytes=16k"];
  const plain = ["batch.max_record=15k", "compression.codec=none"];
  const bruce = await bed.serve([...small, ...plain, 'input.stream.when_full="drop_oldest"']);
  await (await stream(bruce, 0, 100)).done;
  await bed.broker.until(() => bed.broker.requests.Produce > 0);
  await (await stream(bruce, 100, 10_000)).done;
  const status = await bruce.until(({ ledger }) => ledger.received === 10_000);
  expectBalanced(status);
  const { held, delivered, discarded, discards_by_reason } = status.ledger;
  expect([delivered, discards_by_reason]).toEqual([0, { dropped_oldest: discarded }]);
  expect(held).toBeGreaterThan(500);
});

describe("drop_oldest where memory is what is full: the senders do not wait for Kafka, and the newest arrive", () => {
  const set = [...RECORD, "buffer.memory=16m", 'input.stream.when_full="drop_oldest"'];
  const COUNT = 60_000;

  async function newestArrive(bruce: Bruce): Promise<void> {
    const before = await bruce.until(({ ledger }) => ledger.received === COUNT);
    expectBalanced(before);
    // Of what memory holds it gives up a part at a time.
    expect(before.ledger.held).toBeGreaterThan(6 * (MB / SIZE));
    bed.back();
    const status = await bed.drained(bruce);
    expectBalanced(status);
    const { delivered, discarded, discards_by_reason } = status.ledger;
    expect(discards_by_reason).toEqual({ dropped_oldest: discarded });
    // The first were delivered before.
    expect(bed.arrived().slice(1000)).toEqual(range(COUNT - delivered + 1000, COUNT));
  }

  test("in memory alone", async () => {
    const bruce = await bed.serve([...set, 'buffer.disk="0"']);
    await (await stream(bruce, 0, 1000)).done;
    await bed.drained(bruce);
    bed.away();
    await (await stream(bruce, 1000, COUNT, true)).done;
    await newestArrive(bruce);
  });

  test("while the disk refuses", async () => {
    const prefix = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"];
    const bruce = await bed.serve([...set, "buffer.segment=1m"], { prefix });
    await (await stream(bruce, 0, 1000)).done;
    await bed.drained(bruce);
    bed.away();
    limitFiles(bruce, "0");
    await (await stream(bruce, 1000, COUNT, true)).done;
    await newestArrive(bruce);
  });
});

const room = mkdtempSync(join(tmpdir(), "bruce-volume-"));
const trial = mountSmallVolume(room, 1);
const canMount = !("problem" in trial);
if (canMount) trial.close();
rmSync(room, { recursive: true, force: true });

test("the kernel refuses every write to a file (RLIMIT_FSIZE): degraded, and back by itself when it does no more", async () => {
  bed.away();
  // A write beyond the limit comes with a signal, which ends a process that does not ignore it.
  const prefix = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"];
  const bruce = await bed.serve([...RECORD, "buffer.memory=16m"], { prefix });
  await bed.write(bruce, 1000, { size: SIZE });
  limitFiles(bruce, "0");
  const { done } = await stream(bruce, 1000, 20_000);
  const degraded = await bruce.until(({ buffer }) => buffer.mode === "degraded" && buffer.full);
  expect(degraded.buffer.reason).toContain("EFBIG");
  expectBalanced(degraded);
  limitFiles(bruce, "unlimited");
  await bruce.until(({ buffer }) => buffer.mode === "disk" && !buffer.full);
  bed.back();
  await done;
  const status = await bruce.until(({ ledger }) => ledger.delivered === 20_000);
  expectBalanced(status);
  expect(status.ledger).toMatchObject({ discarded: 0, possible_duplicates: 0 });
  expect(bed.arrived()).toEqual(range(0, 20_000));
  expect(await bruce.stop()).toBe(0);
});

describe.skipIf(!canMount)("on a tmpfs of 24 MB (only root can mount one)", () => {
  let volume: SmallVolume | undefined;
  let place: string | undefined;
  afterEach(() => {
    volume?.close();
    volume = undefined;
    if (place !== undefined) rmSync(place, { recursive: true, force: true });
  });

  function mount(): SmallVolume {
    place = mkdtempSync(join(tmpdir(), "bruce-volume-"));
    const made = mountSmallVolume(place, 24);
    if ("problem" in made) throw new Error(made.problem);
    volume = made;
    return made;
  }

  const settings = (path: string, more: string[] = []) => [
    ...[...RECORD, `buffer.path="${path}/state"`, "buffer.segment=1m", "buffer.memory=16m"],
    ...["buffer.min_free_disk=0", ...more],
  ];

  test("min_free_disk stays free; the stream waits, and all arrives when Kafka is back", async () => {
    const { path } = mount();
    bed.away();
    const bruce = await bed.serve(settings(path, ["buffer.min_free_disk=8m"]));
    const { done } = await stream(bruce, 0, 30_000);
    const full = await bruce.until(isFull);
    expect(full.buffer.mode).toBe("disk");
    const { bavail, bsize } = statfsSync(path);
    // The index of a file and the header of the next, the journal and the checkpoint may come on top.
    expect(bavail * bsize).toBeGreaterThan(7 * MB);
    expectBalanced(full);
    bed.back();
    await done;
    expectBalanced(await bruce.until(({ ledger }) => ledger.delivered === 30_000));
    expect(bed.arrived()).toEqual(range(0, 30_000));
    expect(await bruce.stop()).toBe(0);
  });

  test("less is free than `min_free_disk` asks for, and nothing waits: messages go through memory, and nobody waits", async () => {
    const { path, relieve, fill } = mount();
    fill();
    const bruce = await bed.serve(settings(path, ["buffer.min_free_disk=8m"]));
    const { done } = await stream(bruce, 0, 3000);
    await done;
    const status = await bruce.until(({ ledger }) => ledger.delivered === 3000);
    expect(status.buffer).toMatchObject({ mode: "degraded", full: false });
    expect((await readyz(bruce)).status).toBe(200);
    relieve();
    await bruce.until(({ buffer }) => buffer.mode === "disk");
    await bed.write(bruce, 1000, { size: SIZE, first: 3000 });
    expectBalanced(await bruce.until(({ ledger }) => ledger.delivered === 4000));
    expect(bed.arrived()).toEqual(range(0, 4000));
    expect(await bruce.stop()).toBe(0);
  });

  test("others fill it: degraded, in memory, the stream waits; with room again it is as if nothing had been", async () => {
    const { path, fill, relieve } = mount();
    bed.away();
    const bruce = await bed.serve(settings(path));
    await bed.write(bruce, 1000, { size: SIZE });
    fill();
    const { done } = await stream(bruce, 1000, 40_000);
    const degraded = await bruce.until(({ buffer }) => buffer.mode === "degraded" && buffer.full);
    expect(degraded.buffer.reason).toContain("ENOSPC");
    expectBalanced(degraded);
    expect(degraded.ledger.discarded).toBe(0);
    await bruce.untilLogged("the disk takes no messages");
    expect(await metric(bruce, 'bruce_buffer_mode{mode="degraded"}')).toBe('bruce_buffer_mode{mode="degraded"} 1');
    expect(await readyz(bruce)).toMatchObject({ status: 503, text: expect.stringContaining("memory is full") });

    // Kafka is still away: the messages that wait at the socket find the disk again.
    relieve();
    await bruce.untilLogged("the disk takes messages again");
    bed.back();
    await done;
    const status = await bruce.until(({ ledger }) => ledger.delivered === 40_000);
    expectBalanced(status);
    // What waited may have filled it once more.
    await bruce.until(({ buffer }) => buffer.mode === "disk" && !buffer.full);
    expect(status.ledger).toMatchObject({ discarded: 0, possible_duplicates: 0 });
    expect(bed.arrived()).toEqual(range(0, 40_000));
    expect(await bruce.stop()).toBe(0);
  });

  test("a kill after the volume had no room for a while: what was in memory alone by then is delivered too", async () => {
    const { path, fill, relieve } = mount();
    bed.away();
    const bruce = await bed.serve(settings(path));
    await bed.write(bruce, 1000, { size: SIZE });
    fill();
    await (await stream(bruce, 1000, 5000)).done;
    const degraded = await bruce.until(({ buffer, ledger }) => buffer.mode === "degraded" && ledger.received === 5000);
    expect(degraded.buffer.unspooled).toBeGreaterThan(1000);
    expect(await metric(bruce, "bruce_buffer_unspooled_messages")).toBe(
      `bruce_buffer_unspooled_messages ${degraded.buffer.unspooled}`,
    );
    relieve();
    const back = await bruce.until(({ buffer }) => buffer.mode === "disk");
    expect(back.buffer.unspooled).toBe(0);
    await bruce.kill("SIGKILL");

    const again = await bed.serve(settings(path));
    bed.back();
    const status = await bed.drained(again);
    expectBalanced(status);
    expect(status.ledger).toMatchObject({ received: 5000, delivered: 5000, discarded: 0 });
    expect(bed.arrived()).toEqual(range(0, 5000));
  });

  test("others fill it, and Kafka is there: delivery goes on from memory, and what is delivered is given back", async () => {
    const { path, fill } = mount();
    const bruce = await bed.serve(settings(path));
    bed.away();
    await bed.write(bruce, 5000, { size: SIZE });
    fill();
    const { done } = await stream(bruce, 5000, 40_000);
    await bruce.until(({ buffer }) => buffer.mode === "degraded");
    bed.back();
    await done;
    const status = await bruce.until(({ ledger }) => ledger.delivered === 40_000);
    expectBalanced(status);
    expect(bed.arrived()).toEqual(range(0, 40_000));
    // The others took all but what bruce had: for a checkpoint there must be room all the same, or nothing would ever go.
    await bruce.until(({ buffer }) => buffer.mode === "disk" && buffer.segments <= 1);
    expect(await bruce.stop()).toBe(0);
  });

  test("others fill it, and datagrams come: drop_newest once memory is full, and no datagram twice", async () => {
    const { path, fill, relieve } = mount();
    bed.away();
    const bruce = await bed.serve(settings(path));
    fill();
    datagrams(bruce, 0, 40_000);
    const full = await bruce.until(({ ledger }) => ledger.received === 40_000);
    expectBalanced(full);
    const { discarded, discards_by_reason } = full.ledger;
    expect(discards_by_reason).toEqual({ queue_full: discarded });
    expect(discarded).toBeGreaterThan(0);
    relieve();
    bed.back();
    const status = await bed.drained(bruce);
    expectBalanced(status);
    expect(status.ledger.delivered).toBe(40_000 - discarded);
    const arrived = bed.arrived();
    expect(arrived).toEqual([...new Set(arrived)].sort((a, b) => a - b));
    expect(await bruce.stop()).toBe(0);
  });

  test("kill -9 and a start on the full volume: what had a receipt is delivered", async () => {
    const { path, fill, relieve } = mount();
    bed.away();
    const bruce = await bed.serve(settings(path));
    await bed.write(bruce, 5000, { size: SIZE });
    fill();
    await bruce.kill("SIGKILL");
    const again = await bed.serve(settings(path));
    bed.back();
    const status = await bed.drained(again);
    expectBalanced(status);
    expect(bed.arrived()).toEqual(range(0, 5000));
    await again.kill("SIGKILL");

    // And what was delivered on the full volume is not delivered again, as far as the volume let that be written down.
    relieve();
    const last = await bed.serve(settings(path));
    expectBalanced(await bed.drained(last));
    expect([...new Set(bed.arrived())]).toEqual(range(0, 5000));
  });
});
