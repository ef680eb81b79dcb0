// Clients of the sockets as applications have them: datagrams, a UNIX stream, TCP. Not made of bruce's own client code.
import { dlopen, ptr } from "bun:ffi";
import { connect, type Socket } from "node:net";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const ADDRESS_SIZE = 110;

/** Sends datagrams that wait for room, as a blocking socket does. */
export interface DatagramClient {
  /** Throws when the kernel does not take it. */
  send(frame: Uint8Array): void;
  close(): void;
}

export function openDatagramClient(path: string): DatagramClient {
  const { symbols } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    send: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const memory = Buffer.from(new ArrayBuffer(1 << 20));
  const address = ptr(memory);
  const fd = symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  memory.writeUInt16LE(AF_UNIX, 0);
  memory.write(`${path}\0`, 2);
  if (symbols.connect(fd, address, ADDRESS_SIZE) !== 0) {
    symbols.close(fd);
    throw new Error(`cannot connect to ${path}`);
  }
  return {
    send(frame) {
      memory.set(frame);
      const sent = Number(symbols.send(fd, address, frame.length, 0));
      if (sent !== frame.length) throw new Error(`a datagram of ${frame.length} bytes was not taken`);
    },
    close: () => void symbols.close(fd),
  };
}

/** Writes to a stream socket, waiting for room. */
export interface StreamClient {
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the stream as a client does that has nothing more; resolves when it is closed. */
  end(): Promise<void>;
  /** Gone without a word. */
  destroy(): void;
  readonly closed: Promise<void>;
}

export async function openStreamClient(to: string | { host: string; port: number }): Promise<StreamClient> {
  const socket: Socket = typeof to === "string" ? connect(to) : connect(to.port, to.host);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve()))),
    end: async () => {
      socket.end();
      await closed;
    },
    destroy: () => void socket.destroy(),
    closed,
  };
}
