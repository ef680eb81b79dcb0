// How many messages of a topic may come in each interval of the wall clock.
import type { Rate } from "../config/settings.ts";

/**
 * Intervals are those of the clock ("10000/1s": from one full second to the next; "1/24h": a day in UTC), so a restart in
 * the middle of one, or a clock that is set, begins another at worst. What was received counts, and when it was: not when it
 * is routed, which is much later when there is a backlog.
 */
export class RateLimit {
  #rate: Rate | undefined;
  /** The interval that is counted, [from, to); milliseconds since the epoch. */
  #from = 0;
  #to = 0;
  #count = 0;

  /** Counts a message, received at `at`. Answers whether it is one too many. */
  exceeded(rate: Rate, at: number): boolean {
    if (at < this.#from || at >= this.#to || rate !== this.#rate) this.#begin(rate, at);
    if (this.#count >= rate.count) return true;
    this.#count++;
    return false;
  }

  #begin(rate: Rate, at: number): void {
    const from = Math.floor(at / rate.interval) * rate.interval;
    // Other settings may give more or less of the same interval: what came counts.
    if (from !== this.#from || from + rate.interval !== this.#to) this.#count = 0;
    this.#rate = rate;
    this.#from = from;
    this.#to = from + rate.interval;
  }
}
