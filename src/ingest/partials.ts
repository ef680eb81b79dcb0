// Bounds the memory of incomplete messages: beyond the limit, connections complete theirs one after the other.

/** One that may hold an incomplete message. */
export interface Holder {
  /** Memory held for it, in bytes. */
  readonly held: number;
}

/**
 * Below the limit all may read. Beyond it, of those that hold something only the one that began first may read on, so
 * it can always be completed: the limit is exceeded by one message at most. One that takes too long over it is named
 * by `overdue`, so that the others get their turn.
 */
export class Partials<H extends Holder> {
  readonly #limit: number;
  readonly #turn: number;
  /** What each holds, in the order in which they began. */
  readonly #holders = new Map<H, number>();
  #used = 0;
  #first: H | undefined;
  #turnSince = 0;

  /** `limit` in bytes, `turn` in milliseconds. */
  constructor(limit: number, turn: number) {
    this.#limit = limit;
    this.#turn = turn;
  }

  /** Notes what a holder holds now. True when that may have changed who may read. */
  note(holder: H, now: number): boolean {
    const before = this.#holders.get(holder) ?? 0;
    const { held } = holder;
    if (held === before) return false;
    return this.#set(holder, held, held - before, now);
  }

  /** Forgets one that is gone. True when that may have changed who may read. */
  forget(holder: H, now: number): boolean {
    const before = this.#holders.get(holder);
    return before === undefined ? false : this.#set(holder, 0, -before, now);
  }

  get crowded(): boolean {
    return this.#used > this.#limit;
  }

  mayRead(holder: H): boolean {
    return !this.crowded || holder === this.#first || !this.#holders.has(holder);
  }

  /** Milliseconds until the one whose turn it is takes too long; nothing when no one waits. */
  timeLeft(now: number): number | undefined {
    return this.#first === undefined ? undefined : Math.max(0, this.#turnSince + this.#turn - now);
  }

  /** The one that took too long while others waited. */
  overdue(now: number): H | undefined {
    return this.timeLeft(now) === 0 ? this.#first : undefined;
  }

  /** The one whose turn it is could not read, through no fault of its own. */
  excuse(now: number): void {
    this.#turnSince = now;
  }

  #set(holder: H, held: number, difference: number, now: number): boolean {
    const wasCrowded = this.crowded;
    this.#used += difference;
    if (held === 0) this.#holders.delete(holder);
    else this.#holders.set(holder, held);
    const first = this.crowded ? this.#holders.keys().next().value : undefined;
    const changed = first !== this.#first || wasCrowded !== this.crowded;
    if (first !== this.#first) {
      this.#first = first;
      this.#turnSince = now;
    }
    return changed;
  }
}
