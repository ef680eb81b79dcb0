// One connection to a daemon, without blocking: its writes say exactly how many bytes the kernel took.
import { type Pointer, ptr } from "bun:ffi";
import { errno, lastErrno, libc } from "./libc.ts";
import { POLLIN, POLLOUT, ready, waitFor } from "./poll.ts";

/** Where the daemon listens. `address` is numeric. */
export type Endpoint = { kind: "unix"; path: string } | { kind: "tcp"; address: string; family: 4 | 6; port: number };

/** What the reading side of a connection says: "eof" also when the daemon is gone, "reset" when it left bytes unread. */
export type Ending = "open" | "eof" | "reset";

/** The longest path of a UNIX socket, in bytes (sockaddr_un has 108, one for the zero at its end). */
export const MAX_SOCKET_PATH = 107;

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SHUT_WR = 1;
/** Bytes that the other side has not read (UNIX), or that have not reached its machine (TCP). */
const SIOCOUTQ = 0x5411;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

// Memory for arguments: one long-lived block, since the collector may move small ones.
const memory = Buffer.from(new ArrayBuffer(64 * 1024));
const ADDRESS_AT = 0;
const OPTION_AT = 256;
const LENGTH_AT = 264;
const SCRATCH_AT = 1024;
const SCRATCH_SIZE = 4096;
const base = ptr(memory);
const at = (offset: number): Pointer => (base + offset) as Pointer;

/** Asked of the kernel for what is on its way; it gives what `net.core.wmem_max` allows. */
const SEND_BUFFER = 1024 * 1024;

/** An open socket, which may still be connecting (TCP). Every method that fails answers a negative error number. */
export class StreamSocket {
  readonly fd: number;
  readonly kind: Endpoint["kind"];
  /** Is given what the daemon writes, valid during the call. */
  onBytes: (bytes: Buffer, start: number, end: number) => void = () => {};

  private constructor(fd: number, kind: Endpoint["kind"]) {
    this.fd = fd;
    this.kind = kind;
  }

  /** Begins to connect: a socket, or a negative error number. A UNIX socket is connected then. */
  static open(endpoint: Endpoint): StreamSocket | number {
    const length = writeAddress(endpoint);
    const fd = libc().socket(memory.readUInt16LE(ADDRESS_AT), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -lastErrno();
    const socket = new StreamSocket(fd, endpoint.kind);
    socket.#setOption(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
    if (endpoint.kind === "tcp") socket.#setOption(IPPROTO_TCP, TCP_NODELAY, 1);
    if (libc().connect(fd, at(ADDRESS_AT), length) < 0) {
      const error = lastErrno();
      if (error !== errno.EINPROGRESS) {
        socket.close();
        return -error;
      }
    }
    return socket;
  }

  /** Whether the connection stands: 1 yes, 0 not yet after `timeout` ms, or a negative error number. */
  connected(timeout: number): number {
    waitFor(-1, this.fd, POLLOUT, timeout);
    if (ready.socket === 0) return 0;
    const error = this.#error();
    return error === 0 ? 1 : -error;
  }

  /**
   * Hands bytes[start, end) to the kernel: how many it took (every one of them counts as sent, none beyond), or a
   * negative error number. An empty range asks a UNIX socket whether the daemon still takes anything.
   */
  send(bytes: Buffer, start: number, end: number): number {
    const from = (ptr(bytes) + start) as Pointer;
    for (;;) {
      const count = libc().send(this.fd, from, end - start, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count >= 0) return count;
      const error = lastErrno();
      if (error !== errno.EINTR) return -error;
    }
  }

  /** How the reading side stands, when all that is there was read. */
  ending(): Ending {
    for (;;) {
      const count = libc().recv(this.fd, at(SCRATCH_AT), SCRATCH_SIZE, MSG_DONTWAIT);
      if (count > 0) {
        this.onBytes(memory, SCRATCH_AT, SCRATCH_AT + count);
        continue;
      }
      if (count === 0) return "eof";
      const error = lastErrno();
      if (error === errno.EAGAIN) return "open";
      if (error !== errno.EINTR) return "reset";
    }
  }

  /** Whether the daemon has read everything that was sent. Over TCP nobody knows: yes. */
  allRead(): boolean {
    if (this.kind === "tcp") return true;
    memory.writeInt32LE(0, OPTION_AT);
    return libc().ioctl(this.fd, SIOCOUTQ, at(OPTION_AT)) === 0 && memory.readInt32LE(OPTION_AT) === 0;
  }

  /** Waits at most `timeout` ms for the reading side to end. */
  awaitEnding(timeout: number): Ending {
    waitFor(-1, this.fd, POLLIN, timeout);
    return this.ending();
  }

  /** Says that nothing more comes. */
  endWriting(): void {
    libc().shutdown(this.fd, SHUT_WR);
  }

  close(): void {
    libc().close(this.fd);
  }

  #setOption(level: number, option: number, value: number): void {
    memory.writeInt32LE(value, OPTION_AT);
    libc().setsockopt(this.fd, level, option, at(OPTION_AT), 4);
  }

  #error(): number {
    memory.writeInt32LE(0, OPTION_AT);
    memory.writeInt32LE(4, LENGTH_AT);
    libc().getsockopt(this.fd, SOL_SOCKET, SO_ERROR, at(OPTION_AT), at(LENGTH_AT));
    return memory.readInt32LE(OPTION_AT);
  }
}

/** Writes the sockaddr of `endpoint`; its length in bytes. */
function writeAddress(endpoint: Endpoint): number {
  if (endpoint.kind === "unix") {
    memory.writeUInt16LE(AF_UNIX, ADDRESS_AT);
    const length = memory.write(endpoint.path, ADDRESS_AT + 2);
    memory[ADDRESS_AT + 2 + length] = 0;
    return 2 + length + 1;
  }
  memory.writeUInt16LE(endpoint.family === 4 ? AF_INET : AF_INET6, ADDRESS_AT);
  memory.writeUInt16BE(endpoint.port, ADDRESS_AT + 2);
  if (endpoint.family === 4) {
    memory.set(endpoint.address.split(".").map(Number), ADDRESS_AT + 4);
    return 16;
  }
  memory.fill(0, ADDRESS_AT + 4, ADDRESS_AT + 28);
  memory.set(ipv6Bytes(endpoint.address), ADDRESS_AT + 8);
  return 28;
}

/** The 16 bytes of a numeric IPv6 address. A zone (`%eth0`) is ignored. */
function ipv6Bytes(address: string): Uint8Array {
  const bytes = new Uint8Array(16);
  // An IPv4 tail stands for the last two groups.
  const text = address.replace(/%.*$/, "").replace(/\d+\.\d+\.\d+\.\d+$/, (dotted) => {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [before = "", after] = text.split("::");
  const groups = (part: string): number[] => (part === "" ? [] : part.split(":").map((group) => parseInt(group, 16)));
  const head = groups(before);
  const tail = after === undefined ? [] : groups(after);
  const all = after === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail];
  all.forEach((group, i) => {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  });
  return bytes;
}
