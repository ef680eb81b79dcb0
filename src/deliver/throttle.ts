// How long a broker wants silence from us. It goes for all connections to it, those there are and those to come (KIP-219).

export class Throttle {
  /** ms in total that it has asked for since the start. */
  total = 0;
  /** The latest end that a connection told of, ms since the epoch. */
  #told = 0;
  /** The same on the clock of `now`, which nobody sets. */
  #until = Number.NEGATIVE_INFINITY;

  /** A connection was told to be silent until `until`, ms since the epoch. Returns whether a silence begins with that. */
  tell(until: number, wallClock: number, now: number): boolean {
    if (until <= this.#told) return false;
    this.#told = until;
    const begins = this.#until <= now;
    const end = now + until - wallClock;
    this.total += Math.max(0, end - Math.max(now, this.#until));
    this.#until = Math.max(this.#until, end);
    return begins && this.#until > now;
  }

  /** ms that are left; 0: it may be sent to. */
  left(now: number): number {
    return Math.max(0, this.#until - now);
  }
}
