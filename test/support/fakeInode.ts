// A file as memory and disk have it: the page cache of `FakeFiles`.

const PAGE = 4096;

/** Answers a number in [0, 1), the same ones for the same seed (mulberry32). */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that grow, with zeros behind what was written. */
class Bytes {
  bytes = Buffer.alloc(0);
  size = 0;

  resize(size: number): void {
    if (size > this.bytes.length) {
      const larger = Buffer.alloc(Math.max(size, this.bytes.length * 2, PAGE));
      this.bytes.copy(larger, 0, 0, this.size);
      this.bytes = larger;
    }
    if (size < this.size) this.bytes.fill(0, size, this.size);
    this.size = size;
  }

  write(from: Buffer, start: number, end: number, position: number): void {
    if (position + end - start > this.size) this.resize(position + end - start);
    from.copy(this.bytes, position, start, end);
  }

  get content(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.size));
  }
}

/** What a sync took with it when it began. */
export interface SyncJob {
  pages: Map<number, Buffer>;
  size: number;
}

export class FakeInode {
  /** What every reader sees. */
  readonly cache = new Bytes();
  /** What a power cut leaves. */
  readonly disk = new Bytes();
  readonly #dirty = new Set<number>();
  readonly #jobs = new Set<SyncJob>();

  read(into: Buffer, start: number, end: number, position: number): number {
    const stop = Math.min(this.cache.size, position + end - start);
    return position >= stop ? 0 : this.cache.bytes.copy(into, start, position, stop);
  }

  write(from: Buffer, start: number, end: number, position: number): void {
    this.#soil(Math.min(this.cache.size, position), position + end - start);
    this.cache.write(from, start, end, position);
  }

  truncate(size: number): void {
    this.#soil(Math.min(size, this.cache.size), Math.max(size, this.cache.size));
    this.cache.resize(size);
  }

  /** What was written until now is on its way to the disk. */
  beginSync(): SyncJob {
    const pages = new Map([...this.#dirty].map((page) => [page, this.#page(page)]));
    this.#dirty.clear();
    const job = { pages, size: this.cache.size };
    this.#jobs.add(job);
    return job;
  }

  /** It has arrived there; or it was lost, and no later sync will know of it. */
  endSync(job: SyncJob, how: "arrived" | "lost"): void {
    this.#jobs.delete(job);
    if (how === "lost") return;
    this.disk.resize(job.size);
    for (const [page, bytes] of job.pages) this.#store(page, bytes);
  }

  /** Some pages that were not synced got to the disk: the first ones or any, and the size is any that it was about to be. */
  cutPower(random: Random): void {
    const inOrder = random() < 0.5;
    const sizes = [this.disk.size, this.cache.size, ...[...this.#jobs].map(({ size }) => size)];
    const pages = [...this.#jobs].flatMap((job) => [...job.pages]);
    for (const page of this.#dirty) pages.push([page, this.#page(page)]);
    pages.sort(([a], [b]) => a - b);
    const count = Math.floor(random() * (pages.length + 1));
    const share = random();
    const kept = pages.filter((_, index) => (inOrder ? index < count : random() < share));
    // A file system that writes data before the size never shows zeros, one that does not does: both are tried.
    this.disk.resize(sizes[Math.floor(random() * sizes.length)] as number);
    for (const [page, bytes] of kept) this.#store(page, bytes);
    this.cache.resize(0);
    this.cache.write(this.disk.bytes, 0, this.disk.size, 0);
    this.#dirty.clear();
    this.#jobs.clear();
  }

  /** The process died: what it had the system do is done, syncs that were on their way included. */
  endProcess(): void {
    for (const job of [...this.#jobs]) this.endSync(job, "arrived");
  }

  #store(page: number, bytes: Buffer): void {
    const end = Math.min(this.disk.size, page * PAGE + bytes.length);
    if (end > page * PAGE) this.disk.write(bytes, 0, end - page * PAGE, page * PAGE);
  }

  #page(page: number): Buffer {
    return Buffer.from(this.cache.bytes.subarray(page * PAGE, Math.min(this.cache.size, (page + 1) * PAGE)));
  }

  #soil(from: number, to: number): void {
    for (let page = Math.floor(from / PAGE); page * PAGE < to; page++) this.#dirty.add(page);
  }
}
