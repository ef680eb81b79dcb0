// What is sent: standard input and files, one after the other.

import { ptr } from "bun:ffi";
import { accessSync, closeSync, constants, openSync, statSync } from "node:fs";
import { errno, errorName, lastErrno, libc } from "./libc.ts";

/** Something to read lines from. */
export interface Input {
  /** For messages. */
  name: string;
  /** undefined: standard input. */
  path?: string;
}

/** The inputs that arguments name; "-" and no argument at all are standard input. */
export function inputsOf(files: string[]): Input[] {
  if (files.length === 0) return [STANDARD_INPUT];
  return files.map((path) => (path === "-" ? STANDARD_INPUT : { name: path, path }));
}

const STANDARD_INPUT: Input = { name: "standard input" };

/** Why an input cannot be read, or undefined. */
export function inputProblem({ name, path }: Input): string | undefined {
  if (path === undefined) return undefined;
  try {
    if (statSync(path).isDirectory()) return `${name} is a directory: name the files in it`;
    accessSync(path, constants.R_OK);
    return undefined;
  } catch (error) {
    return problemWith(name, (error as NodeJS.ErrnoException).code);
  }
}

function problemWith(name: string, code: string | undefined): string {
  switch (code) {
    case "ENOENT":
      return `there is no file ${name}`;
    case "EACCES":
      return `you may not read ${name}`;
    case "EISDIR":
      return `${name} is a directory: name the files in it`;
    default:
      return `cannot read ${name} (${code ?? "unknown error"})`;
  }
}

/** Opens an input: an fd, or why not. */
export function openInput({ name, path }: Input): { fd: number } | { problem: string } {
  if (path === undefined) {
    widen(0);
    return { fd: 0 };
  }
  try {
    // Not blocking, since opening a named pipe waits for its writer: nothing is read before poll says so.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    return { fd };
  } catch (error) {
    return { problem: problemWith(name, (error as NodeJS.ErrnoException).code) };
  }
}

export function closeInput({ path }: Input, fd: number): void {
  if (path !== undefined) closeSync(fd);
}

const F_SETPIPE_SZ = 1031;
const PIPE_SIZE = 1024 * 1024;

/** A pipe of 64 KiB makes the two ends wait for each other; where it cannot be larger (or is no pipe), no harm is done. */
function widen(fd: number): void {
  libc().fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

/** Reads to `bytes` from `at` on: how many bytes, 0 at the end, undefined when there is nothing now; or what is wrong. */
export function readInput(
  input: Input,
  fd: number,
  bytes: Buffer,
  at: number,
): number | undefined | { problem: string } {
  const count = libc().read(fd, (ptr(bytes) + at) as ReturnType<typeof ptr>, bytes.length - at);
  if (count >= 0) return count;
  const error = lastErrno();
  if (error === errno.EAGAIN || error === errno.EINTR) return undefined;
  return { problem: problemWith(input.name, errorName(error)) };
}
