// A file system in memory that fails as it is told, or at random, and forgets what a power cut would.
//
// - `failNext` fails the next call of one kind; `faults` fails calls at random, the same ones for the same seed.
// - `dieAfter` ends the process in the middle of a call that changes something: every call fails from then on.
// - `crash("process")` keeps all that was written. `crash("power")` keeps what was synced, and of the rest some pages of
//   4 KiB; new names, renames and removals that were not synced by `syncDirectory` are there up to some point, or not.
//   Both close every descriptor; then the same object is opened on.
import { codeOf, type Files } from "../../src/spool/files.ts";
import { FakeInode, type Random, randomFrom } from "./fakeInode.ts";
import { errorOf, type FakeCall, FakePaths } from "./fakePaths.ts";
import { FakeDirectory } from "./fakeTree.ts";

/** Probabilities from 0 to 1, by call. */
export interface FakeFaults {
  /** A write takes only some of its bytes. */
  shortWrite: number;
  /** A read takes only some of its bytes. */
  shortRead: number;
  /** A write, or the making of a file, finds no space. */
  noSpace: number;
  writeError: number;
  readError: number;
  /** A sync fails, once: the pages are lost to the disk, and the next sync says that all is well. */
  lostSync: number;
  /** Whatever changes something finds the volume read-only. */
  readOnly: number;
}

const NO_FAULTS: FakeFaults = {
  shortWrite: 0,
  shortRead: 0,
  noSpace: 0,
  writeError: 0,
  readError: 0,
  lostSync: 0,
  readOnly: 0,
};

interface Failure {
  call: FakeCall;
  code: string;
  /** Only for paths with this in them. */
  path: string;
}

interface Handle {
  path: string;
  inode: FakeInode;
  /** What is open is a directory, for a sync; `inode` is an empty one then. */
  directory?: FakeDirectory;
  writable: boolean;
}

export class FakeFiles implements Files {
  faults: FakeFaults = NO_FAULTS;
  /** What all files together may have, in bytes. */
  capacity = Number.POSITIVE_INFINITY;
  /** Every change fails with EROFS. */
  readOnly = false;
  /** Syncs wait until `releaseSyncs`. */
  holdSyncs = false;
  /** Calls so far that change something. */
  changes = 0;
  readonly random: Random;
  readonly #paths = new FakePaths();
  readonly #failures: Failure[] = [];
  #handles = new Map<number, Handle>();
  #nextFd = 100;
  #dieAt = Number.POSITIVE_INFINITY;
  #heldSyncs: (() => void)[] = [];

  constructor(seed = 1) {
    this.random = randomFrom(seed);
  }

  /** The next call of that kind (on a path with `path` in it) throws an Error with that code. May be called repeatedly. */
  failNext(call: FakeCall, code: string, path = ""): void {
    this.#failures.push({ call, code, path });
  }

  /** Sets some probabilities, and the others to 0. */
  setFaults(faults: Partial<FakeFaults>): void {
    this.faults = { ...NO_FAULTS, ...faults };
  }

  /** The process dies within the next call but `calls` that changes something; a write is cut there. */
  dieAfter(calls: number): void {
    this.#dieAt = this.changes + calls;
  }

  get dead(): boolean {
    return this.changes > this.#dieAt;
  }

  get openFiles(): number {
    return this.#handles.size;
  }

  crash(how: "process" | "power"): void {
    this.#handles = new Map();
    this.#dieAt = Number.POSITIVE_INFINITY;
    this.#failures.length = 0;
    this.#heldSyncs = [];
    if (how === "process") {
      for (const file of this.#paths.root.files()) file.endProcess();
    } else {
      for (const directory of [...this.#paths.root.directories()]) directory.cutPower(this.random);
      this.#paths.root.restart(this.random);
    }
  }

  releaseSyncs(): void {
    const held = this.#heldSyncs;
    this.#heldSyncs = [];
    for (const end of held) end();
  }

  /** Bytes that all files have. */
  get used(): number {
    let used = 0;
    for (const { cache } of this.#paths.root.files()) used += cache.size;
    return used;
  }

  /** A file's content, for a test to look at. */
  content(path: string): Buffer {
    return this.#paths.file(path, "open").cache.content;
  }

  /** Gives a file this content, on the disk as well, and makes it when it does not exist. Never fails. */
  put(path: string, bytes: Buffer): void {
    const { directory, name } = this.#paths.place(path, "open", true);
    let inode = directory.entries.get(name);
    if (!(inode instanceof FakeInode)) {
      inode = new FakeInode();
      directory.set(name, inode);
    }
    for (let parent = path; parent.includes("/"); ) {
      parent = parent.slice(0, parent.lastIndexOf("/"));
      this.#paths.directory(parent, "open").sync();
    }
    inode.truncate(0);
    inode.write(bytes, 0, bytes.length, 0);
    inode.endSync(inode.beginSync(), "arrived");
  }

  open(path: string, flags: "r" | "r+" | "wx+" | "w+"): number {
    const { directory, name } = this.#paths.place(path, "open");
    let node = directory.entries.get(name);
    const makes = node === undefined && flags.startsWith("w");
    this.#check("open", path, makes || (flags === "w+" && node !== undefined));
    if (flags !== "r" && this.readOnly) throw errorOf("EROFS", "open", path);
    if (node instanceof FakeDirectory && (flags === "r+" || flags === "w+")) throw errorOf("EISDIR", "open", path);
    if (node !== undefined && flags === "wx+") throw errorOf("EEXIST", "open", path);
    if (makes) {
      if (this.#happens("noSpace") || this.used >= this.capacity) throw errorOf("ENOSPC", "open", path);
      node = new FakeInode();
      directory.set(name, node);
    }
    if (node instanceof FakeDirectory) {
      const fd = this.#nextFd++;
      this.#handles.set(fd, { path, inode: new FakeInode(), directory: node, writable: false });
      return fd;
    }
    if (node === undefined) throw errorOf("ENOENT", "open", path);
    if (flags === "w+") node.truncate(0);
    const fd = this.#nextFd++;
    this.#handles.set(fd, { path, inode: node, writable: flags !== "r" });
    return fd;
  }

  close(fd: number): void {
    if (this.dead) return; // the system closes them
    this.#handle(fd, "close");
    this.#handles.delete(fd);
  }

  read(fd: number, bytes: Buffer, start: number, end: number, position: number): number {
    const { inode, path, directory } = this.#handle(fd, "read");
    if (directory !== undefined) throw errorOf("EISDIR", "read", path);
    this.#check("read", path, false);
    if (this.#happens("readError")) throw errorOf("EIO", "read", path);
    return inode.read(bytes, start, this.#happens("shortRead") ? this.#between(start + 1, end) : end, position);
  }

  write(fd: number, bytes: Buffer, start: number, end: number, position: number): number {
    const { inode, path, writable } = this.#handle(fd, "write");
    if (!writable) throw errorOf("EBADF", "write", path);
    const wasDead = this.dead;
    try {
      this.#check("write", path, true);
    } catch (error) {
      // A process may die, and a disk fail, when some of it was done.
      if (!wasDead && codeOf(error) === "EIO") inode.write(bytes, start, this.#between(start, end), position);
      throw error;
    }
    if (this.#happens("noSpace")) throw errorOf("ENOSPC", "write", path);
    if (this.#happens("writeError")) {
      inode.write(bytes, start, this.#between(start, end), position);
      throw errorOf("EIO", "write", path);
    }
    let stop = this.#happens("shortWrite") ? this.#between(start + 1, end) : end;
    if (this.capacity < Number.POSITIVE_INFINITY) {
      const room = inode.cache.size + this.capacity - this.used;
      stop = Math.min(stop, start + Math.max(0, room - position));
      if (stop <= start && end > start) throw errorOf("ENOSPC", "write", path);
    }
    inode.write(bytes, start, stop, position);
    return stop - start;
  }

  truncate(fd: number, size: number): void {
    const { inode, path, writable } = this.#handle(fd, "truncate");
    if (!writable) throw errorOf("EINVAL", "truncate", path);
    this.#check("truncate", path, true);
    inode.truncate(size);
  }

  size(fd: number): number {
    const { inode, path } = this.#handle(fd, "size");
    this.#check("size", path, false);
    return inode.cache.size;
  }

  sync(fd: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = this.#beginSync(fd, "sync", (error) => (error === undefined ? resolve() : reject(error)));
      if (this.holdSyncs) this.#heldSyncs.push(end);
      else queueMicrotask(end);
    });
  }

  syncNow(fd: number): void {
    let failure: Error | undefined;
    this.#beginSync(fd, "syncNow", (error) => {
      failure = error;
    })();
    if (failure !== undefined) throw failure;
  }

  syncDirectory(path: string): void {
    this.#check("syncDirectory", path, true);
    this.#paths.directory(path, "syncDirectory").sync();
  }

  list(directory: string): string[] {
    this.#check("list", directory, false);
    const node = this.#paths.find(directory, "list");
    if (node === undefined) return [];
    if (node instanceof FakeInode) throw errorOf("ENOTDIR", "list", directory);
    return [...node.entries.keys()].sort();
  }

  exists(path: string): boolean {
    return this.#paths.find(path) !== undefined;
  }

  makeDirectory(path: string): void {
    const node = this.#paths.find(path, "makeDirectory");
    this.#check("makeDirectory", path, node === undefined);
    if (node instanceof FakeInode) throw errorOf("EEXIST", "makeDirectory", path);
    this.#paths.place(`${path}/x`, "makeDirectory", true);
  }

  remove(path: string): void {
    const node = this.#paths.find(path, "remove");
    this.#check("remove", path, node !== undefined);
    if (node === undefined) return;
    if (node instanceof FakeDirectory) throw errorOf("EISDIR", "remove", path);
    const { directory, name } = this.#paths.place(path, "remove");
    directory.delete(name);
  }

  removeDirectory(path: string): void {
    const node = this.#paths.find(path, "removeDirectory");
    this.#check("removeDirectory", path, node !== undefined);
    if (node === undefined) return;
    if (node instanceof FakeInode) throw errorOf("ENOTDIR", "removeDirectory", path);
    if (node.entries.size > 0) throw errorOf("ENOTEMPTY", "removeDirectory", path);
    const { directory, name } = this.#paths.place(path, "removeDirectory");
    directory.delete(name);
  }

  rename(from: string, to: string): void {
    this.#check("rename", from, true);
    const source = this.#paths.place(from, "rename");
    const target = this.#paths.place(to, "rename");
    const node = source.directory.entries.get(source.name);
    const replaced = target.directory.entries.get(target.name);
    if (node === undefined) throw errorOf("ENOENT", "rename", from);
    if (from === to) return;
    if (node instanceof FakeInode && replaced instanceof FakeDirectory) throw errorOf("EISDIR", "rename", from);
    if (node instanceof FakeDirectory && replaced instanceof FakeInode) throw errorOf("ENOTDIR", "rename", from);
    if (replaced instanceof FakeDirectory && replaced.entries.size > 0) throw errorOf("ENOTEMPTY", "rename", from);
    FakeDirectory.rename(source.directory, source.name, target.directory, target.name);
  }

  free(path: string): number {
    this.#check("free", path, false);
    return this.capacity === Number.POSITIVE_INFINITY ? 2 ** 40 : Math.max(0, this.capacity - this.used);
  }

  /** Throws what this call has to fail with. */
  #check(call: FakeCall, path: string, changes: boolean): void {
    if (this.dead) throw errorOf("EIO", call, path, "the process is dead");
    if (changes && ++this.changes > this.#dieAt) throw errorOf("EIO", call, path, "the process dies here");
    const index = this.#failures.findIndex((failure) => failure.call === call && path.includes(failure.path));
    const failure = index < 0 ? undefined : this.#failures.splice(index, 1)[0];
    if (failure !== undefined) throw errorOf(failure.code, call, path);
    if (changes && (this.readOnly || this.#happens("readOnly"))) throw errorOf("EROFS", call, path);
  }

  #beginSync(fd: number, call: "sync" | "syncNow", done: (error: Error | undefined) => void): () => void {
    const { inode, path, directory } = this.#handle(fd, call);
    let failure: Error | undefined;
    try {
      this.#check(call, path, true);
      if (this.#happens("lostSync")) failure = errorOf("EIO", call, path);
    } catch (error) {
      failure = error as Error;
    }
    if (this.dead) return () => done(failure);
    const endOfDirectory = directory?.beginSync();
    const job = inode.beginSync();
    return () => {
      if (!this.dead && failure === undefined) endOfDirectory?.();
      if (!this.dead) inode.endSync(job, failure === undefined ? "arrived" : "lost");
      done(this.dead ? errorOf("EIO", call, path, "the process is dead") : failure);
    };
  }

  #happens(fault: keyof FakeFaults): boolean {
    return this.faults[fault] > 0 && this.random() < this.faults[fault];
  }

  /** A whole number from `low` to `high`, both included. */
  #between(low: number, high: number): number {
    return high <= low ? high : low + Math.floor(this.random() * (high - low + 1));
  }

  #handle(fd: number, call: FakeCall): Handle {
    const handle = this.#handles.get(fd);
    if (handle === undefined) throw errorOf("EBADF", call, `descriptor ${fd}`);
    return handle;
  }
}
