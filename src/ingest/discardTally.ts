// Counts what is turned away at the inputs, by reason and topic, and keeps samples, until the next report.
import type { DiscardReason } from "../observe/discards.ts";
import { type InputDiscard, type InputKind, SAMPLE_SIZE, SAMPLES } from "./report.ts";

/** Topics told apart in one report; names come from anyone who may write. The rest is counted under no topic. */
const TOPICS = 1000;

export class DiscardTally {
  #entries = new Map<string, InputDiscard>();

  get empty(): boolean {
    return this.#entries.size === 0;
  }

  /** Counts one message of `size` bytes; bytes[start, end) is its beginning. */
  add(
    input: InputKind,
    reason: DiscardReason,
    topic: string | null,
    bytes: Buffer,
    start: number,
    end: number,
    size: number,
  ): void {
    const key = `${input} ${reason} ${topic ?? ""}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      if (topic !== null && this.#entries.size >= TOPICS) {
        this.add(input, reason, null, bytes, start, end, size);
        return;
      }
      entry = { input, reason, topic, count: 0, bytes: 0, samples: [] };
      this.#entries.set(key, entry);
    }
    entry.count++;
    entry.bytes += size;
    if (entry.samples.length < SAMPLES) {
      entry.samples.push(new Uint8Array(bytes.subarray(start, Math.min(end, start + SAMPLE_SIZE))));
    }
  }

  /** What was counted since the last time. */
  take(): InputDiscard[] {
    const discards = [...this.#entries.values()];
    this.#entries = new Map();
    return discards;
  }
}
