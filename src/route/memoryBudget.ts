// How much memory batches and held messages may take, and who waits when it is used up.

/** Bytes in use against a cap. Room that comes back is announced once to whoever asked. */
export class MemoryBudget {
  readonly cap: number;
  used = 0;
  #waiting: (() => void) | undefined;
  /** `#waiting` is called when less than this is in use. */
  #threshold = 0;
  #onLess: (() => void) | undefined;
  readonly #lender: MemoryBudget | undefined;

  /** What is in use beyond the cap counts with `lender` as well: it has so much less to give. */
  constructor(cap: number, lender?: MemoryBudget) {
    this.cap = cap;
    this.#lender = lender;
  }

  /** Bytes beyond the cap. */
  get overflow(): number {
    return Math.max(0, this.used - this.cap);
  }

  get full(): boolean {
    return this.used >= this.cap;
  }

  /** Adds (or with a negative number gives back) bytes. */
  add(bytes: number): void {
    const before = this.overflow;
    this.used += bytes;
    if (this.#lender !== undefined && this.overflow !== before) this.#lender.add(this.overflow - before);
    if (bytes < 0 && this.#waiting !== undefined && this.used < this.#threshold) {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting();
    }
    if (bytes < 0 && this.#onLess !== undefined) {
      const onLess = this.#onLess;
      this.#onLess = undefined;
      onLess();
    }
  }

  /** Calls `callback` once, when any of it is given back. */
  onLess(callback: (() => void) | undefined): void {
    this.#onLess = callback;
  }

  /**
   * Calls `callback` once, when there is room again. If more than the cap is in use, it calls back as soon as less is:
   * it may take what waits for the call, moved on bit by bit, to get below the cap.
   */
  onRoom(callback: () => void): void {
    this.#waiting = callback;
    this.#threshold = Math.max(this.cap, this.used);
  }
}

/** What one user takes of a budget. It can move to another budget as a whole: from messages on their way to held ones. */
export class MemoryUse {
  used = 0;
  #budget: MemoryBudget;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  add(bytes: number): void {
    this.used += bytes;
    this.#budget.add(bytes);
  }

  get budget(): MemoryBudget {
    return this.#budget;
  }

  moveTo(budget: MemoryBudget): void {
    if (budget === this.#budget) return;
    const from = this.#budget;
    this.#budget = budget;
    budget.add(this.used);
    from.add(-this.used);
  }
}
