// A clock that passes only as fast as the work of a simulation is done, and the chance that goes with it, both repeatable.
import { drainMicrotasks } from "bun:jsc";

/** Milliseconds that can be planned ahead; what is later is looked at again then. */
const WHEEL = 1 << 20;

/** Of its time, ms. */
const COLLECT_EVERY = 10_000;

interface Planned {
  at: number;
  callback: (() => void) | undefined;
}

/** Whole milliseconds. What is planned for the same one happens in the order in which it was planned. */
export class Clock {
  readonly #wheel: (Planned[] | undefined)[] = new Array(WHEEL);
  #now = 0;
  #collectedAt = 0;

  now = (): number => this.#now;

  /** Calls back after so many ms, at least one; returns what calls it off. */
  after = (delay: number, callback: () => void): (() => void) => {
    const planned: Planned = { at: this.#now + Math.max(1, Math.round(delay)), callback };
    this.#plan(planned);
    return () => {
      planned.callback = undefined;
    };
  };

  /** Lets time pass until `end`, or until `over` says so, which is looked at every `step` ms; returns when it stopped. */
  run(end: number, over: () => boolean = () => false, step = 100): number {
    for (; this.#now < end; this.#now++) {
      if (this.#now % step === 0 && over()) break;
      const due = this.#wheel[this.#now % WHEEL];
      if (due === undefined) continue;
      this.#wheel[this.#now % WHEEL] = undefined;
      for (const planned of due) {
        if (planned.at > this.#now) this.#plan(planned);
        else planned.callback?.();
      }
      // All promises that can settle do so before time goes on.
      drainMicrotasks();
      // Without turns of the event loop memory is given back late.
      if (this.#now - this.#collectedAt >= COLLECT_EVERY) {
        this.#collectedAt = this.#now;
        Bun.gc(true);
      }
    }
    return this.#now;
  }

  #plan(planned: Planned): void {
    if (planned.callback === undefined) return;
    const slot = Math.min(planned.at, this.#now + WHEEL - 1) % WHEEL;
    this.#wheel[slot] ??= [];
    this.#wheel[slot].push(planned);
  }
}

/** Random numbers in [0, 1), the same for the same seed: mulberry32. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
