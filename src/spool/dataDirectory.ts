// The data directory: made when it is missing, and locked, so that two daemons never write to the same one.
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { codeOf, type Files, readWhole, writeAll } from "./files.ts";
import { type LockAnswer, lockFile } from "./flock.ts";
import { setFileAside } from "./quarantine.ts";

/** What is where in the data directory. */
export interface DirectoryPaths {
  log: string;
  held: string;
  journal: string;
  quarantine: string;
}

export interface DirectoryLock {
  path: string;
  paths: DirectoryPaths;
  /** 32 hexadecimal digits that stand for this machine, and do not tell its machine-id. */
  machineId: string;
  release(): void;
}

/** "locked": another process has it, and this one must not start. "unusable": start without it, and say so. */
export interface DirectoryProblem {
  kind: "locked" | "unusable";
  /** What is wrong and what to do about it. */
  message: string;
}

export function directoryPaths(path: string): DirectoryPaths {
  const [log, held, journal, quarantine] = ["log", "held", "journal", "quarantine"].map((name) => join(path, name));
  return { log, held, journal, quarantine } as DirectoryPaths;
}

/** Makes the directory if need be, and locks it for as long as this process lives. `lock` is flock, but for tests. */
export function openDataDirectory(
  path: string,
  files: Files,
  lock: (fd: number) => LockAnswer = lockFile,
): { lock: DirectoryLock } | { problem: DirectoryProblem } {
  const paths = directoryPaths(path);
  const lockPath = join(path, "lock");
  let fd: number;
  try {
    for (const directory of [path, ...Object.values(paths)]) make(files, directory);
    fd = openLock(files, lockPath, paths.quarantine);
  } catch (error) {
    return unusable(path, describe(error));
  }
  const answer = lock(fd);
  if (answer.kind === "locked") {
    writePid(files, fd);
    return { lock: { path, paths, machineId: ownMachineId(files), release: () => files.close(fd) } };
  }
  files.close(fd);
  if (answer.kind === "failed") return unusable(path, `it cannot be locked (${answer.why})`);
  const pid = readPid(files, lockPath);
  const who = pid === "" ? "another process" : `the process ${pid}`;
  const message = `${who} is using ${path}; stop it, or give this one another buffer.path`;
  return { problem: { kind: "locked", message } };
}

function unusable(path: string, why: string): { problem: DirectoryProblem } {
  return { problem: { kind: "unusable", message: `the data directory ${path} (buffer.path) cannot be used: ${why}` } };
}

function describe(error: unknown): string {
  const code = codeOf(error);
  switch (code) {
    case "EEXIST":
    case "ENOTDIR":
      return "a part of the path is a file; move it away, or set another path";
    case "EACCES":
    case "EPERM":
      return `this user (id ${process.getuid?.() ?? "unknown"}) may not write there; change its owner, or set another path`;
    case "EROFS":
      return "the volume is read-only; mount it writable, or set another path";
    case "ENOSPC":
    case "EDQUOT":
      return "the volume is full; make room there, or set another path";
    case "EIO":
      return "the disk fails (EIO); see the kernel's log, and set another path until it is replaced";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** Makes a directory with its parents, and sees to it that a power cut does not take it away. */
function make(files: Files, directory: string): void {
  const missing: string[] = [];
  for (let at = directory; !files.exists(at) && dirname(at) !== at; at = dirname(at)) missing.push(at);
  files.makeDirectory(directory);
  for (const made of missing.reverse()) files.syncDirectory(dirname(made));
}

function openLock(files: Files, path: string, quarantine: string): number {
  try {
    return openOrMake(files, path);
  } catch (error) {
    if (codeOf(error) !== "EISDIR") throw error;
  }
  // A directory can be nobody's lock. Of a path that ends so, nothing else is renamed: not the lock that another has just made.
  setFileAside(files, quarantine, `${path}/`, 0);
  return openOrMake(files, path);
}

function openOrMake(files: Files, path: string): number {
  try {
    return files.open(path, "r+");
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
  try {
    return files.open(path, "wx+");
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    return files.open(path, "r+"); // another daemon has just made it
  }
}

/** The pid is for people: a full disk that does not take it is no reason not to start. */
function writePid(files: Files, fd: number): void {
  try {
    const text = Buffer.from(`${process.pid}\n`);
    writeAll(files, fd, text, 0, text.length, 0);
    files.truncate(fd, text.length);
  } catch {}
}

function readPid(files: Files, path: string): string {
  try {
    return /^\d{1,10}\n?$/.exec(readWhole(files, path).toString("latin1"))?.[0]?.trim() ?? "";
  } catch {
    return "";
  }
}

function ownMachineId(files: Files): string {
  let id = "";
  try {
    id = readWhole(files, "/etc/machine-id").toString("latin1").trim();
  } catch {}
  // machine-id(5): it should be hashed with something of the application's before anyone else sees it.
  const source = id === "" ? `bruce host ${hostname()}` : `bruce machine ${id}`;
  return createHash("sha256").update(source).digest("hex").slice(0, 32);
}
