// An input thread that writes to a disk buffer in a directory, which another can take over as after a crash.
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultSettings } from "../../src/config/settings.ts";
import { type Ingest, startIngest } from "../../src/ingest/ingest.ts";
import { directoryPaths } from "../../src/spool/dataDirectory.ts";
import { DiskQueue } from "../../src/spool/diskQueue.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { largestBlock } from "../../src/spool/limits.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import type { SettledHow } from "../../src/spool/queue.ts";
import { Receipts } from "../../src/spool/receipts.ts";
import { recover } from "../../src/spool/recover.ts";
import type { SyncMode } from "../../src/spool/sync.ts";
import { FrameFault, FrameReader } from "../../src/wire/frame.ts";
import { Asker } from "./asker.ts";
import { PATIENCE, silentLog } from "./support.ts";

export interface DiskOptions {
  sync?: SyncMode;
  /** Bytes that the log may have. */
  limit?: number;
  segmentSize?: number;
  /** Take messages by TCP, too. */
  tcp?: boolean;
}

/** What was read, in order. */
export interface Read {
  number: number;
  value: string;
  again: boolean;
}

export class DiskHarness {
  readonly directory: string;
  readonly path: string;
  readonly messages: Read[] = [];
  readonly queue: DiskQueue;
  readonly receipts: Receipts;
  readonly ingest: Promise<Ingest>;
  reading = true;
  lost = 0;
  fullTold = 0;
  readonly #askers: Asker[] = [];

  constructor(directory: string, options: DiskOptions = {}) {
    const { sync = "never", limit = 1 << 28, segmentSize = 1 << 18, tcp = false } = options;
    this.directory = directory;
    this.path = join(directory, "s.sock");
    const paths = directoryPaths(directory);
    for (const each of [paths.log, paths.held, paths.journal, paths.quarantine]) nodeFiles.makeDirectory(each);
    const found = recover(nodeFiles, directory, { machineId: "0", repair: true });
    this.queue = new DiskQueue({
      files: nodeFiles,
      directory: paths.log,
      start: { ...found.log, directoryId: found.directoryId, reserved: 2 ** 40 },
      capacity: 1 << 22,
      segmentSize,
      largestBlock: largestBlock(limit),
      limit,
      sync,
      onLost: ({ from, to }) => {
        this.lost += to - from;
      },
      onDamage: () => {},
      onState: () => {},
      onSyncFailure: () => {},
      onReadFailure: () => {},
      onFull: () => {},
    });
    this.receipts = new Receipts({ sessions: found.sessions, next: () => this.queue.readPosition.number });
    this.queue.watch(this.receipts);
    this.queue.onReadable(() => this.read());
    const { input } = defaultSettings();
    input.datagram.enabled = false;
    input.stream.path = this.path;
    input.tcp.enabled = tcp;
    input.tcp.listen = { host: "127.0.0.1", port: 0 };
    this.ingest = startIngest({
      input,
      maxRecord: 1_000_000,
      queue: this.queue,
      log: silentLog,
      receipts: { tracker: this.receipts, acknowledged: true, syncAlways: sync === "always" },
      onFull: () => this.fullTold++,
      onReport: () => {},
      onFailure: (failure) => {
        throw new Error(failure.message);
      },
    });
    this.read();
  }

  async client(): Promise<Asker> {
    await this.ingest;
    const asker = await Asker.open(this.path);
    this.#askers.push(asker);
    return asker;
  }

  read(): void {
    const reader = new FrameReader();
    while (this.reading) {
      const block = this.queue.read();
      if (block === undefined) return;
      let number = block.firstNumber;
      for (let at = block.start; at < block.end; at += reader.size, number++) {
        if (reader.read(block.bytes, at, block.end) !== FrameFault.Ok) throw new Error("a bad frame is in the queue");
        if (block.skip?.has(number) === true) continue;
        const value = block.bytes.toString("latin1", reader.valueStart, reader.valueEnd);
        this.messages.push({ number, value, again: block.again });
      }
      this.queue.release();
    }
  }

  settle(numbers: number[], how: SettledHow = "delivered"): void {
    const ended = new MessageNumbers();
    for (const number of numbers) ended.append(number);
    this.queue.settle(ended, how);
  }

  get values(): string[] {
    return this.messages.map(({ value }) => value);
  }

  /** What the disk has at this moment, as a crash of the process would leave it, in a directory of its own. */
  crashed(): string {
    const copy = newDirectory();
    cpSync(join(this.directory, "log"), join(copy, "log"), { recursive: true });
    return copy;
  }

  async stop(): Promise<void> {
    for (const asker of this.#askers) asker.close();
    this.reading = true;
    const ingest = await this.ingest;
    const stopped = ingest.stop(PATIENCE);
    this.read();
    await stopped;
    ingest.flushed();
    await ingest.closed;
    await this.queue.stop();
    this.receipts.stop();
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "bruce-"));
  mkdirSync(join(directory, "log"), { recursive: true });
  return directory;
}
