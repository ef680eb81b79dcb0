// Counts durations so that quantiles come out within 3 %, however many there are.

/** Up to this many ms each has its own bin; then there are as many to each doubling. A power of two. */
const FINE = 32;
const DOUBLINGS = 20;

export class Histogram {
  readonly #bins = new Uint32Array(FINE * (DOUBLINGS + 1));
  count = 0;
  max = 0;

  /** Milliseconds; clocks of one machine may still be a little apart between cores: less than 0 is 0. */
  add(duration: number): void {
    const value = Math.max(0, Math.round(duration));
    this.#bins[binOf(value)] = (this.#bins[binOf(value)] ?? 0) + 1;
    this.count++;
    if (value > this.max) this.max = value;
  }

  addAll(other: Histogram): void {
    other.#bins.forEach((count, bin) => {
      this.#bins[bin] = (this.#bins[bin] ?? 0) + count;
    });
    this.count += other.count;
    this.max = Math.max(this.max, other.max);
  }

  /** The upper end of the bin that `part` (0 to 1) of them are within; 0 when there are none. */
  quantile(part: number): number {
    let left = Math.ceil(this.count * part);
    for (let bin = 0; bin < this.#bins.length && left > 0; bin++) {
      left -= this.#bins[bin] as number;
      if (left <= 0) return Math.min(endOf(bin), this.max);
    }
    return 0;
  }
}

function binOf(value: number): number {
  if (value < FINE) return value;
  const doubling = Math.min(Math.floor(Math.log2(value / FINE)), DOUBLINGS - 1);
  return FINE + doubling * FINE + Math.min(Math.floor(value / 2 ** doubling) - FINE, FINE - 1);
}

function endOf(bin: number): number {
  if (bin < FINE) return bin;
  const doubling = Math.floor(bin / FINE) - 1;
  return (FINE + (bin % FINE) + 1) * 2 ** doubling - 1;
}
