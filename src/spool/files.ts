// The file system as the disk buffer sees it: one seam, so that a test can make it fail at any call.
import fs from "node:fs";

/**
 * Descriptors and paths, as the operating system has them. Everything throws an Error with a `code` ("ENOSPC", "EIO", …)
 * when it fails. Bytes are [start, end) of a buffer, positions are bytes from the beginning of the file.
 */
export interface Files {
  /** "wx+" makes a file that must not exist, "w+" one that is emptied. Mode 0600. */
  open(path: string, flags: "r" | "r+" | "wx+" | "w+"): number;
  close(fd: number): void;
  /** Answers how many bytes were read: 0 at the end, fewer than asked for when the end is near. */
  read(fd: number, bytes: Buffer, start: number, end: number, position: number): number;
  /** Answers how many bytes were written, which may be fewer than asked for (see `writeAll`). */
  write(fd: number, bytes: Buffer, start: number, end: number, position: number): number;
  truncate(fd: number, size: number): void;
  size(fd: number): number;
  /** fdatasync, on another thread. After it failed, the same file must not be trusted with a second try. */
  sync(fd: number): Promise<void>;
  syncNow(fd: number): void;
  /** Makes the names in it (new files, renamed ones, removed ones) safe from a power cut. */
  syncDirectory(path: string): void;
  /** The names in it, ascending; none when it does not exist. */
  list(directory: string): string[];
  exists(path: string): boolean;
  /** With its parents. Mode 0700. */
  makeDirectory(path: string): void;
  /** A file that does not exist counts as removed. */
  remove(path: string): void;
  /** The directory must be empty; one that does not exist counts as removed. */
  removeDirectory(path: string): void;
  rename(from: string, to: string): void;
  /** Bytes on that volume that are free to this user. */
  free(path: string): number;
}

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = fs.constants;
const FLAGS = { r: O_RDONLY, "r+": O_RDWR, "wx+": O_RDWR | O_CREAT | O_EXCL, "w+": O_RDWR | O_CREAT | O_TRUNC };

export const nodeFiles: Files = {
  // Not to wait for ever where somebody has put a FIFO in a file's place.
  open: (path, flags) => fs.openSync(path, FLAGS[flags] | fs.constants.O_NONBLOCK, 0o600),
  close: (fd) => fs.closeSync(fd),
  read: (fd, bytes, start, end, position) => fs.readSync(fd, bytes, start, end - start, position),
  write: (fd, bytes, start, end, position) => fs.writeSync(fd, bytes, start, end - start, position),
  truncate: (fd, size) => fs.ftruncateSync(fd, size),
  size: (fd) => fs.fstatSync(fd).size,
  sync: (fd) => new Promise((resolve, reject) => fs.fdatasync(fd, (error) => (error ? reject(error) : resolve()))),
  syncNow: (fd) => fs.fdatasyncSync(fd),
  syncDirectory(path) {
    const fd = fs.openSync(path, "r");
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  },
  list: (directory) => unlessMissing(() => fs.readdirSync(directory).sort()) ?? [],
  exists: (path) => fs.existsSync(path),
  makeDirectory(path) {
    fs.mkdirSync(path, { recursive: true, mode: 0o700 });
  },
  remove: (path) => unlessMissing(() => fs.unlinkSync(path)),
  removeDirectory: (path) => unlessMissing(() => fs.rmdirSync(path)),
  rename: (from, to) => fs.renameSync(from, to),
  free(path) {
    const { bavail, bsize } = fs.statfsSync(path);
    return bavail * bsize;
  },
};

function unlessMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The code of an error of the file system, such as "ENOSPC"; "" when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** For tidying up, and for what is tried again later: a failure is nobody's concern here. */
export function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // What matters was told already, or will be.
  }
}

/** Bytes of the file at `path`. Throws what the file system throws. */
export function sizeAt(files: Files, path: string): number {
  const fd = files.open(path, "r");
  try {
    return files.size(fd);
  } finally {
    files.close(fd);
  }
}

/** The same; 0 for what cannot be opened, or is no file. */
export function sizeOrNothing(files: Files, path: string): number {
  try {
    return sizeAt(files, path);
  } catch {
    return 0;
  }
}

/** Writes all of bytes[start, end), however short the single writes are. When it throws, some may have been written. */
export function writeAll(files: Files, fd: number, bytes: Buffer, start: number, end: number, position: number): void {
  let at = start;
  while (at < end) {
    const written = files.write(fd, bytes, at, end, position + at - start);
    if (written <= 0) throw Object.assign(new Error("EIO: a write took nothing"), { code: "EIO" });
    at += written;
  }
}

/** Reads until `end` or the end of the file. Answers where it stopped in `bytes`. */
export function readAll(files: Files, fd: number, bytes: Buffer, start: number, end: number, position: number): number {
  let at = start;
  while (at < end) {
    const read = files.read(fd, bytes, at, end, position + at - start);
    if (read <= 0) break;
    at += read;
  }
  return at;
}

/** No file of ours that is read at once has more; what damage has made longer than that is no reason not to read it. */
const MOST = 2 ** 28;

/** A file's content, `most` bytes of it. For files known to be small. */
export function readWhole(files: Files, path: string, most: number = MOST): Buffer {
  const fd = files.open(path, "r");
  try {
    const bytes = Buffer.allocUnsafeSlow(Math.min(files.size(fd), most));
    return bytes.subarray(0, readAll(files, fd, bytes, 0, bytes.length, 0));
  } finally {
    files.close(fd);
  }
}
