// The calls of the C library that a client of stream sockets needs. Neither Bun nor Node tells exactly how many bytes of
// a UNIX socket's write the kernel took before the peer was gone; these calls do.
import { dlopen, FFIType, type Pointer, toArrayBuffer } from "bun:ffi";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";

const { ptr, i32, u32, u64 } = FFIType;

const SYMBOLS = {
  __errno_location: { args: [], returns: ptr },
  socket: { args: [i32, i32, i32], returns: i32 },
  connect: { args: [i32, ptr, u32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, ptr, u32], returns: i32 },
  getsockopt: { args: [i32, i32, i32, ptr, ptr], returns: i32 },
  shutdown: { args: [i32, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  poll: { args: [ptr, u64, i32], returns: i32 },
  // ssize_t, but no call here asks for more than an int32 can say.
  send: { args: [i32, ptr, u64, i32], returns: i32 },
  recv: { args: [i32, ptr, u64, i32], returns: i32 },
  read: { args: [i32, ptr, u64], returns: i32 },
  // Variadic in C; an int and a pointer are passed alike on x86_64 and arm64 Linux.
  fcntl: { args: [i32, i32, i32], returns: i32 },
  ioctl: { args: [i32, u64, ptr], returns: i32 },
} as const;

type Libc = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

let opened: Libc | undefined;
let number = new Int32Array(1);

/** The C library, opened at first use. Throws where there is none of that name (anything but Linux). */
export function libc(): Libc {
  if (opened === undefined) {
    // musl answers to this name too.
    opened = dlopen("libc.so.6", SYMBOLS).symbols;
    // errno has one place per thread: looking there calls nothing that could change it.
    number = new Int32Array(toArrayBuffer(opened.__errno_location() as Pointer, 0, 4));
  }
  return opened;
}

/** The error of the call just made, when that failed. */
export function lastErrno(): number {
  return number[0] as number;
}

/** The numbers of errors, by name. */
export const errno = constants.errno;

/** "ENOENT" for 2. */
export function errorName(number: number): string {
  return getSystemErrorName(-number);
}
