// A client that sends bytes and waits for bytes: what goes over the wire stands in the tests themselves.
import type { Socket } from "bun";

export interface RawClient {
  /** Sends a request of these parts; its size goes in front. */
  send(...parts: (string | Uint8Array)[]): void;
  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array): void;
  /** The next whole response without its size field. Rejects when the connection ends before. */
  receive(): Promise<Buffer>;
  /** Resolves with all bytes that came and were not received, when the server has closed. */
  closed: Promise<Buffer>;
  close(): void;
}

/** Hexadecimal with blanks where they help to read, and text in quotes: `0003 "abc" ffff`. */
export function bytes(text: string): Buffer {
  const pieces = text.match(/"[^"]*"|[0-9a-f]+/g) ?? [];
  return Buffer.concat(
    pieces.map((piece) => (piece.startsWith('"') ? Buffer.from(piece.slice(1, -1)) : Buffer.from(piece, "hex"))),
  );
}

/** A request: its size, then its parts. Strings are read by `bytes`. */
export function framed(...parts: (string | Uint8Array)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? bytes(part) : part)));
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

export async function connectRaw({ host, port }: { host: string; port: number }): Promise<RawClient> {
  let received: Buffer = Buffer.alloc(0);
  let out: Buffer = Buffer.alloc(0);
  let ended = false;
  const closed = Promise.withResolvers<Buffer>();
  const waiting: PromiseWithResolvers<Buffer>[] = [];

  function deliver(): void {
    while (waiting.length > 0 && received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
      const end = 4 + received.readInt32BE(0);
      waiting.shift()?.resolve(received.subarray(4, end));
      received = received.subarray(end);
    }
  }

  function end(): void {
    if (ended) return;
    ended = true;
    closed.resolve(received);
    for (const one of waiting.splice(0)) one.reject(new Error("the server closed the connection"));
  }

  function flush(socket: Socket<unknown>): void {
    out = out.subarray(Math.max(0, socket.write(out)));
  }

  const socket = await Bun.connect({
    hostname: host,
    port,
    socket: {
      data: (_socket, chunk) => {
        received = Buffer.concat([received, chunk]);
        deliver();
      },
      drain: flush,
      close: end,
      end,
    },
  });

  function sendRaw(more: Uint8Array): void {
    out = Buffer.concat([out, more]);
    flush(socket);
  }

  return {
    send: (...parts) => sendRaw(framed(...parts)),
    sendRaw,
    receive: () => {
      const one = Promise.withResolvers<Buffer>();
      waiting.push(one);
      deliver();
      if (ended) one.reject(new Error("the server closed the connection"));
      return one.promise;
    },
    closed: closed.promise,
    close: () => {
      socket.terminate();
    },
  };
}
