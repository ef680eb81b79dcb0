// Tells which open batches have lingered long enough. Deadlines of one linger come in order, so a line per linger suffices.

/** Something with a deadline; `lingering` is asked when it comes: has it been closed since? */
export interface Lingering {
  /** Called when the deadline is over. */
  lingered(token: object): void;
}

interface Entry {
  deadline: number;
  who: Lingering;
  token: object;
}

interface Line {
  entries: Entry[];
  head: number;
}

/** Pure: the time comes in. Milliseconds of the monotonic clock. */
export class LingerClock {
  readonly #lines = new Map<number, Line>();

  /** `token` is handed back, so that `who` can see whether it still is the batch that was meant. */
  add(who: Lingering, token: object, now: number, linger: number): void {
    let line = this.#lines.get(linger);
    if (line === undefined) {
      line = { entries: [], head: 0 };
      this.#lines.set(linger, line);
    }
    line.entries.push({ deadline: now + linger, who, token });
  }

  /** Tells all whose deadline is over; returns the next deadline, or Infinity. */
  expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [linger, line] of this.#lines) {
      while (line.head < line.entries.length) {
        const entry = line.entries[line.head] as Entry;
        if (entry.deadline > now) break;
        line.head++;
        entry.who.lingered(entry.token);
      }
      if (line.head === line.entries.length) {
        this.#lines.delete(linger);
        continue;
      }
      if (line.head > 1024 && line.head * 2 > line.entries.length) {
        line.entries.splice(0, line.head);
        line.head = 0;
      }
      next = Math.min(next, (line.entries[line.head] as Entry).deadline);
    }
    return next;
  }
}
