// What the reader of a ring does when it has read everything: it looks again in a moment, and then sleeps.
import type { RingReader } from "./ring.ts";

/**
 * How long a reader that has read everything waits until it looks again, before it asks to be woken. Milliseconds.
 * While messages keep coming it then looks a thousand times a second, and has the writer append what it has gathered: a
 * message from thread to thread for each few datagrams, or a timer in the writer's poll, costs more than the datagrams do.
 */
const LOOK_AGAIN = 1;
/** A reader that is busy, or has no room for more, has the writer append what it has gathered this often. Milliseconds. */
const MEANWHILE = 10;

export class ReaderRest {
  /** Called once each time there may be something to read after `rest`. */
  onReadable: () => void = () => {};
  readonly #ring: RingReader;
  readonly #atEnd: () => boolean;
  /** "looking": it will look again by itself. "asleep": the writer has been asked to wake it. */
  #state: "awake" | "looking" | "asleep" | "over" = "awake";
  /** Runs while there is a promise. */
  #meanwhile: ReturnType<typeof setInterval> | undefined;

  /** `atEnd`: nothing is to be read that is not in the ring. */
  constructor(ring: RingReader, atEnd: () => boolean) {
    this.#ring = ring;
    this.#atEnd = atEnd;
  }

  /** There is nothing to read. */
  rest(): void {
    if (this.#state !== "awake") return;
    this.#state = "looking";
    this.#lookSoon();
  }

  /** What there is cannot be read now: to be tried again after `delay` ms. */
  retryIn(delay: number): void {
    if (this.#state !== "awake") return;
    this.#state = "looking";
    this.#promiseNothing();
    setTimeout(() => this.#awake(), delay);
  }

  /** The writer says that it has appended something. */
  wake(): void {
    if (this.#state === "asleep") this.#awake();
  }

  stop(): void {
    this.#state = "over";
    this.#promiseNothing();
  }

  #lookSoon(): void {
    const ring = this.#ring;
    ring.promise();
    setTimeout(() => {
      if (this.#state === "over") return;
      const comes = ring.lookAgain();
      if (comes && ring.empty && this.#atEnd()) {
        this.#lookSoon();
      } else if (!comes && this.#sleep()) {
        this.#state = "asleep";
        this.#promiseNothing();
      } else {
        this.#awake();
      }
    }, LOOK_AGAIN);
  }

  #promiseNothing(): void {
    clearInterval(this.#meanwhile);
    this.#meanwhile = undefined;
    this.#ring.lookAgain();
  }

  /** Has the writer wake this thread at its next append. False when there is something already. */
  #sleep(): boolean {
    if (!this.#ring.sleep()) return false;
    if (this.#atEnd()) return true;
    this.#ring.stayAwake();
    return false;
  }

  #awake(): void {
    if (this.#state === "over") return;
    this.#state = "awake";
    // Also while it reads: then above all it is good to have larger blocks to read.
    this.#ring.promise();
    this.#meanwhile ??= setInterval(() => this.#ring.nudge(), MEANWHILE);
    this.onReadable();
  }
}
