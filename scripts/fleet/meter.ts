// Counts what reaches the brokers, in tenths of a second, and says how it was spread.

/** Milliseconds that are counted together. */
const SLICE = 100;

/** Connections begun, taken, refused, and first packets that found the queue full; requests. */
export type Counted = "connections" | "accepted" | "refused" | "overflows" | "metadata" | "produce";
const KINDS: readonly Counted[] = ["connections", "accepted", "refused", "overflows", "metadata", "produce"];

export interface Spread {
  total: number;
  /** The most in one second, from any tenth on. */
  peak: number;
  /** What 99 % of the seconds stay at or below. */
  p99: number;
  mean: number;
  /** The most in one tenth of a second. */
  burst: number;
}

export class Meter {
  readonly #counts: Map<Counted, number[]>[];
  readonly #now: () => number;

  constructor(brokers: number, now: () => number) {
    this.#now = now;
    this.#counts = Array.from({ length: brokers }, () => new Map(KINDS.map((kind) => [kind, []])));
  }

  count(broker: number, kind: Counted): void {
    const slices = this.#counts[broker]?.get(kind) as number[];
    const slice = Math.floor(this.#now() / SLICE);
    slices[slice] = (slices[slice] ?? 0) + 1;
  }

  /** Of the whole cluster, from one time to another. */
  ofAll(kind: Counted, from: number, to: number): Spread {
    return spread(
      this.#counts.map((each) => each.get(kind) as number[]),
      from,
      to,
    );
  }

  /** Of the broker that had the most in one second, or in all. */
  ofOne(kind: Counted, from: number, to: number, most: "peak" | "total" = "peak"): Spread {
    const each = this.#counts.map((counts) => spread([counts.get(kind) as number[]], from, to));
    return each.reduce((worst, one) => (one[most] > worst[most] ? one : worst));
  }
}

function spread(all: number[][], from: number, to: number): Spread {
  const [first, last] = [Math.floor(from / SLICE), Math.max(Math.ceil(to / SLICE), Math.floor(from / SLICE) + 1)];
  const slices = Array.from({ length: last - first }, (_, at) =>
    all.reduce((sum, each) => sum + (each[first + at] ?? 0), 0),
  );
  const wide = 1000 / SLICE;
  const seconds: number[] = [];
  let sum = 0;
  for (const [at, count] of slices.entries()) {
    sum += count - (slices[at - wide] ?? 0);
    seconds.push(sum);
  }
  const total = slices.reduce((a, b) => a + b, 0);
  return {
    total,
    peak: Math.max(...seconds),
    p99: quantile(seconds, 0.99),
    mean: total / ((slices.length * SLICE) / 1000),
    burst: Math.max(...slices),
  };
}

/** The value that `share` of them stay at or below. */
export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
