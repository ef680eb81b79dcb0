// An application that asks for receipts: it knows of each message whether bruce said that it is safe.
import { connect, type Socket } from "node:net";
import { encodePartitionKey } from "../../src/wire/frame.ts";
import { encodeSync, readReply, SYNC_REPLY_SIZE, SyncLevel } from "../../src/wire/receipts.ts";

/** Partition keys that a writer uses: within each, the order of its messages must be kept. */
export const LANES = 8;

/** Messages between two receipts. */
const BURST = 50;
/** How long a writer waits until it looks for bruce again, ms. */
const RETRY = 20;

export interface Written {
  name: string;
  topic: string;
  /** Messages given to the socket: 0 up to this one, without gaps. */
  sent: number;
  /** Of these, the messages that a receipt came for. */
  confirmed: ReadonlySet<number>;
}

export interface Writer {
  readonly written: Written;
  /** Resolves when that many more messages were confirmed. */
  confirmed(more: number): Promise<void>;
  /** Writes nothing more; resolves when the receipt for the last message came. */
  stop(): Promise<void>;
}

/** The value of message `index`: what `idOf` reads again. */
export function textOf(name: string, index: number, size: number): Buffer {
  return Buffer.from(`${name} ${index} `.padEnd(size, "."));
}

/** The name of the writer and the index of the message. */
export function idOf(value: Buffer): { name: string; index: number } {
  const [name = "", index = ""] = value.toString("latin1", 0, 64).split(" ");
  return { name, index: Number(index) };
}

/**
 * Writes to the stream socket at `path` until it is stopped, at most `rate` messages a second. When the connection breaks it
 * goes on with new messages on another one: those without a receipt may or may not have been taken, but not twice.
 */
export function startWriter(name: string, topic: string, path: string, rate: number, size = 100): Writer {
  const confirmed = new Set<number>();
  const written: Written = { name, topic, sent: 0, confirmed };
  const waiting: { count: number; resolve: () => void }[] = [];
  let going = true;

  const note = (from: number, to: number) => {
    for (let index = from; index < to; index++) confirmed.add(index);
    for (const each of waiting.splice(0)) {
      if (confirmed.size >= each.count) each.resolve();
      else waiting.push(each);
    }
  };
  const run = async () => {
    let last = false;
    while (!last) {
      const socket = await dial(path);
      last = await converse(socket, () => going, {
        rate,
        written,
        note,
        frame: (index) => frameOf(name, topic, index, size),
      });
      socket.destroy();
    }
  };
  const ended = run();
  return {
    written,
    confirmed: (more) => new Promise((resolve) => waiting.push({ count: confirmed.size + more, resolve })),
    async stop() {
      going = false;
      await ended;
    },
  };
}

function frameOf(name: string, topic: string, index: number, size: number): Buffer {
  const value = textOf(name, index, size);
  return encodePartitionKey({
    topic,
    timestamp: Date.now(),
    key: new Uint8Array(),
    value,
    partitionKey: index % LANES,
  });
}

interface Talk {
  rate: number;
  written: { sent: number };
  note: (from: number, to: number) => void;
  frame: (index: number) => Buffer;
}

/** True when all was confirmed and nothing more is to be written; false when the connection broke. */
async function converse(socket: Socket, going: () => boolean, talk: Talk): Promise<boolean> {
  const { written, note, frame, rate } = talk;
  const replies = listen(socket);
  let begin = written.sent;
  const began = performance.now();
  let sentHere = 0;
  for (;;) {
    const frames: Buffer[] = [];
    for (let count = 0; count < BURST; count++) frames.push(frame(written.sent++));
    sentHere += BURST;
    frames.push(encodeSync(SyncLevel.Spooled, written.sent));
    if (!(await write(socket, Buffer.concat(frames)))) return false;
    const token = await replies.next();
    if (token === undefined) return false;
    if (token !== written.sent) throw new Error(`the receipt says ${token} where ${written.sent} was asked`);
    note(begin, written.sent);
    begin = written.sent;
    if (!going()) return true;
    const early = (sentHere / rate) * 1000 - (performance.now() - began);
    if (early > 0) await Bun.sleep(early); // the pace
  }
}

/** The tokens of the receipts as they come; undefined when the connection is over. */
function listen(socket: Socket): { next(): Promise<number | undefined> } {
  const tokens: (number | undefined)[] = [];
  let wake: (() => void) | undefined;
  let rest: Buffer = Buffer.alloc(0);
  const push = (token: number | undefined) => {
    tokens.push(token);
    wake?.();
  };
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= SYNC_REPLY_SIZE; rest = rest.subarray(SYNC_REPLY_SIZE)) {
      const reply = readReply(rest, 0, rest.length);
      if (typeof reply === "string" || reply.kind !== "sync") throw new Error("bruce answered something else");
      // "stopping first" is no receipt.
      push(reply.status === 0 ? Number(reply.token) : undefined);
    }
  });
  socket.on("close", () => push(undefined));
  return {
    async next() {
      while (tokens.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return tokens.shift();
    },
  };
}

function write(socket: Socket, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const closed = () => resolve(false);
    socket.once("close", closed);
    socket.write(bytes, (error) => {
      socket.off("close", closed);
      resolve(!error);
    });
  });
}

async function dial(path: string): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    const there = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.on("error", () => {}); // "close" follows
    if (there) return socket;
    socket.destroy();
    await Bun.sleep(RETRY);
  }
}
