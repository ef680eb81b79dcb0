// Checks datagrams, one message each, and gathers the good ones into blocks.
import { FRAME_HEADER, FrameFault, FrameReader } from "../wire/frame.ts";
import type { Intake } from "./intake.ts";
import { NOBODY } from "./source.ts";

/** May change between two datagrams. */
export interface DatagramLimits {
  maxMessage: number;
  /** The most bytes that key and value may have together. */
  maxPayload: number;
}

/** Knows no sockets: the caller puts a datagram at `at` and says how long it was. */
export class DatagramGatherer {
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;
  readonly #limits: DatagramLimits;
  readonly #intake: Intake;
  readonly #reader = new FrameReader();
  #at: number;
  #count = 0;

  /** bytes[start, end) is where datagrams are put; it has room for at least one of the longest that there may ever be. */
  constructor(bytes: Buffer, start: number, end: number, limits: DatagramLimits, intake: Intake) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#limits = limits;
    this.#intake = intake;
    this.#at = start;
  }

  /** Where the next datagram is to be put. */
  get at(): number {
    return this.#at;
  }

  /** Messages gathered and not handed on. */
  get count(): number {
    return this.#count;
  }

  /** Whether there is no room for one more of the longest. */
  get full(): boolean {
    return this.#end - this.#at < this.#limits.maxMessage;
  }

  /** A datagram of `length` bytes came and is at `at`, at most `maxMessage` bytes of it. */
  took(length: number): void {
    const at = this.#at;
    const { maxMessage, maxPayload } = this.#limits;
    if (length > maxMessage) {
      this.#intake.reject(NOBODY, FrameFault.TooLong, this.#bytes, at, at + maxMessage, length);
      return;
    }
    const reader = this.#reader;
    let fault: FrameFault = reader.read(this.#bytes, at, at + length);
    if (length < FRAME_HEADER || reader.size !== length) fault = FrameFault.Malformed;
    else if (fault === FrameFault.Ok && reader.valueEnd - reader.keyStart - 4 > maxPayload) fault = FrameFault.TooLarge;
    if (fault !== FrameFault.Ok) {
      this.#intake.reject(NOBODY, fault, this.#bytes, at, at + length, length);
      return;
    }
    this.#at = at + length;
    this.#count++;
  }

  /** Puts what was gathered in the queue, and starts anew. */
  handOn(): void {
    if (this.#count === 0) return;
    this.#intake.accept(NOBODY, this.#bytes, this.#start, this.#at, this.#count);
    this.#at = this.#start;
    this.#count = 0;
  }
}
