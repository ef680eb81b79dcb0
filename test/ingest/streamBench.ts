// The stream input in the test's own thread, a step at a time, with a queue that does as it is told.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WhenFull } from "../../src/config/settings.ts";
import { Acceptor } from "../../src/ingest/acceptor.ts";
import { Connections } from "../../src/ingest/connections.ts";
import { controlWords, createControl, SharedCounters } from "../../src/ingest/control.ts";
import { DiscardTally } from "../../src/ingest/discardTally.ts";
import { Intake } from "../../src/ingest/intake.ts";
import { EAGAIN, type Libc, Memory, openLibc, POLLIN } from "../../src/ingest/libc.ts";
import { openUnix, STREAM } from "../../src/ingest/listeners.ts";
import { PollSet } from "../../src/ingest/pollSet.ts";
import { Reporter } from "../../src/ingest/reporter.ts";
import { TURN_BYTES } from "../../src/ingest/shell.ts";
import { removeSocketFile } from "../../src/ingest/socketFile.ts";
import { REPLY_BYTES } from "../../src/ingest/syncs.ts";
import type { QueueState, QueueWriter, SessionMark } from "../../src/spool/queue.ts";
import { ReceiptAsker } from "../../src/spool/receiptMemory.ts";
import { Receipts } from "../../src/spool/receipts.ts";
import type { KnownSession } from "../../src/spool/sessions.ts";
import { readInt32 } from "../../src/wire/frame.ts";
import { Asker } from "./asker.ts";

export interface Appended {
  source: number;
  firstNumber: number;
  values: string[];
  session: string | undefined;
  /** Of the session, before the block. */
  position: number;
}

/** Has room for `room` bytes more, and is what it is said to be. */
class ToldQueue implements QueueWriter {
  largest = 1 << 20;
  lastNumber = 0;
  synced = 0;
  aloneTo = 0;
  state: QueueState = "disk";
  room = Number.POSITIVE_INFINITY;
  /** The last of these messages that cannot be made safe; 0: all can. */
  refusedSync: (from: number, to: number) => number = () => 0;
  syncsWanted = 0;
  readonly blocks: Appended[] = [];

  append(
    source: number,
    _at: number,
    bytes: Buffer,
    start: number,
    end: number,
    count: number,
    session?: SessionMark,
  ): number {
    if (end - start > this.room) return 0;
    this.room -= end - start;
    const values: string[] = [];
    for (let at = start; at < end; at += readInt32(bytes, at)) {
      const keyEnd = at + 12 + bytes.readInt16BE(at + 10) + 12;
      values.push(bytes.toString("latin1", keyEnd + 4, at + readInt32(bytes, at)));
    }
    if (values.length !== count) throw new Error("a block has another count than frames");
    const { idHex, position = 0 } = session ?? {};
    this.blocks.push({ source, firstNumber: this.lastNumber + 1, values, session: idHex, position });
    this.lastNumber += count;
    return this.lastNumber - count + 1;
  }

  syncSoon(): void {
    this.syncsWanted++;
  }

  tend(): void {}

  gather(): boolean {
    return false;
  }

  gathered(): void {}
}

export interface BenchOptions {
  whenFull?: WhenFull;
  syncAlways?: boolean;
  acknowledged?: boolean;
  sessions?: KnownSession[];
  connections?: number;
  maxMessage?: number;
  /** Whether the system takes nothing of what is sent next, although poll will say that it does. */
  refuses?: () => boolean;
}

export class StreamBench {
  readonly directory = mkdtempSync(join(tmpdir(), "bruce-"));
  readonly path = join(this.directory, "s.sock");
  readonly queue = new ToldQueue();
  readonly receipts: Receipts;
  readonly connections: Connections;
  readonly intake: Intake;
  readonly discards = new DiscardTally();
  readonly warnings: string[] = [];
  fullTold = 0;
  /** The number that the reader takes next; messages are taken by `take`. */
  next = 1;
  readonly #askers: Asker[] = [];
  readonly #close: () => void;
  readonly #step: () => void;
  readonly #turn: () => boolean;
  #taken = 0;
  readonly #keys = new Map<number, number>();

  constructor(options: BenchOptions = {}) {
    const { connections = 64, sessions = [], maxMessage = 100_000 } = options;
    const opened = openLibc();
    if ("failure" in opened) throw new Error(opened.failure.message);
    const libc = refusing(opened.libc, options.refuses);
    const memory = new Memory(TURN_BYTES * 2 + REPLY_BYTES + 1_000_000);
    const shell = { libc, memory, warn: (message: string) => void this.warnings.push(message) };
    const file = { path: this.path, mode: 0o600, maxMessage, whenFull: "block" as const, makeDirectory: false };
    const listener = openUnix(libc, memory, STREAM, file);
    if ("failure" in listener) throw new Error(listener.failure.message);
    const { fd } = listener.opened;
    const poll = new PollSet(memory, connections + 1);
    const control = createControl();
    const reporter = new Reporter(controlWords(control), this.discards, () => {});
    this.receipts = new Receipts({ connections, sessions, next: () => this.next });
    this.receipts.onAnswer(() => {});
    const asker = new ReceiptAsker(this.receipts.memory, () => {});
    this.intake = new Intake({
      kind: "stream",
      whenFull: options.whenFull ?? "block",
      queue: this.queue,
      discards: this.discards,
      counters: new SharedCounters(control, "stream"),
      wallClock: Date.now,
      onFull: () => this.fullTold++,
    });
    this.connections = new Connections(
      shell,
      poll,
      1,
      { connections, partials: 1 << 24, turn: 30_000, farewell: 0 },
      reporter,
      {
        ...{ shell, queue: this.queue, asker, phase: "running" },
        acknowledged: options.acknowledged ?? true,
        syncAlways: options.syncAlways ?? false,
        out: memory.allocate(REPLY_BYTES),
      },
      sessions,
    );
    const acceptor = new Acceptor(shell, fd, listener.opened.file, this.intake);
    const limits = { maxMessage, maxPayload: 50_000 };
    poll.watch(0, fd, POLLIN);
    this.#step = () => {
      const now = performance.now();
      libc.poll(memory.address(poll.offset), this.connections.count + 1, 0);
      this.receipts.wake();
      this.connections.answer(now);
      this.connections.read(now);
      acceptor.accept(this.connections.room, now, (socket) => this.connections.add(socket, this.intake, limits));
      this.connections.turn(now);
    };
    this.#turn = () => {
      const now = performance.now();
      const ready = libc.poll(memory.address(poll.offset), this.connections.count + 1, 0);
      if (ready === 0 && this.connections.timeLeft(now) !== 0) return false;
      if (ready > 0) this.connections.read(now);
      this.connections.turn(now);
      return true;
    };
    this.#close = () => {
      this.connections.closeAll(0);
      removeSocketFile(listener.opened.file);
      libc.close(fd);
    };
  }

  async client(): Promise<Asker> {
    const { accepted } = this.intake.counters;
    const asker = await Asker.open(this.path);
    this.#askers.push(asker);
    await this.until(() => this.intake.counters.accepted > accepted);
    return asker;
  }

  /** Serves the sockets until it holds. */
  async until(holds: () => boolean): Promise<void> {
    for (let steps = 0; !holds(); steps++) {
      this.#step();
      await Bun.sleep(steps < 50 ? 0 : 1);
    }
  }

  /** Serves them until nothing more is on its way. */
  async settle(): Promise<void> {
    for (let steps = 0; steps < 30; steps++) {
      this.#step();
      await Bun.sleep(0);
    }
  }

  /** Serves them only when poll or a timeout says so, until for a while neither does. */
  async serveAsTold(): Promise<void> {
    for (let idle = 0; idle < 30; idle++) {
      while (this.#turn()) idle = 0;
      await Bun.sleep(1);
    }
  }

  /** The queue has room for `bytes` more. */
  makeRoom(bytes = Number.POSITIVE_INFINITY): void {
    this.queue.room = bytes;
    this.intake.retry();
    this.connections.refresh();
  }

  /** All that is in the queue is taken. */
  take(): void {
    for (const block of this.queue.blocks.slice(this.#taken)) {
      const { source, firstNumber, values, session, position } = block;
      this.next = firstNumber + values.length;
      const key = this.receipts.accountOf(source, session === undefined ? undefined : Buffer.from(session, "hex"));
      for (let number = firstNumber; number < this.next; number++) this.#keys.set(number, key);
      const endsAt = session === undefined ? 0 : position + values.length;
      if (key !== 0) this.receipts.onTaken(key, firstNumber, values.length, endsAt);
    }
    this.#taken = this.queue.blocks.length;
  }

  end(number: number, how: "delivered" | "discarded" = "delivered"): void {
    const key = this.#keys.get(number) ?? 0;
    if (key !== 0) this.receipts.onSettled(key, number, 1, how);
  }

  get values(): string[] {
    return this.queue.blocks.flatMap(({ values }) => values);
  }

  stop(): void {
    for (const asker of this.#askers) asker.close();
    this.#close();
    this.receipts.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function refusing(libc: Libc, refuses: () => boolean = () => false): Libc {
  let refused = false;
  return {
    ...libc,
    send: ((...sent: Parameters<Libc["send"]>) => {
      refused = refuses();
      return refused ? -1 : libc.send(...sent);
    }) as Libc["send"],
    errno: () => (refused ? EAGAIN : libc.errno()),
  };
}
