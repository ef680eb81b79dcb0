// What concerns the file of a UNIX socket: is its place free, whose is it, and taking it away again.
import { lstatSync, mkdirSync, type Stats, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import {
  AF_UNIX,
  EAGAIN,
  ECONNREFUSED,
  ENOENT,
  errnoName,
  type Libc,
  type Memory,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
} from "./libc.ts";
import type { IngestFailure } from "./report.ts";
import { ADDRESS_SIZE, MAX_PATH, writeUnixAddress } from "./socketAddress.ts";

/** Connecting to a socket of the other type: someone has it open all the same. */
const EPROTOTYPE = 91;

/** A socket file that this process made. */
export interface SocketFile {
  path: string;
  /** Tells it from one that another process puts in its place later. */
  inode: number;
}

/**
 * Sees to it that a socket can be bound at `path`: makes the directory if that may be done, removes the file of a
 * socket that no process has open any more. A live one, or a file of another kind, is refused.
 */
export function freePlace(
  libc: Libc,
  memory: Memory,
  path: string,
  type: number,
  makeDirectory: boolean,
): IngestFailure | undefined {
  const length = Buffer.byteLength(path);
  if (length > MAX_PATH) {
    const message = `the socket path ${path} has ${length} bytes; the system allows ${MAX_PATH}: choose a shorter one`;
    return { kind: "path_too_long", message, path };
  }
  if (path === "" || path.includes("\0")) {
    return { kind: "bad_address", message: "a socket path must be a file's path", path };
  }
  const missing = directoryFailure(path, makeDirectory);
  if (missing !== undefined) return missing;
  let found: Stats | undefined;
  try {
    found = lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    return fileFailure(error, path, "be looked at");
  }
  if (found === undefined) return undefined;
  if (!found.isSocket()) {
    const message = `${path} exists and is not a socket: remove it, or choose another path`;
    return { kind: "not_a_socket", message, path };
  }
  const live = probe(libc, memory, path, type);
  if (live !== undefined) return live;
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") return fileFailure(error, path, "be removed, though no process uses it any more,");
  }
  return undefined;
}

/** The socket file just bound at `path`. */
export function socketFileAt(path: string): SocketFile {
  return { path, inode: lstatSync(path).ino };
}

/** Removes the file, unless it is another process's by now. */
export function removeSocketFile({ path, inode }: SocketFile): void {
  try {
    if (lstatSync(path).ino === inode) unlinkSync(path);
  } catch {
    // Gone already, or its directory is: nothing is left to remove.
  }
}

/** What a failed file operation means to the operator. */
export function fileFailure(error: unknown, path: string, what: string): IngestFailure {
  const code = codeOf(error);
  switch (code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return notWritable(path, code);
    case "ENOENT":
    case "ENOTDIR":
      return noDirectory(path);
    default:
      return { kind: "system", message: `the socket ${path} cannot ${what} (${code})`, path };
  }
}

export function notWritable(path: string, why: string): IngestFailure {
  const message = `the socket ${path} cannot be made: ${dirname(path)} is not writable for this user (${why})`;
  return { kind: "not_writable", message, path };
}

export function noDirectory(path: string): IngestFailure {
  const message = `the socket ${path} cannot be made: the directory ${dirname(path)} does not exist; make it, or choose another path`;
  return { kind: "no_directory", message, path };
}

export function inUse(path: string): IngestFailure {
  const message = `the socket ${path} is in use by a live process: stop that one, or choose another path`;
  return { kind: "in_use", message, path };
}

function directoryFailure(path: string, make: boolean): IngestFailure | undefined {
  const directory = dirname(path);
  try {
    if (lstatSync(directory, { throwIfNoEntry: false }) !== undefined) return undefined;
    if (!make) return noDirectory(path);
    // Root's is for all users to reach the sockets in it; any other user's is its own.
    mkdirSync(directory, { mode: process.geteuid?.() === 0 ? 0o755 : 0o700 });
    return undefined;
  } catch (error) {
    return codeOf(error) === "EEXIST" ? undefined : fileFailure(error, path, "be made");
  }
}

/** Connects to a socket file, to learn whether a process has it open. Nothing: none has. */
function probe(libc: Libc, memory: Memory, path: string, type: number): IngestFailure | undefined {
  const at = memory.allocate(ADDRESS_SIZE);
  const fd = libc.socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return { kind: "system", message: `no socket can be made (${errnoName(libc.errno())})`, path };
  const result = libc.connect(fd, memory.address(at), writeUnixAddress(memory.bytes, at, path));
  const errno = libc.errno();
  libc.close(fd);
  if (result === 0 || errno === EAGAIN || errno === EPROTOTYPE) return inUse(path);
  if (errno === ECONNREFUSED || errno === ENOENT) return undefined;
  const message = `${path} exists, and it cannot be told whether a process uses it (${errnoName(errno)}): remove it, or choose another path`;
  return { kind: "in_use", message, path };
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
