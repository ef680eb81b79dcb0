// Many logs, few open files: descriptors that are closed behind the scenes, and opened again when they are needed.
import type { Files } from "./files.ts";

/** Beyond the numbers that the system gives. */
const FIRST = 2 ** 31;

/** Files that are written to stay "open" for good, whatever their number; only `most` of them are. */
export class HeldFiles implements Files {
  readonly #files: Files;
  readonly #most: number;
  readonly #paths = new Map<number, string>();
  /** The descriptors of the system, of those used last. */
  readonly #open = new Map<number, number>();
  #next = FIRST;

  constructor(files: Files, most: number) {
    this.#files = files;
    this.#most = most;
  }

  open(path: string, flags: "r" | "r+" | "wx+" | "w+"): number {
    const real = this.#files.open(path, flags);
    // Files that are read are closed soon.
    if (flags === "r") return real;
    const fd = this.#next++;
    this.#paths.set(fd, path);
    this.#keep(fd, real);
    return fd;
  }

  close(fd: number): void {
    if (fd < FIRST) {
      this.#files.close(fd);
      return;
    }
    this.#paths.delete(fd);
    const real = this.#open.get(fd);
    if (real === undefined) return;
    this.#open.delete(fd);
    this.#files.close(real);
  }

  read(fd: number, bytes: Buffer, start: number, end: number, position: number): number {
    return this.#files.read(this.#real(fd), bytes, start, end, position);
  }

  write(fd: number, bytes: Buffer, start: number, end: number, position: number): number {
    return this.#files.write(this.#real(fd), bytes, start, end, position);
  }

  truncate(fd: number, size: number): void {
    this.#files.truncate(this.#real(fd), size);
  }

  size(fd: number): number {
    return this.#files.size(this.#real(fd));
  }

  /** On a descriptor of its own, which nothing closes meanwhile. */
  async sync(fd: number): Promise<void> {
    if (fd < FIRST) return this.#files.sync(fd);
    const own = this.#files.open(this.#pathOf(fd), "r+");
    try {
      await this.#files.sync(own);
    } finally {
      this.#files.close(own);
    }
  }

  syncNow(fd: number): void {
    this.#files.syncNow(this.#real(fd));
  }

  syncDirectory(path: string): void {
    this.#files.syncDirectory(path);
  }

  list(directory: string): string[] {
    return this.#files.list(directory);
  }

  exists(path: string): boolean {
    return this.#files.exists(path);
  }

  makeDirectory(path: string): void {
    this.#files.makeDirectory(path);
  }

  remove(path: string): void {
    this.#files.remove(path);
  }

  removeDirectory(path: string): void {
    this.#files.removeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#files.rename(from, to);
  }

  free(path: string): number {
    return this.#files.free(path);
  }

  #real(fd: number): number {
    if (fd < FIRST) return fd;
    const known = this.#open.get(fd);
    this.#open.delete(fd);
    const real = known ?? this.#files.open(this.#pathOf(fd), "r+");
    this.#keep(fd, real);
    return real;
  }

  #pathOf(fd: number): string {
    const path = this.#paths.get(fd);
    if (path === undefined) throw Object.assign(new Error(`EBADF: descriptor ${fd} is closed`), { code: "EBADF" });
    return path;
  }

  #keep(fd: number, real: number): void {
    this.#open.set(fd, real);
    if (this.#open.size <= this.#most) return;
    const [oldest, descriptor] = this.#open.entries().next().value as [number, number];
    this.#open.delete(oldest);
    this.#files.close(descriptor);
  }
}
