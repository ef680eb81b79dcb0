// What the tests of the inputs share: settings, a running input thread, a reader of its queue, clients.
import { dlopen, FFIType } from "bun:ffi";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultSettings, type Settings } from "../../src/config/settings.ts";
import { type Ingest, type IngestOptions, startIngest } from "../../src/ingest/ingest.ts";
import { AF_UNIX, EINTR, Memory, openLibc, SOCK_CLOEXEC, SOCK_DGRAM } from "../../src/ingest/libc.ts";
import type { IngestReport, InputDiscard } from "../../src/ingest/report.ts";
import { writeUnixAddress } from "../../src/ingest/socketAddress.ts";
import type { Log } from "../../src/observe/log.ts";
import { MemoryQueue } from "../../src/spool/memoryQueue.ts";
import { encodeAnyPartition, FrameFault, FrameReader } from "../../src/wire/frame.ts";

/** More than any stop takes here, in milliseconds. */
export const PATIENCE = 60_000;

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
  reopen: () => {},
  setLevel: () => {},
  prepare: () => ({ use() {}, drop() {} }),
};

export function frame(value: string | Buffer, topic = "orders"): Buffer {
  return encodeAnyPartition({ topic, timestamp: 1, key: Buffer.alloc(0), value: Buffer.from(value) });
}

export interface Received {
  topic: string;
  value: string;
  number: number;
  source: number;
}

/** An input thread with a directory of its own, whose queue is read as messages come. */
export class Harness {
  readonly directory = mkdtempSync(join(tmpdir(), "bruce-"));
  readonly messages: Received[] = [];
  readonly discards: InputDiscard[] = [];
  readonly uncleanSamples: IngestReport["uncleanSamples"] = [];
  readonly queue: MemoryQueue;
  readonly input: Settings["input"];
  reading = true;
  #ingest: Ingest | undefined;

  constructor(capacity = 1 << 22) {
    this.queue = new MemoryQueue(capacity);
    this.input = defaultSettings().input;
    this.input.datagram.path = join(this.directory, "d.sock");
    this.input.stream.path = join(this.directory, "s.sock");
    this.input.tcp.listen.port = 0;
  }

  async start(options: Partial<IngestOptions> = {}): Promise<Ingest> {
    this.queue.onReadable(() => this.read());
    this.#ingest = await startIngest({
      input: this.input,
      maxRecord: 1_000_000,
      queue: this.queue,
      log: silentLog,
      onReport: (report) => {
        this.discards.push(...report.discards);
        this.uncleanSamples.push(...report.uncleanSamples);
      },
      onFailure: (failure) => {
        throw new Error(failure.message);
      },
      ...options,
    });
    this.read();
    return this.#ingest;
  }

  /** Takes what is in the queue. */
  read(): void {
    if (!this.reading) return;
    const reader = new FrameReader();
    for (let block = this.queue.read(); block !== undefined; block = this.queue.read()) {
      let number = block.firstNumber;
      for (let at = block.start; at < block.end; at += reader.size) {
        if (reader.read(block.bytes, at, block.end) !== FrameFault.Ok) throw new Error("a bad frame is in the queue");
        this.messages.push({
          topic: block.bytes.toString("latin1", reader.topicStart, reader.topicEnd),
          value: block.bytes.toString("latin1", reader.valueStart, reader.valueEnd),
          number: number++,
          source: block.source,
        });
      }
      if (number - block.firstNumber !== block.count) throw new Error("a block has another count than frames");
      this.queue.release();
    }
  }

  get values(): string[] {
    return this.messages.map(({ value }) => value);
  }

  /** How many were discarded for a reason. */
  discarded(reason: InputDiscard["reason"]): number {
    return this.discards.reduce((sum, entry) => sum + (entry.reason === reason ? entry.count : 0), 0);
  }

  /** Resolves when it holds. What the input thread counts it counts without a word, perhaps after the message was read. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await Bun.sleep(1);
  }

  get counters(): IngestReport["counters"] {
    return this.#ingest?.counters() ?? {};
  }

  /** Received = in the queue + discarded, after the last report. */
  get balanced(): boolean {
    const received = Object.values(this.counters).reduce((sum, { messages }) => sum + messages, 0);
    const discarded = this.discards.reduce((sum, { count }) => sum + count, 0);
    return received === this.queue.written + discarded;
  }

  async stop(): Promise<void> {
    this.reading = true;
    this.read();
    await this.#ingest?.stop(PATIENCE);
    this.read();
    this.#ingest?.flushed();
    await this.#ingest?.closed;
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Connects to a UNIX stream socket (a path) or a TCP one. */
export function client(where: string | { host: string; port: number }): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = typeof where === "string" ? connect(where) : connect(where.port, where.host);
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Writes, and resolves when the kernel has all of it. */
export function write(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())));
}

const { symbols } = dlopen("libc.so.6", {
  send: { args: [FFIType.i32, FFIType.u64_fast, FFIType.u64_fast, FFIType.i32], returns: FFIType.i32 },
});

/** A client of the datagram socket. */
export class DatagramClient {
  readonly #libc;
  readonly #memory = new Memory(1 << 20);
  readonly #fd: number;
  readonly #at: number;

  constructor(path: string) {
    const opened = openLibc();
    if ("failure" in opened) throw new Error(opened.failure.message);
    this.#libc = opened.libc;
    this.#at = this.#memory.allocate(900_000);
    this.#fd = this.#libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const length = writeUnixAddress(this.#memory.bytes, this.#at, path);
    if (this.#libc.connect(this.#fd, this.#memory.address(this.#at), length) !== 0) {
      throw new Error(`connect: ${this.#libc.errno()}`);
    }
  }

  /** Sends one datagram; waits while the socket is full. Answers errno, 0 when it was sent. */
  send(bytes: Buffer): number {
    bytes.copy(this.#memory.bytes, this.#at);
    for (;;) {
      const sent = symbols.send(this.#fd, this.#memory.address(this.#at), bytes.length, 0x4000 /* MSG_NOSIGNAL */);
      if (sent === bytes.length) return 0;
      const errno = this.#libc.errno();
      if (errno !== EINTR) return errno; // the engine's own signals may interrupt the wait
    }
  }

  /** Sends without waiting. */
  trySend(bytes: Buffer): number {
    bytes.copy(this.#memory.bytes, this.#at);
    const sent = symbols.send(this.#fd, this.#memory.address(this.#at), bytes.length, 0x4040);
    return sent === bytes.length ? 0 : this.#libc.errno();
  }

  close(): void {
    this.#libc.close(this.#fd);
  }
}
