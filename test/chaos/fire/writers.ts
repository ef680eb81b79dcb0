// Applications under whose load things break: many messages a second over a stream, with receipts, and as datagrams.
import { connect, type Socket } from "node:net";
import { encodeSync, readReply, SYNC_REPLY_SIZE, SyncLevel } from "../../../src/wire/receipts.ts";
import { type DatagramClient, openDatagramClient } from "../../support/clients.ts";
import { BLOCK, FrameBlock, type Source } from "./messages.ts";
import { Ranges } from "./ranges.ts";

export interface Written extends Source {
  /** Messages given to the socket: 0 up to this one, without gaps. */
  sent: number;
  /** Of these, the messages that a receipt "spooled" came for. Datagrams have none. */
  confirmed: Ranges;
}

export interface FireWriter {
  readonly written: Written;
  /** Writes nothing more; resolves when the receipt for the last message came. */
  stop(): Promise<void>;
}

/** Between two bursts, ms. */
const TICK = 10;
/** How long a writer waits until it looks for bruce again, ms. */
const RETRY = 20;
/** What a writer that was kept from writing makes up for, in seconds of its rate; the rest it forgets. */
const CATCH_UP = 0.25;

/** How many messages are due, at a steady rate. */
class Pace {
  readonly #rate: number;
  #since = performance.now();
  #given = 0;

  constructor(rate: number) {
    this.#rate = rate;
  }

  due(): number {
    const elapsed = ((performance.now() - this.#since) * this.#rate) / 1000;
    const missed = Math.floor(elapsed) - this.#given;
    const due = Math.min(missed, Math.ceil(this.#rate * CATCH_UP));
    this.#given += missed;
    return due;
  }
}

/** Writes to the stream socket at `path`; when the connection breaks it goes on with new messages on another one. */
export function startStream(source: Source, path: string, rate: number): FireWriter {
  const written: Written = { ...source, sent: 0, confirmed: new Ranges() };
  const block = new FrameBlock(source);
  let going = true;
  const ended = (async () => {
    const pace = new Pace(rate);
    while (going) {
      const socket = await dial(path, () => going);
      if (socket === undefined) return;
      const receipts = listen(socket, written);
      pace.due(); // what was due meanwhile nobody took
      while (going && receipts.open) {
        if (!(await writeDue(socket, pace.due(), written, block))) break;
        await Bun.sleep(TICK); // the pace
      }
      await receipts.all(written.sent);
      socket.destroy();
    }
  })();
  return {
    written,
    async stop() {
      going = false;
      await ended;
    },
  };
}

/** False when the connection broke. */
async function writeDue(socket: Socket, due: number, written: Written, block: FrameBlock): Promise<boolean> {
  for (let left = due; left > 0; ) {
    const count = Math.min(left, BLOCK);
    const frames = block.fill(written.sent, count, Date.now());
    written.sent += count;
    left -= count;
    const last = left === 0 ? encodeSync(SyncLevel.Spooled, written.sent) : Buffer.alloc(0);
    if (!(await write(socket, Buffer.concat([frames, last])))) return false;
  }
  return true;
}

/** Notes the receipts as they come. */
function listen(socket: Socket, written: Written) {
  let from = written.sent;
  let open = true;
  let rest: Buffer = Buffer.alloc(0);
  let wake: (() => void) | undefined;
  const over = () => {
    open = false;
    wake?.();
  };
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (; rest.length >= SYNC_REPLY_SIZE; rest = rest.subarray(SYNC_REPLY_SIZE)) {
      const reply = readReply(rest, 0, rest.length);
      if (typeof reply === "string" || reply.kind !== "sync") throw new Error("bruce answered something else");
      if (reply.status !== 0) continue; // "stopping first" is no receipt
      written.confirmed.add(from, Number(reply.token));
      from = Number(reply.token);
    }
    wake?.();
  });
  socket.on("close", over);
  if (socket.destroyed) over();
  return {
    get open() {
      return open;
    },
    /** Resolves when the receipts for all up to `count` have come, or will not. */
    async all(count: number) {
      while (open && from < count) await new Promise<void>((resolve) => (wake = resolve));
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

async function dial(path: string, going: () => boolean): Promise<Socket | undefined> {
  while (going()) {
    const socket = connect(path);
    const there = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.on("error", () => {}); // "close" follows
    if (there) return socket;
    socket.destroy();
    await Bun.sleep(RETRY);
  }
  return undefined;
}

/** Writes datagrams to the socket at `path`, and asks nothing: what it sent may be lost with the socket. */
export function startDatagrams(source: Source, path: string, rate: number): FireWriter {
  const written: Written = { ...source, sent: 0, confirmed: new Ranges() };
  const block = new FrameBlock(source);
  let client: DatagramClient | undefined;
  let going = true;
  const send = (due: number) => {
    try {
      client ??= openDatagramClient(path);
      for (let left = due; left > 0; ) {
        const count = Math.min(left, BLOCK);
        block.fill(written.sent, count, Date.now());
        for (let slot = 0; slot < count; slot++) {
          // Counted first: the kernel may have taken one that it then complained about.
          written.sent++;
          client.send(block.at(slot));
        }
        left -= count;
      }
    } catch {
      // bruce is not there: the next one goes to the next socket.
      client?.close();
      client = undefined;
    }
  };
  const ended = (async () => {
    const pace = new Pace(rate);
    while (going) {
      send(pace.due());
      await Bun.sleep(TICK); // the pace
    }
    client?.close();
  })();
  return {
    written,
    async stop() {
      going = false;
      await ended;
    },
  };
}
