// Shared memory by which the two threads speak while the input thread never returns to its event loop.
import type { InputCounters, InputKind } from "./report.ts";

/** Word: set to 1 by the main thread: stop. */
export const STOP = 0;
/** Word: set to 1 by the main thread, after STOP: nothing more will be delivered. */
export const FLUSHED = 2;
/** Word: set to 1 by the main thread, after STOP: what is not in the queue by now is given up. */
export const ABANDON = 3;
/** Word: set to 1 by the input thread when it posts a report, to 0 by the main thread when it has it. */
export const REPORT_OUT = 1;

const WORDS = 4;
const COUNTERS_AT = 64;
const KINDS: readonly InputKind[] = ["datagram", "stream", "tcp"];
const FIELDS = 5;

/** All 0. */
export function createControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(COUNTERS_AT + KINDS.length * FIELDS * 8);
}

/** The words, for Atomics. */
export function controlWords(control: SharedArrayBuffer): Int32Array {
  return new Int32Array(control, 0, WORDS);
}

/** The counters of an input. The input thread writes them as it goes; reading them costs it nothing. */
export class SharedCounters implements InputCounters {
  readonly #values: Float64Array;

  constructor(control: SharedArrayBuffer, kind: InputKind) {
    this.#values = new Float64Array(control, COUNTERS_AT + KINDS.indexOf(kind) * FIELDS * 8, FIELDS);
  }

  get messages(): number {
    return this.#values[0] as number;
  }

  set messages(value: number) {
    this.#values[0] = value;
  }

  get bytes(): number {
    return this.#values[1] as number;
  }

  set bytes(value: number) {
    this.#values[1] = value;
  }

  get uncleanDisconnects(): number {
    return this.#values[2] as number;
  }

  set uncleanDisconnects(value: number) {
    this.#values[2] = value;
  }

  get accepted(): number {
    return this.#values[3] as number;
  }

  set accepted(value: number) {
    this.#values[3] = value;
  }

  get open(): number {
    return this.#values[4] as number;
  }

  set open(value: number) {
    this.#values[4] = value;
  }

  /** What they are at this moment. */
  copy(): InputCounters {
    const { messages, bytes, uncleanDisconnects, accepted, open } = this;
    return { messages, bytes, uncleanDisconnects, accepted, open };
  }
}
