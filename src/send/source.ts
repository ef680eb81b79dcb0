// The inputs in their order, one open at a time.
import type { Framer } from "./framer.ts";
import { closeInput, type Input, openInput, readInput } from "./inputs.ts";

/** Reads one input after the other. An input that cannot be read is the last. */
export class Source {
  /** Why an input could not be read. */
  problem: string | undefined;
  readonly #rest: Input[];
  #current: Input | undefined;
  #fd = -1;
  #ended = false;

  constructor(inputs: Input[]) {
    this.#rest = [...inputs];
  }

  /** Of the input being read. */
  get name(): string {
    return this.#current?.name ?? "";
  }

  /** To be polled while `reading`. */
  get fd(): number {
    return this.#fd;
  }

  /** An input is open and was not read to its end. */
  get reading(): boolean {
    return this.#current !== undefined && !this.#ended;
  }

  /** There is no input any more. */
  get done(): boolean {
    return this.#current === undefined && this.#rest.length === 0;
  }

  /** Reads what there is, up to the room that the framer has. */
  read(framer: Framer): void {
    if (this.#current === undefined) return;
    framer.space();
    const count = readInput(this.#current, this.#fd, framer.bytes, framer.end);
    if (typeof count === "object") this.#fail(count.problem);
    else if (count === 0) this.#ended = true;
    else if (count !== undefined) framer.filled(count);
  }

  /** Leaves the input that ended for the next one; false when that was the last. */
  next(): boolean {
    this.close();
    this.#current = this.#rest.shift();
    if (this.#current === undefined) return false;
    const opened = openInput(this.#current);
    if ("fd" in opened) this.#fd = opened.fd;
    else this.#fail(opened.problem);
    return true;
  }

  /** Reads no further. */
  drop(): void {
    this.close();
    this.#rest.length = 0;
    this.#current = undefined;
  }

  close(): void {
    if (this.#current !== undefined && this.#fd >= 0) closeInput(this.#current, this.#fd);
    this.#fd = -1;
    this.#ended = false;
  }

  #fail(problem: string): void {
    this.problem = problem;
    this.#ended = true;
    this.#rest.length = 0;
  }
}
