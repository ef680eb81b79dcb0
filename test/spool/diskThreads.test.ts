// Two threads and real files: everything comes once and in order, however the reader lags, and the disk stays within its limit.
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiskQueue } from "../../src/spool/diskQueue.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import type { WriterMessage } from "../../src/spool/queue.ts";
import { freshStart } from "./diskBench.ts";
import { messagesIn } from "./logFixture.ts";

const LIMIT = 3_000_000;

/** `blocksPerTurn`: how fast the reader is. */
async function pass(messages: number, credit: number, blocksPerTurn: (turn: number) => number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "bruce-"));
  const fail = (what: string) => (error: unknown) => {
    throw new Error(`${what}: ${JSON.stringify(error)}`);
  };
  const queue = new DiskQueue({
    files: nodeFiles,
    directory,
    start: freshStart(),
    capacity: 1 << 20,
    credit,
    segmentSize: 200_000,
    largestBlock: 1 << 16,
    limit: LIMIT,
    sync: 5,
    onLost: fail("lost"),
    onDamage: fail("damage"),
    onState: fail("state"),
    onSyncFailure: fail("sync"),
    onReadFailure: fail("read"),
    onFull: () => queue.dropSegments(queue.segmentsToDelete()),
  });
  const room = new Int32Array(new SharedArrayBuffer(4));
  queue.onRoom(() => {
    Atomics.store(room, 0, 1);
    Atomics.notify(room, 0);
  });
  const done = Promise.withResolvers<void>();
  const worker = new Worker(new URL("./diskWriter.worker.ts", import.meta.url));
  worker.onmessage = ({ data }: MessageEvent<{ type: "wake" } | { type: "tell"; message: WriterMessage }>) => {
    if (data.type === "wake") queue.wake();
    else if (data.type === "tell") queue.told(data.message);
  };
  let next = 1;
  let turns = 0;
  const numbers = new MessageNumbers();
  const turn = () => {
    let left = blocksPerTurn(turns++);
    try {
      for (let block = queue.read(); block !== undefined; block = queue.read()) {
        for (const number of messagesIn(block)) {
          if (number !== next++) throw new Error(`message ${number} comes as ${next - 1}`);
          numbers.append(number);
        }
        queue.release();
        if (left-- === 0) {
          setImmediate(turn);
          break;
        }
      }
      if (numbers.count > 0) queue.settle(numbers, "delivered");
      numbers.clear();
      if (turns % 10 === 0 || queue.full) queue.dropSegments(queue.segmentsToDelete());
      if (queue.bytesOnDisk > LIMIT + 100_000) throw new Error(`${queue.bytesOnDisk} bytes are on the disk`);
      if (next > messages) done.resolve();
    } catch (error) {
      done.reject(error);
    }
  };
  queue.onReadable(turn);
  turn();
  worker.postMessage({ order: queue.order, room, messages });
  try {
    await done.promise;
    expect([queue.written, queue.unread, queue.unsettled]).toEqual([messages, 0, 0]);
    await queue.syncNow();
    queue.dropSegments(queue.segmentsToDelete());
    // Others may be there to be written over.
    expect(readdirSync(directory).filter((name) => name.endsWith(".segment"))).toHaveLength(1);
  } finally {
    worker.terminate();
    await queue.stop();
    rmSync(directory, { recursive: true });
  }
}

test("a reader that keeps up", () => pass(200_000, 1 << 19, () => 1000));

test("a reader that lags, and then does not", () => pass(200_000, 20_000, (turn) => (turn % 200 < 100 ? 1 : 400)));

test("no block ever finds room in memory but in an empty one", () => pass(100_000, 1, (turn) => turn % 7));
