// The Syncs of one level that one connection waits for, oldest first, in memory that is used again.

const FIRST_CAPACITY = 4;

export class SyncQueue {
  #capacity = FIRST_CAPACITY;
  /** What has to be reached: a message's number, or how many of the connection's questions are answered. */
  #goals = new Float64Array(FIRST_CAPACITY);
  /** Three for each: the token's two halves; the level as it was asked, and whether a message before it was discarded. */
  #words = new Int32Array(FIRST_CAPACITY * 3);
  #first = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  push(goal: number, tokenHigh: number, tokenLow: number, level: number, soiled: boolean): void {
    if (this.#count === this.#capacity) this.#grow();
    const at = (this.#first + this.#count++) % this.#capacity;
    this.#goals[at] = goal;
    this.#words[at * 3] = tokenHigh;
    this.#words[at * 3 + 1] = tokenLow;
    this.#words[at * 3 + 2] = level * 2 + (soiled ? 1 : 0);
  }

  // Of the one at `index`, counted from the oldest.

  goal(index: number): number {
    return this.#goals[this.#at(index)] as number;
  }

  tokenHigh(index: number): number {
    return this.#words[this.#at(index) * 3] as number;
  }

  tokenLow(index: number): number {
    return this.#words[this.#at(index) * 3 + 1] as number;
  }

  level(index: number): number {
    return (this.#words[this.#at(index) * 3 + 2] as number) >> 1;
  }

  soiled(index: number): boolean {
    return ((this.#words[this.#at(index) * 3 + 2] as number) & 1) !== 0;
  }

  /** Forgets the oldest `count`. */
  drop(count: number): void {
    this.#first = (this.#first + count) % this.#capacity;
    this.#count -= count;
  }

  #at(index: number): number {
    return (this.#first + index) % this.#capacity;
  }

  #grow(): void {
    const goals = new Float64Array(this.#capacity * 2);
    const words = new Int32Array(this.#capacity * 6);
    for (let index = 0; index < this.#count; index++) {
      const at = this.#at(index);
      goals[index] = this.#goals[at] as number;
      words.set(this.#words.subarray(at * 3, at * 3 + 3), index * 3);
    }
    this.#goals = goals;
    this.#words = words;
    this.#capacity *= 2;
    this.#first = 0;
  }
}
