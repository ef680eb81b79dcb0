// Reports of the input thread: at most ten a second, at most one that the main thread has not had yet.
import { REPORT_OUT } from "./control.ts";
import type { DiscardTally } from "./discardTally.ts";
import type { Intake } from "./intake.ts";
import { type IngestNews, type InputKind, SAMPLE_SIZE, SAMPLES } from "./report.ts";

/** Milliseconds from one report to the next. */
const INTERVAL = 100;

export class Reporter {
  readonly #control: Int32Array;
  readonly #discards: DiscardTally;
  readonly #post: (report: IngestNews) => void;
  #unclean: { input: InputKind; sample: Uint8Array }[] = [];
  #dirty = false;
  #next = 0;

  constructor(control: Int32Array, discards: DiscardTally, post: (report: IngestNews) => void) {
    this.#control = control;
    this.#discards = discards;
    this.#post = post;
  }

  /** A connection has come or gone. */
  touch(): void {
    this.#dirty = true;
  }

  /** A connection ended inside a message that begins with `sample`, or by an error. */
  unclean(intake: Intake, sample: Buffer | undefined): void {
    intake.counters.uncleanDisconnects++;
    this.#dirty = true;
    if (sample === undefined || this.#unclean.length >= SAMPLES) return;
    this.#unclean.push({ input: intake.kind, sample: new Uint8Array(sample.subarray(0, SAMPLE_SIZE)) });
  }

  /** Good messages are no news, they are counted in shared memory: a poll that waits for more needs no timeout. */
  get #pending(): boolean {
    return this.#dirty || !this.#discards.empty;
  }

  /** Milliseconds until `turn` may have something to do; nothing when there is nothing to report. */
  timeLeft(now: number): number | undefined {
    if (!this.#pending) return undefined;
    // The main thread does not say when it has a report; a busy one is looked after again in a while.
    if (Atomics.load(this.#control, REPORT_OUT) !== 0) return INTERVAL;
    return Math.max(0, this.#next - now);
  }

  /** Posts a report if one is due; the last one in any case. */
  turn(now: number, last = false): void {
    if (!last) {
      if (!this.#pending || now < this.#next || Atomics.load(this.#control, REPORT_OUT) !== 0) return;
    }
    this.#dirty = false;
    this.#next = now + INTERVAL;
    Atomics.store(this.#control, REPORT_OUT, 1);
    this.#post({ discards: this.#discards.take(), uncleanSamples: this.#unclean });
    this.#unclean = [];
  }
}
