// Sets of numbers as an application gets its receipts: few long ranges, however many messages there are.

export class Ranges {
  /** Begin and end (exclusive) of each, ascending and apart. */
  readonly #bounds: number[] = [];
  count = 0;

  /** Adds [from, to), which lies behind all that is there, or continues the last. */
  add(from: number, to: number): void {
    if (to <= from) return;
    const last = this.#bounds.length - 1;
    if (from < (this.#bounds[last] ?? 0)) throw new Error(`${from} lies within what is there already`);
    if (this.#bounds[last] === from) this.#bounds[last] = to;
    else this.#bounds.push(from, to);
    this.count += to - from;
  }

  forEach(visit: (number: number) => void): void {
    for (let at = 0; at < this.#bounds.length; at += 2) {
      const end = this.#bounds[at + 1] as number;
      for (let number = this.#bounds[at] as number; number < end; number++) visit(number);
    }
  }
}

/** A set of numbers, of one bit each. */
export class Bits {
  readonly #bytes: Uint8Array;
  readonly length: number;

  constructor(length: number) {
    this.length = length;
    this.#bytes = new Uint8Array(Math.ceil(length / 8));
  }

  has(number: number): boolean {
    return ((this.#bytes[number >> 3] as number) & (1 << (number & 7))) !== 0;
  }

  add(number: number): void {
    (this.#bytes[number >> 3] as number) |= 1 << (number & 7);
  }
}
