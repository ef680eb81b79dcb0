// How many messages of each topic are in segments that were not read yet, without keeping the indexes of all of them.

type Counts = ReadonlyMap<string, number>;

/** Sums what segments have, and takes it off again when they were read. */
export class TopicTotals {
  readonly #totals = new Map<string, number>();
  /** Segments that are in the totals, ascending. */
  readonly #counted = new Set<number>();
  readonly #countsOf: (ordinal: number) => Counts | undefined;

  /** `countsOf` reads a segment's index: a backlog has thousands of them, and each may name thousands of topics. */
  constructor(countsOf: (ordinal: number) => Counts | undefined) {
    this.#countsOf = countsOf;
  }

  add(ordinal: number, counts: Counts): void {
    if (this.#counted.has(ordinal)) return;
    this.#counted.add(ordinal);
    for (const [topic, count] of counts) this.#totals.set(topic, (this.#totals.get(topic) ?? 0) + count);
  }

  remove(ordinal: number): void {
    if (!this.#counted.delete(ordinal)) return;
    if (this.#counted.size === 0) {
      this.#totals.clear();
      return;
    }
    for (const [topic, count] of this.#countsOf(ordinal) ?? []) {
      const left = (this.#totals.get(topic) ?? 0) - count;
      if (left > 0) this.#totals.set(topic, left);
      else this.#totals.delete(topic);
    }
  }

  /** The totals, without the segments up to the one that is being read. */
  unread(reading: number): Counts {
    for (const ordinal of [...this.#counted]) if (ordinal <= reading) this.remove(ordinal);
    return this.#totals;
  }
}
