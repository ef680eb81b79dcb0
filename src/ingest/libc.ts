// The system's C library through FFI: the few calls and constants that the sockets need. Linux only, glibc and musl.
import { dlopen, FFIType, ptr, toArrayBuffer } from "bun:ffi";

// Numbers from Linux's uapi headers; the same on x86_64 and arm64.
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_KEEPALIVE = 9;
export const IPPROTO_TCP = 6;
export const TCP_NODELAY = 1;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
export const SHUT_RD = 0;
export const EFD_NONBLOCK = SOCK_NONBLOCK;
export const EFD_CLOEXEC = SOCK_CLOEXEC;

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const ENOTDIR = 20;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const EROFS = 30;
export const EPROTO = 71;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ECONNABORTED = 103;
const ECONNRESET = 104;
export const ENOBUFS = 105;
const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;

const ERRNO_NAMES: Record<number, string> = {
  [EPERM]: "EPERM",
  [ENOENT]: "ENOENT",
  [EINTR]: "EINTR",
  [EBADF]: "EBADF",
  [EAGAIN]: "EAGAIN",
  [ENOMEM]: "ENOMEM",
  [EACCES]: "EACCES",
  [ENOTDIR]: "ENOTDIR",
  [EINVAL]: "EINVAL",
  [ENFILE]: "ENFILE",
  [EMFILE]: "EMFILE",
  [EROFS]: "EROFS",
  [EPROTO]: "EPROTO",
  [EAFNOSUPPORT]: "EAFNOSUPPORT",
  [EADDRINUSE]: "EADDRINUSE",
  [EADDRNOTAVAIL]: "EADDRNOTAVAIL",
  [ECONNABORTED]: "ECONNABORTED",
  [ECONNRESET]: "ECONNRESET",
  [ENOBUFS]: "ENOBUFS",
  [ETIMEDOUT]: "ETIMEDOUT",
  [ECONNREFUSED]: "ECONNREFUSED",
};

/** The name of an error number, for messages. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `error ${errno}`;
}

// musl answers to "libc.so.6" itself; its own names come after, should that ever change.
const LIBRARIES = ["libc.so.6", "libc.so", "/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"];

const { i32, u32, u64_fast } = FFIType;
/** Addresses are plain numbers: user space ends far below 2^53. */
const address = u64_fast;

// Results stay far below 2^31, so ssize_t is read as an int: 30 ns less per call than a 64-bit result.
const SYMBOLS = {
  __errno_location: { args: [], returns: FFIType.ptr },
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, address, u32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  accept4: { args: [i32, address, address, i32], returns: i32 },
  connect: { args: [i32, address, u32], returns: i32 },
  getsockname: { args: [i32, address, address], returns: i32 },
  setsockopt: { args: [i32, i32, i32, address, u32], returns: i32 },
  shutdown: { args: [i32, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  recv: { args: [i32, address, u64_fast, i32], returns: i32 },
  send: { args: [i32, address, u64_fast, i32], returns: i32 },
  poll: { args: [address, u64_fast, i32], returns: i32 },
  read: { args: [i32, address, u64_fast], returns: i32 },
  write: { args: [i32, address, u64_fast], returns: i32 },
  eventfd: { args: [u32, i32], returns: i32 },
  umask: { args: [u32], returns: u32 },
} as const;

/** The calls, as C declares them; an address is a number made by `Memory.address`. */
export type Libc = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"] & {
  /** The number left by the last call on this thread that failed; read it before anything else is called. */
  errno(): number;
};

export interface LibcFailure {
  kind: "unsupported_platform";
  message: string;
}

/** Opens the C library, once per thread. */
export function openLibc(): { libc: Libc } | { failure: LibcFailure } {
  if (process.platform !== "linux") {
    return failed(`bruce serve runs on Linux; its sockets are not supported on ${process.platform} yet`);
  }
  const tried: string[] = [];
  for (const name of LIBRARIES) {
    try {
      const { symbols } = dlopen(name, SYMBOLS);
      // errno has one fixed place per thread: looking there is a load, and calls nothing that could change it.
      const place = symbols.__errno_location();
      if (place === null) return failed("the C library does not say where errno is");
      const errno = new Int32Array(toArrayBuffer(place, 0, 4));
      return { libc: { ...symbols, errno: () => errno[0] as number } };
    } catch (error) {
      tried.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return failed(`the system's C library could not be opened (${tried.join("; ")})`);
}

function failed(message: string): { failure: LibcFailure } {
  return { failure: { kind: "unsupported_platform", message } };
}

/**
 * Memory that C may see. One ArrayBuffer for the life of the thread, with views over it: the address of a small typed
 * array goes stale when the engine moves it, so nothing smaller than 64 KiB is ever handed to C, and it is never
 * transferred.
 */
export class Memory {
  readonly bytes: Buffer;
  readonly #base: number;
  #used = 0;

  constructor(size: number) {
    const buffer = new ArrayBuffer(Math.max(size, 65_536));
    this.bytes = Buffer.from(buffer);
    this.#base = Number(ptr(buffer));
  }

  /** Sets aside `size` bytes, aligned to 64, and answers their offset. */
  allocate(size: number): number {
    const offset = this.#used;
    this.#used += Math.ceil(size / 64) * 64;
    if (this.#used > this.bytes.length) throw new RangeError("the memory set aside for C is used up");
    return offset;
  }

  address(offset: number): number {
    return this.#base + offset;
  }
}
