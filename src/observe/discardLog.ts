// Tells of discards without drowning the log: the first of a kind at once, then sums; and keeps samples for looking at.
import type { DiscardReason } from "./discards.ts";
import type { Log } from "./log.ts";
import type { DiscardSample } from "./status.ts";

const SAMPLES_KEPT = 10;
/** Names of topics come from anyone who may write: beyond so many, discards are summed up over all other topics. */
const TOPICS_TOLD_APART = 100;

interface Sum {
  topic: string | undefined;
  reason: DiscardReason;
  count: number;
}

export class DiscardLog {
  readonly #log: Pick<Log, "warn">;
  /** Milliseconds between sums of the same kind. */
  interval: number;
  readonly #sums = new Map<string, Sum>();
  readonly #samples = new Map<DiscardSample["reason"], DiscardSample[]>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Pick<Log, "warn">, interval: number) {
    this.#log = log;
    this.interval = interval;
  }

  readonly note = (topic: string | undefined, count: number, reason: DiscardReason): void => {
    const sum =
      this.#sums.get(`${reason} ${topic}`) ??
      (this.#sums.size < TOPICS_TOLD_APART ? undefined : this.#sums.get(reason));
    if (sum !== undefined) {
      sum.count += count;
      return;
    }
    const apart = this.#sums.size < TOPICS_TOLD_APART;
    const first = { topic: apart ? topic : undefined, reason, count };
    this.#write(first);
    this.#sums.set(apart ? `${reason} ${topic}` : reason, { ...first, count: 0 });
    this.#timer ??= setTimeout(() => this.flush(), this.interval);
  };

  /** Keeps the newest samples of each kind: the beginnings of what was turned away. */
  sample(input: DiscardSample["input"], reason: DiscardSample["reason"], prefixes: readonly Uint8Array[]): void {
    const at = Date.now();
    const fresh = prefixes.map((bytes) => ({ at, input, reason, prefix: Buffer.from(bytes).toString("base64") }));
    this.#samples.set(reason, [...(this.#samples.get(reason) ?? []), ...fresh].slice(-SAMPLES_KEPT));
  }

  samples(): DiscardSample[] {
    return [...this.#samples.values()].flat();
  }

  /** Writes what was summed up since the last line of each kind. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const sum of this.#sums.values()) if (sum.count > 0) this.#write(sum);
    this.#sums.clear();
  }

  #write({ topic, reason, count }: Sum): void {
    this.#log.warn("messages discarded", { reason, count, ...(topic === undefined ? {} : { topic }) });
  }
}
