// Runs the linger clock: one timer, set to the next deadline.
import type { LingerClock } from "./lingerClock.ts";

export class LingerTimer {
  readonly #clock: LingerClock;
  readonly #now: () => number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #firesAt = Number.POSITIVE_INFINITY;

  constructor(clock: LingerClock, now: () => number) {
    this.#clock = clock;
    this.#now = now;
  }

  /** To be called after batches may have been opened; tells those whose time is over at once. */
  arm(): void {
    const now = this.#now();
    const next = this.#clock.expire(now);
    if (next >= this.#firesAt) return;
    clearTimeout(this.#timer);
    this.#firesAt = next;
    this.#timer = setTimeout(
      () => {
        this.#firesAt = Number.POSITIVE_INFINITY;
        this.arm();
      },
      Math.max(1, next - now),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
