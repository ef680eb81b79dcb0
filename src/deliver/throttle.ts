// How long a broker wants silence from us. It goes for all connections to it, those there are and those to come (KIP-219).

export class Throttle {
  /** ms in total that it has asked for since the start. */
  total = 0;
  /** The latest end that a connection told of, on its clock. */
  #told = 0;
  /** The same on the clock of `now`. */
  #until = Number.NEGATIVE_INFINITY;

  /** A connection was told to be silent until `until`, on its clock, which shows `clock`. Returns whether a silence begins. */
  tell(until: number, clock: number, now: number): boolean {
    if (until <= this.#told) return false;
    this.#told = until;
    const begins = this.#until <= now;
    const end = now + until - clock;
    this.total += Math.max(0, end - Math.max(now, this.#until));
    this.#until = Math.max(this.#until, end);
    return begins && this.#until > now;
  }

  /** ms that are left; 0: it may be sent to. */
  left(now: number): number {
    return Math.max(0, this.#until - now);
  }
}
