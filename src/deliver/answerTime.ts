// How long a broker takes to answer, and from when on that is unusual.

/** A request is given so long at least, ms: brokers pause (garbage, a slow disk, an election) for tenths of a second. */
const LEAST = 500;
/** And so many times what the broker takes as a rule. */
const TIMES = 4;
/** What is taken for the rule before there was an answer, ms: the first requests may go far, to a broker that is busy. */
const AT_FIRST = 250;
/** The weight of the newest answer. */
const WEIGHT = 1 / 8;

export class AnswerTime {
  #smoothed = AT_FIRST;

  /** After so many ms without an answer something is wrong. */
  get patience(): number {
    return Math.max(LEAST, TIMES * this.#smoothed);
  }

  /** An answer took `ms`. One that took very long raises the patience in steps: it may have been an exception. */
  add(ms: number): void {
    this.#smoothed += (Math.min(ms, 2 * this.patience) - this.#smoothed) * WEIGHT;
  }
}
