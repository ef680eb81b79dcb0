// Tells which open batches have lingered long enough. Deadlines of one linger come in order, so a line per linger suffices.

/** Something with a deadline. */
export interface Lingering {
  /** Called when the deadline is over, also when there is nothing left that it was for. */
  lingered(): void;
}

/** Pure: the time comes in. Milliseconds of the monotonic clock. */
export class LingerClock {
  /** By linger: deadlines in the order in which they come. Each is in a line once, so a long linger gathers nothing. */
  readonly #lines = new Map<number, Map<Lingering, number>>();

  /** The deadline of `who` is `linger` after `now`; one that it had before with this linger is forgotten. */
  add(who: Lingering, now: number, linger: number): void {
    let line = this.#lines.get(linger);
    if (line === undefined) {
      line = new Map();
      this.#lines.set(linger, line);
    }
    line.delete(who); // to the end of the line
    line.set(who, now + linger);
  }

  /** Tells all whose deadline is over; returns the next deadline, or Infinity. */
  expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [linger, line] of this.#lines) {
      for (const [who, deadline] of line) {
        if (deadline > now) {
          next = Math.min(next, deadline);
          break;
        }
        line.delete(who);
        who.lingered();
      }
      if (line.size === 0) this.#lines.delete(linger);
    }
    return next;
  }
}
