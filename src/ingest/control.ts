// Shared memory by which the two threads speak while the input thread never returns to its event loop.
import type { WhenFull } from "../config/settings.ts";
import type { InputCounters, InputKind, InputSettings } from "./report.ts";

/** Word: set to 1 by the main thread: stop. */
export const STOP = 0;
/** Word: set to 1 by the main thread, after STOP: nothing more will be delivered. */
export const FLUSHED = 2;
/** Word: set to 1 by the main thread, after STOP: what is not in the queue by now is given up. */
export const ABANDON = 3;
/** Word: set to 1 by the input thread when it posts a report, to 0 by the main thread when it has it. */
export const REPORT_OUT = 1;

/** Word: set to 1 by the main thread when the settings are other ones, to 0 by the input thread before it reads them. */
const CHANGED = 4;
const MAX_RECORD = 5;
const SYNC_ALWAYS = 6;
/** Of each kind of input, one behind the other. */
const MAX_MESSAGE = 7;
const WHEN_FULL = 10;

const WORDS = 13;
const COUNTERS_AT = 64;
const KINDS: readonly InputKind[] = ["datagram", "stream", "tcp"];
const FIELDS = 5;
const POLICIES: readonly WhenFull[] = ["block", "drop_newest", "drop_oldest"];

/** All 0. */
export function createControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(COUNTERS_AT + KINDS.length * FIELDS * 8);
}

/** The words, for Atomics. */
export function controlWords(control: SharedArrayBuffer): Int32Array {
  return new Int32Array(control, 0, WORDS);
}

/** Gives the input thread other settings; it has to be woken. */
export function putSettings(words: Int32Array, settings: InputSettings): void {
  Atomics.store(words, MAX_RECORD, settings.maxRecord);
  Atomics.store(words, SYNC_ALWAYS, settings.syncAlways ? 1 : 0);
  for (const [at, kind] of KINDS.entries()) {
    Atomics.store(words, MAX_MESSAGE + at, settings[kind].maxMessage);
    Atomics.store(words, WHEN_FULL + at, POLICIES.indexOf(settings[kind].whenFull));
  }
  Atomics.store(words, CHANGED, 1);
}

/** The settings, if there were new ones since this was last called. Should they change while they are read, so they will be again. */
export function takeSettings(words: Int32Array): InputSettings | undefined {
  if (Atomics.load(words, CHANGED) === 0) return undefined;
  Atomics.store(words, CHANGED, 0);
  const ofKind = (at: number) => ({
    maxMessage: Atomics.load(words, MAX_MESSAGE + at),
    whenFull: POLICIES[Atomics.load(words, WHEN_FULL + at)] as WhenFull,
  });
  return {
    maxRecord: Atomics.load(words, MAX_RECORD),
    syncAlways: Atomics.load(words, SYNC_ALWAYS) !== 0,
    ...{ datagram: ofKind(0), stream: ofKind(1), tcp: ofKind(2) },
  };
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
