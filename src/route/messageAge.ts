// How long messages have been here, whatever the wall clock does: a clock that is put right makes nothing old.
//
// Messages bear the time of the wall clock, since they have to outlast the process. While it runs, that is watched against
// the monotonic clock: what it jumps is taken off the age of all that came before. Where nothing tells how old a message
// is, its age is the least that it can be, so that no message is ever given up before its time.

/** A time in which the wall clock went as it should, and the jump that ended it. In milliseconds. */
interface Stretch {
  /** What the clock showed, at the least and at the most. */
  from: number;
  to: number;
  /** Above zero: forward. */
  jump: number;
}

/** In milliseconds. */
export interface Clocks {
  /** Since the epoch. */
  wall: () => number;
  monotonic: () => number;
}

/** What the clocks may differ by without a jump: drift, and the time between reading one and the other. Milliseconds. */
const TOLERATED = 500;
/** When the two clocks are not read within this many ms, they are read again: the process was put to sleep in between. */
const AT_ONCE = 20;
const TRIES = 5;
/** Jumps that are told apart. */
const JUMPS = 64;
/** No message was received before there was a bruce: 2026-01-01. Such a time is that of a clock that was never set. */
const FIRST_TIME = Date.UTC(2026, 0, 1);

export class MessageAge {
  readonly #clocks: Clocks;
  /** Those that are over, of this run; the first has what came before the run as well. */
  readonly #stretches: Stretch[] = [];
  /** On the monotonic clock. */
  readonly #startedAt: number;
  /** What the wall clock showed after the last jump, at the least. */
  #from = Number.NEGATIVE_INFINITY;
  /** The wall clock less the monotonic one, after the last jump. */
  #offset: number;
  #wall = 0;
  #monotonic = 0;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#read();
    this.#offset = this.#wall - this.#monotonic;
    this.#startedAt = this.#monotonic;
  }

  /** How old a message is that bears that time of the wall clock (0: nobody knows), at the least. Milliseconds. */
  of(receivedAt: number): number {
    this.look();
    if (receivedAt === 0) return 0;
    const age = this.#wall - receivedAt;
    const uptime = this.#monotonic - this.#startedAt;
    // The clock may have shown that time more than once: what counts is the least age that any of these leaves.
    let least = receivedAt >= this.#from - TOLERATED && age >= -TOLERATED ? age : Number.POSITIVE_INFINITY;
    let jumped = 0;
    for (let index = this.#stretches.length - 1; index >= 0; index--) {
      const { from, to, jump } = this.#stretches[index] as Stretch;
      jumped += jump;
      if (receivedAt >= from - TOLERATED && receivedAt <= to + TOLERATED) least = Math.min(least, age - jumped);
    }
    // Not in this run, by this clock.
    if (least === Number.POSITIVE_INFINITY) least = age < 0 ? uptime : age;
    return Math.max(0, receivedAt < FIRST_TIME ? Math.min(least, uptime) : least);
  }

  /** Looks whether the wall clock has jumped. To be called now and then, also when no age is asked for. */
  look(): void {
    const lookedAt = this.#monotonic;
    this.#read();
    const jump = this.#wall - this.#monotonic - this.#offset;
    if (Math.abs(jump) <= TOLERATED) return;
    this.#stretches.push({ from: this.#from, to: this.#wall - jump, jump });
    this.#offset += jump;
    this.#from = this.#wall - (this.#monotonic - lookedAt);
    if (this.#stretches.length > JUMPS) this.#merge();
  }

  /** The two oldest become one, in which nothing is older than it was. */
  #merge(): void {
    const [first, second] = this.#stretches.splice(0, 2) as [Stretch, Stretch];
    const jump = second.jump + Math.max(0, first.jump);
    this.#stretches.unshift({ from: first.from, to: Math.max(first.to, second.to), jump });
  }

  #read(): void {
    const { wall, monotonic } = this.#clocks;
    for (let tries = 0; tries < TRIES; tries++) {
      const before = monotonic();
      this.#wall = wall();
      this.#monotonic = monotonic();
      if (this.#monotonic - before < AT_ONCE) return;
    }
  }
}
