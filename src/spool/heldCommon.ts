// What all held logs share: the files, how much disk they may take, and the memory in which blocks are made.
import type { Files } from "./files.ts";
import { HeldBlock } from "./heldBlock.ts";
import { HeldFiles } from "./heldFiles.ts";
import type { LogDamage } from "./logReader.ts";
import type { QueueHooks } from "./queue.ts";

/** How many logs may keep a file open while nothing is written to them. */
const OPEN_FILES = 64;

export interface HeldParts {
  files: Files;
  /** held/ in the data directory. */
  directory: string;
  /** 32 hexadecimal digits. */
  directoryId: string;
  /** Bytes that all of them together may take, to begin with. */
  cap: number;
  /** Bytes that a segment may have before the next is begun. */
  segment: number;
  /** For the receipts. */
  hooks?: QueueHooks;
  /** Bytes that are no block, on the way to what is read. */
  onDamage?: (damage: LogDamage) => void;
  /** So many messages of a topic cannot be read any more. */
  onLost?: (topic: string, count: number) => void;
  /** The disk refused. `path`: of the file or directory. */
  onProblem?: (topic: string, path: string, why: string) => void;
  /** Milliseconds, monotonic. */
  now?: () => number;
  /** Milliseconds since the epoch. */
  wallClock?: () => number;
}

export class HeldCommon {
  readonly parts: HeldParts;
  readonly files: Files;
  readonly block = new HeldBlock();
  readonly segment: number;
  /** No byte more, whatever `cap` says: the volume is nearly full. */
  frozen = false;
  #cap: number;
  #used = 0;
  #full = false;

  constructor(parts: HeldParts) {
    this.parts = parts;
    this.files = new HeldFiles(parts.files, OPEN_FILES);
    this.#cap = parts.cap;
    this.segment = Math.max(65_536, Math.min(parts.segment, parts.cap / 8));
  }

  /** Bytes of files. */
  get used(): number {
    return this.#used;
  }

  /** It was full when it was asked last, and nothing was given back since. */
  get full(): boolean {
    return this.#full || this.frozen;
  }

  /** Bytes that all of them together may take from now on. Where they take more already, they take no more. */
  allow(cap: number): void {
    this.#cap = cap;
    this.#full = false;
  }

  /** Whether so many bytes more may be written. */
  hasRoom(bytes: number): boolean {
    this.#full = this.#used + bytes > this.#cap;
    return !this.full;
  }

  /** Adds (or with a negative number gives back) bytes. */
  add(bytes: number): void {
    this.#used += bytes;
    if (bytes < 0) this.#full = false;
  }

  now(): number {
    return (this.parts.now ?? performance.now.bind(performance))();
  }

  wallClock(): number {
    return (this.parts.wallClock ?? Date.now)();
  }
}
