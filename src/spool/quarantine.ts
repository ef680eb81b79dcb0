// Sets damaged bytes aside, so that somebody may look at them: bounded, and never a reason to fail.
import { basename, dirname, join } from "node:path";
import { type Files, readAll, sizeOrNothing, writeAll } from "./files.ts";

/** What all files in quarantine may have together; the oldest go first. */
export const QUARANTINE_LIMIT = 64 * 1024 * 1024;
/** And so many files: each is looked at whenever another comes. */
const MOST_FILES = 200;

const CHUNK = 1024 * 1024;

interface Kept {
  path: string;
  /** They go up by one: the order in which they came. */
  ordinal: number;
  size: number;
}

/**
 * Keeps bytes [from, to) of the file at `path` as quarantine/<n>-<log>.<file>-<from>; no more of them than may be in quarantine
 * at all. Best effort: a disk that takes nothing makes no difference to what happens next.
 */
export function setAside(files: Files, quarantine: string, path: string, from: number, to: number): void {
  try {
    const fd = files.open(path, "r");
    try {
      const end = Math.min(to, from + QUARANTINE_LIMIT, files.size(fd));
      if (end > from) copy(files, fd, from, end, quarantine, newName(files, quarantine, path, from));
    } finally {
      files.close(fd);
    }
  } catch {}
}

/** Moves a whole file there. False when that failed: then it is where it was. */
export function setFileAside(files: Files, quarantine: string, path: string, size: number): boolean {
  try {
    files.makeDirectory(quarantine);
    files.rename(path, newName(files, quarantine, path, 0));
    makeRoom(files, quarantine, 0, size);
    return true;
  } catch {
    return false;
  }
}

/** Bytes in quarantine, as far as it can be read. */
export function quarantinedBytes(files: Files, quarantine: string): number {
  try {
    return kept(files, quarantine).reduce((sum, { size }) => sum + size, 0);
  } catch {
    return 0;
  }
}

function copy(files: Files, fd: number, from: number, to: number, quarantine: string, target: string): void {
  makeRoom(files, quarantine, to - from);
  const kept = files.open(target, "wx+");
  try {
    const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK, to - from));
    for (let at = from; at < to; at += chunk.length) {
      const read = readAll(files, fd, chunk, 0, Math.min(chunk.length, to - at), at);
      writeAll(files, kept, chunk, 0, read, at - from);
      if (read < chunk.length) break;
    }
  } catch (error) {
    // On a full disk half of it is worth less than its room.
    files.remove(target);
    throw error;
  } finally {
    files.close(kept);
  }
}

function newName(files: Files, quarantine: string, path: string, from: number): string {
  files.makeDirectory(quarantine);
  const ordinal = (kept(files, quarantine).at(-1)?.ordinal ?? 0) + 1;
  return join(quarantine, `${String(ordinal).padStart(8, "0")}-${basename(dirname(path))}.${basename(path)}-${from}`);
}

/** Deletes the oldest until `more` bytes fit. */
function makeRoom(files: Files, quarantine: string, more: number, newest = 0): void {
  const there = kept(files, quarantine);
  let used = there.reduce((sum, { size }) => sum + size, more);
  let count = there.length;
  for (const { path, size } of there) {
    if (used <= QUARANTINE_LIMIT && count < MOST_FILES) return;
    // One file alone may be larger than all that is kept: it is what somebody has to look at now.
    if (newest > 0 && path === there.at(-1)?.path) return;
    used -= size;
    count--;
    try {
      files.remove(path);
    } catch {
      // What was set aside was no file.
    }
  }
}

/** The oldest first. */
function kept(files: Files, quarantine: string): Kept[] {
  return files
    .list(quarantine)
    .flatMap((name) => {
      const ordinal = /^(\d{8,})-/.exec(name)?.[1];
      const path = join(quarantine, name);
      return ordinal === undefined ? [] : [{ path, ordinal: Number(ordinal), size: sizeOrNothing(files, path) }];
    })
    .sort((a, b) => a.ordinal - b.ordinal);
}
