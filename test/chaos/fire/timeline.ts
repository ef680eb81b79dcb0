// When the messages of a group of topics came into Kafka, and how long they took: by Kafka's own clock, from the topics.
import { Histogram } from "./histogram.ts";

/** Milliseconds of a slice of time, by which all is counted. */
const SLICE = 250;
/** A partition into which nothing came for so long is taken down as having stood still, ms. */
const STALL = 250;

/** From a moment (ms since the epoch) to another, exclusive. */
export interface Span {
  from: number;
  to: number;
}

interface Slice {
  latency: Histogram;
  /** When the last of the messages sent in it came in. */
  lastAppended: number;
}

export class Timeline {
  readonly #bySent = new Map<number, Slice>();
  readonly #byAppended = new Map<number, Histogram>();
  readonly #stalls: Span[] = [];
  readonly #newest = new Map<string, number>();

  /** One message. */
  add(sentAt: number, appendedAt: number): void {
    const slice = this.#bySent.get(sliceOf(sentAt)) ?? { latency: new Histogram(), lastAppended: 0 };
    this.#bySent.set(sliceOf(sentAt), slice);
    slice.latency.add(appendedAt - sentAt);
    slice.lastAppended = Math.max(slice.lastAppended, appendedAt);
    const appended = this.#byAppended.get(sliceOf(appendedAt)) ?? new Histogram();
    this.#byAppended.set(sliceOf(appendedAt), appended);
    appended.add(appendedAt - sentAt);
  }

  /** One batch; those of a partition in order. */
  batch(partition: string, appendedAt: number): void {
    const before = this.#newest.get(partition);
    this.#newest.set(partition, appendedAt);
    if (before !== undefined && appendedAt - before >= STALL) this.#stalls.push({ from: before, to: appendedAt });
  }

  /** How long the messages took that were sent meanwhile; at the resolution of a slice. */
  latency(...spans: Span[]): Histogram {
    const all = new Histogram();
    for (const { from, to } of spans)
      for (let slice = sliceOf(from) + 1; slice < sliceOf(to); slice++) {
        const found = this.#bySent.get(slice);
        if (found !== undefined) all.addAll(found.latency);
      }
    return all;
  }

  /** How long, at most, nothing came into one of the partitions meanwhile. Below STALL it is 0. */
  longestStall({ from, to }: Span): number {
    return this.#stalls.reduce((longest, stall) => {
      const within = Math.min(stall.to, to) - Math.max(stall.from, from);
      // What was long over, or had hardly begun, belongs to what came before or after.
      return within >= STALL ? Math.max(longest, stall.to - stall.from) : longest;
    }, 0);
  }

  /**
   * Milliseconds from `since` until all that was sent before has come in, and what comes takes at most `usual` ms (p99 of
   * a slice); undefined when that was not before `until`.
   */
  recovered(since: number, until: number, usual: number): number | undefined {
    let done = since;
    for (const [slice, { lastAppended }] of this.#bySent)
      if ((slice + 1) * SLICE <= since) done = Math.max(done, lastAppended);
    for (let slice = sliceOf(done); slice * SLICE < until; slice++) {
      const appended = this.#byAppended.get(slice);
      if (appended !== undefined && appended.quantile(0.99) <= usual) return Math.max(done, slice * SLICE) - since;
    }
    return undefined;
  }
}

function sliceOf(time: number): number {
  return Math.floor(time / SLICE);
}
