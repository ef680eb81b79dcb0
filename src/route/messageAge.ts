// How long messages have been here, whatever the wall clock does: a clock that is put right makes nothing old.
//
// Messages bear the time of the wall clock, since they have to outlast the process. While it runs, that is watched against
// the monotonic clock: what it jumps is taken off the age of all that came before. Where nothing tells how old a message
// is, its age is the least that it can be, so that no message is ever given up before its time.

/** A jump of the wall clock, in milliseconds. */
interface Jump {
  /** What bears this time or an earlier one came before the jump for certain. */
  upTo: number;
  /** Above zero: forward. */
  by: number;
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
  readonly #jumps: Jump[] = [];
  /** On the monotonic clock. */
  readonly #startedAt: number;
  /** On the monotonic clock: what bears a time that is yet to come was here by then. */
  #hereBy: number;
  /** The wall clock less the monotonic one, after the last jump. */
  #offset: number;
  #wall = 0;
  #monotonic = 0;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#read();
    this.#offset = this.#wall - this.#monotonic;
    this.#startedAt = this.#hereBy = this.#monotonic;
  }

  /** How old a message is that bears that time of the wall clock (0: nobody knows), at the least. Milliseconds. */
  of(receivedAt: number): number {
    this.look();
    if (receivedAt === 0) return 0;
    // It came before the clock was put back, or by the clock of an earlier run.
    if (receivedAt > this.#wall + TOLERATED) return this.#monotonic - this.#hereBy;
    let age = this.#wall - receivedAt;
    for (const { upTo, by } of this.#jumps) if (receivedAt <= upTo) age -= by;
    if (receivedAt < FIRST_TIME) age = Math.min(age, this.#monotonic - this.#startedAt);
    return Math.max(0, age);
  }

  /** Looks whether the wall clock has jumped. To be called now and then, also when no age is asked for. */
  look(): void {
    this.#read();
    const by = this.#wall - this.#monotonic - this.#offset;
    if (Math.abs(by) <= TOLERATED) return;
    this.#jumps.push({ upTo: Math.min(this.#wall - by, this.#wall), by });
    this.#offset += by;
    if (by < 0) this.#hereBy = this.#monotonic;
    if (this.#jumps.length > JUMPS) this.#merge();
  }

  /** The two oldest become one, for which nothing is older than it is. */
  #merge(): void {
    const [first, second] = this.#jumps.splice(0, 2) as [Jump, Jump];
    this.#jumps.unshift({
      upTo: Math.max(first.upTo, second.upTo),
      by: Math.max(0, first.by) + Math.max(0, second.by),
    });
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
