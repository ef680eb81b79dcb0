// Tells of discards without drowning the log: the first of a kind at once, then sums; and keeps samples for looking at.
import type { DiscardReason } from "./discards.ts";
import type { Log } from "./log.ts";

/** Milliseconds between two log lines about the same reason and topic. */
const INTERVAL = 10_000;
const SAMPLES_KEPT = 10;

/** The beginning of a message that was turned away. */
export interface DiscardSample {
  at: number;
  input: string;
  reason: DiscardReason;
  prefix: Uint8Array;
}

export class DiscardLog {
  readonly #log: Log;
  readonly #pending = new Map<string, { topic: string | undefined; reason: DiscardReason; count: number }>();
  readonly #samples = new Map<DiscardReason, DiscardSample[]>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  readonly note = (topic: string | undefined, count: number, reason: DiscardReason): void => {
    const key = `${reason} ${topic ?? ""}`;
    const entry = this.#pending.get(key);
    if (entry !== undefined) {
      entry.count += count;
      return;
    }
    this.#write(topic, reason, count);
    this.#pending.set(key, { topic, reason, count: 0 });
    this.#timer ??= setTimeout(() => this.flush(), INTERVAL);
  };

  /** Keeps the newest samples of each reason. */
  sample(input: string, reason: DiscardReason, prefixes: readonly Uint8Array[]): void {
    const kept = this.#samples.get(reason) ?? [];
    for (const prefix of prefixes) kept.push({ at: Date.now(), input, reason, prefix });
    this.#samples.set(reason, kept.slice(-SAMPLES_KEPT));
  }

  samples(): DiscardSample[] {
    return [...this.#samples.values()].flat();
  }

  /** Writes what was summed up since the last line of each kind. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { topic, reason, count } of this.#pending.values()) if (count > 0) this.#write(topic, reason, count);
    this.#pending.clear();
  }

  #write(topic: string | undefined, reason: DiscardReason, count: number): void {
    this.#log.warn("messages discarded", { reason, count, ...(topic === undefined ? {} : { topic }) });
  }
}
