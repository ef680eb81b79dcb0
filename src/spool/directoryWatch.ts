// A data directory that could not be used at the start: looks now and then whether a restart would find it usable.
//
// It is not taken into use while bruce runs. What is in it (messages that are older than those in memory, the numbers and
// sequences that were given, sessions, the ledger) has to be known before the first message is taken, or order, exactly-once
// delivery and the ledger would be those of two daemons.
import { type DirectoryProblem, openDataDirectory } from "./dataDirectory.ts";
import type { Files } from "./files.ts";
import { nodeFiles } from "./files.ts";

export interface DirectoryWatchParts {
  path: string;
  /** What was wrong at the start. */
  problem: DirectoryProblem;
  /** It can be used now, or (false) not any more. */
  onChange: (usable: boolean) => void;
  files?: Files;
  /** Between two looks, in milliseconds. */
  interval?: number;
}

const INTERVAL = 10_000;

export class DirectoryWatch {
  readonly #parts: DirectoryWatchParts;
  readonly #timer: ReturnType<typeof setInterval>;
  #problem: DirectoryProblem | undefined;

  constructor(parts: DirectoryWatchParts) {
    this.#parts = parts;
    this.#problem = parts.problem;
    this.#timer = setInterval(() => this.look(), parts.interval ?? INTERVAL);
  }

  /** Why messages are in memory alone, and what to do. */
  get reason(): string {
    if (this.#problem !== undefined) return this.#problem.message;
    return `the data directory ${this.#parts.path} (buffer.path) could not be used at the start, and can be now: restart bruce`;
  }

  /** Looks now. */
  look(): void {
    const { path, files = nodeFiles, onChange } = this.#parts;
    const opened = openDataDirectory(path, files);
    const problem = "problem" in opened ? opened.problem : undefined;
    if ("lock" in opened) opened.lock.release();
    const changed = (problem === undefined) !== (this.#problem === undefined);
    this.#problem = problem;
    if (changed) onChange(problem === undefined);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
