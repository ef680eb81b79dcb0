// The lock of the data directory: flock(2), which ends with the process however that ends.
import { dlopen, FFIType, type Pointer, read } from "bun:ffi";
import { getSystemErrorName } from "node:util";

// From Linux's uapi headers; the same on x86_64 and arm64.
const LOCK_EX = 2;
const LOCK_NB = 4;
const EAGAIN = 11;

const SYMBOLS = {
  __errno_location: { args: [], returns: FFIType.ptr },
  flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
} as const;

export type LockAnswer = { kind: "locked" } | { kind: "taken" } | { kind: "failed"; why: string };

/** Locks an open file until it is closed, or says that someone else has. Does not wait. */
export function lockFile(fd: number): LockAnswer {
  try {
    // musl answers to this name too.
    const { symbols, close } = dlopen("libc.so.6", SYMBOLS);
    const answer = symbols.flock(fd, LOCK_EX | LOCK_NB);
    const errno = answer === 0 ? 0 : read.i32(symbols.__errno_location() as Pointer);
    close();
    if (answer === 0) return { kind: "locked" };
    return errno === EAGAIN ? { kind: "taken" } : { kind: "failed", why: getSystemErrorName(-errno) };
  } catch (error) {
    return { kind: "failed", why: error instanceof Error ? error.message : String(error) };
  }
}
