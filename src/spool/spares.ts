// Files of settled segments, kept for a while to be written over by new ones.
//
// Why: to fill pages of a file that the system has in memory already takes 0.05 µs for a message of 240 bytes, and new ones 0.12
// (in C, one core); in a virtual machine that gives free memory back to its host up to 0.3.
//
// What holds: a file that is offered is nobody's until one thread takes it out of the shared word; whoever has it may write
// over it, or delete it. Its bytes count as the log's until it is deleted.
import { type Files, quietly } from "./files.ts";
import type { LogControl } from "./logControl.ts";
import { spareName } from "./segmentWriter.ts";

/** As many as are written between two checkpoints when a lot comes; the rest is deleted at once. */
const MOST = 4;
/** When none was needed for so long, they go. Milliseconds. */
const IDLE = 60_000;

export class Spares {
  readonly #files: Files;
  readonly #directory: string;
  readonly #control: LogControl;
  /** Not offered yet. */
  #waiting: { ordinal: number; bytes: number }[] = [];
  #offered: { ordinal: number; bytes: number } | undefined;
  #neededAt = 0;

  /** Those that an earlier run left behind are deleted; what cannot be now is at the next start. */
  constructor(files: Files, directory: string, control: LogControl) {
    this.#files = files;
    this.#directory = directory;
    this.#control = control;
    quietly(() => {
      for (const name of files.list(directory))
        if (/^\d{10}\.spare$/.test(name)) quietly(() => files.remove(`${directory}/${name}`));
    });
  }

  get room(): boolean {
    return this.#waiting.length < MOST;
  }

  /** Takes the file at `path`, of that many bytes. Throws what the file system throws. */
  add(ordinal: number, path: string, bytes: number): void {
    this.#files.rename(path, `${this.#directory}/${spareName(ordinal)}`);
    this.#waiting.push({ ordinal, bytes });
    this.#offer();
  }

  /** A new segment was begun. `now`: milliseconds, monotonic. */
  needed(now: number): void {
    this.#neededAt = now;
    this.#offer();
  }

  isIdle(now: number): boolean {
    return now - this.#neededAt > IDLE;
  }

  /** Deletes all that nobody has taken. Answers how many bytes those were. */
  clear(): number {
    const taken = this.#control.takeSpare();
    if (this.#offered !== undefined && taken === this.#offered.ordinal) this.#waiting.push(this.#offered);
    this.#offered = undefined;
    let bytes = 0;
    this.#waiting = this.#waiting.filter((spare) => {
      try {
        this.#files.remove(`${this.#directory}/${spareName(spare.ordinal)}`);
      } catch {
        return true;
      }
      bytes += spare.bytes;
      return false;
    });
    return bytes;
  }

  #offer(): void {
    if (this.#control.spare !== 0) return;
    this.#offered = this.#waiting.pop();
    if (this.#offered !== undefined) this.#control.spare = this.#offered.ordinal;
  }
}
