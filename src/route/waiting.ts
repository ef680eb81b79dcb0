// What waits for a topic or for one partition of it, by number: in memory, and where there is a disk buffer, on disk.
import type { FrameMark, FrameSource, FrameVisit } from "../spool/heldFrame.ts";
import type { MessageNumbers } from "../spool/numbers.ts";
import type { BufferPool } from "./bufferPool.ts";
import { HeldFrames } from "./heldFrames.ts";
import { type MemoryBudget, MemoryUse } from "./memoryBudget.ts";

/** The part on disk: a `HeldLog`, as routing sees it. Its numbers go up. */
export interface HeldDisk {
  /** Messages in it that are to be handed out (again). */
  readonly count: number;
  /** The highest number in it, 0 when it is empty: only higher ones can be appended. */
  readonly last: number;
  /** It takes nothing for now: the disk fails, or all that may be held there is. */
  readonly refuses: boolean;
  /** Was it handed out, and is it not settled? */
  has(number: number): boolean;
  /** One that was handed out is to be handed out again. */
  untake(number: number): void;
  /**
   * Writes frames off the front of `frames`. `moved` is told of those that survive a crash of the process from now on.
   * Stops where it refuses.
   */
  take(frames: FrameSource, moved: (numbers: MessageNumbers) => void): void;
  /** Hands frames out in order, until there are none, or `more` or `visit` says stop. */
  drain(more: () => boolean, visit: FrameVisit): void;
}

export interface WaitingParts {
  pool: BufferPool;
  budget: MemoryBudget;
  /** Opens the log on disk when it is needed first; undefined: memory only. */
  open: (() => HeldDisk | undefined) | undefined;
}

/** So many bytes are put back before they are written. */
const SPILL = 1 << 20;

/**
 * In this order: what is on disk with `#front`, whose numbers lie below the highest on disk, merged into it; then `#tail`,
 * whose numbers lie above. In memory are those that the disk does not take, or need not: of a topic that Kafka has not
 * been asked about yet.
 */
export class Waiting {
  readonly memory: MemoryUse;
  readonly #parts: WaitingParts;
  readonly #front: HeldFrames;
  readonly #tail: HeldFrames;
  #disk: HeldDisk | undefined;
  /** When the first of all came, or one that was before it; undefined: not known. In milliseconds since the epoch. */
  #headAt: number | undefined;

  constructor(parts: WaitingParts) {
    this.#parts = parts;
    this.memory = new MemoryUse(parts.budget);
    this.#front = this.#frames();
    this.#tail = this.#frames();
  }

  get count(): number {
    return this.#front.count + this.#tail.count + (this.#disk?.count ?? 0);
  }

  /** Messages of it on disk. */
  get onDisk(): number {
    return this.#disk?.count ?? 0;
  }

  /** What is held here can go to disk. */
  get canSpill(): boolean {
    return this.#parts.open !== undefined;
  }

  /** Only what is in memory can take more, as far as there is memory. */
  get refuses(): boolean {
    return this.#parts.open === undefined || this.#disk?.refuses === true;
  }

  /** What a run before this one left on disk. */
  restore(disk: HeldDisk): void {
    this.#disk = disk;
    this.#headAt = undefined;
  }

  /** Copies the frame bytes[start, end). Mostly, its number is above all others. */
  append(number: number, bytes: Buffer, start: number, end: number, mark?: FrameMark): void {
    const frames = number < this.#last ? this.#front : this.#tail;
    if (this.count === 0) this.#headAt = mark?.receivedAt;
    else if (frames === this.#front) this.#headAt = undefined;
    frames.insert(number, bytes, start, end, mark);
  }

  /** Puts frames back that came out of here, or that would have come in, had it been known. In ascending order. */
  putBack(moved: (numbers: MessageNumbers) => void): { frame: FrameVisit; done: () => void } {
    const low = this.#frames();
    const high = this.#frames();
    const disk = this.#disk;
    const before = this.memory.used;
    this.#headAt = undefined;
    return {
      frame: (number, bytes, start, end, mark) => {
        if (disk?.has(number) === true) {
          disk.untake(number);
          return true;
        }
        (number < this.#last ? low : high).append(number, bytes, start, end, mark);
        if (this.memory.used - before > SPILL && high.last < this.#tail.first) this.#open()?.take(high, moved);
        return true;
      },
      done: () => {
        this.#front.merge(low);
        this.#tail.merge(high);
        this.spill(moved);
      },
    };
  }

  /** Was it handed out from disk here, and is it not settled? */
  owns(number: number): boolean {
    return this.#disk?.has(number) === true;
  }

  /** Moves to disk what the disk takes. Returns whether it took all. */
  spill(moved: (numbers: MessageNumbers) => void): boolean {
    if (this.#front.count + this.#tail.count === 0) return true;
    const disk = this.#open();
    if (disk === undefined) return false;
    // Behind what lies there already; the order must be that of the numbers also in the file.
    if (disk.count === 0 && this.#front.count > 0 && this.#front.first > disk.last) this.#tail.merge(this.#front);
    disk.take(this.#tail, moved);
    return this.#tail.count === 0;
  }

  /** Hands frames out in order, until there are none, or `more` or `visit` says stop. */
  drain(more: () => boolean, visit: FrameVisit): void {
    const front = this.#front;
    const disk = this.#disk;
    if (disk !== undefined && disk.count > 0) {
      disk.drain(more, (number, bytes, start, end, mark) => {
        front.drain(() => front.first < number && more(), visit);
        return front.first > number && visit(number, bytes, start, end, mark);
      });
      if (disk.count > 0) return;
    }
    front.drain(more, visit);
    if (front.count === 0) this.#tail.drain(more, visit);
  }

  /**
   * Hands out the first ones for as long as `isOver` says so of the time at which each came, until there are none, or `more`
   * says stop. What is on disk is looked at only when the first of all may be among them.
   */
  takeOver(isOver: (receivedAt: number) => boolean, more: () => boolean, visit: FrameVisit): void {
    if (this.count === 0 || (this.#headAt !== undefined && !isOver(this.#headAt))) return;
    this.drain(more, (number, bytes, start, end, mark) => {
      this.#headAt = mark.receivedAt;
      return isOver(mark.receivedAt) && visit(number, bytes, start, end, mark);
    });
  }

  /** The lowest number in memory alone; Infinity when there is none. */
  get first(): number {
    return Math.min(this.#front.first, this.#tail.first);
  }

  /** When the oldest of what is in memory alone came, in milliseconds since the epoch; Infinity when there is none. */
  get oldestAt(): number {
    return Math.min(this.#front.firstAt, this.#tail.firstAt);
  }

  /** Hands out the oldest of what is in memory alone, until there are none, or `more` says stop. */
  takeOldest(more: () => boolean, visit: FrameVisit): void {
    this.#front.drain(more, visit);
    if (this.#front.count === 0) this.#tail.drain(more, visit);
  }

  /** Gives up the newest of what is in memory, some at a time: their numbers, ascending. */
  takeNewest(): number[] {
    const newest = this.#tail.takeNewest();
    return newest.length > 0 ? newest : this.#front.takeNewest();
  }

  get #last(): number {
    return this.#disk?.last ?? 0;
  }

  #open(): HeldDisk | undefined {
    this.#disk ??= this.#parts.open?.();
    return this.#disk;
  }

  #frames(): HeldFrames {
    return new HeldFrames(this.#parts.pool, this.memory);
  }
}
