// The array that poll(2) reads and writes: one slot per descriptor.
import type { Memory } from "./libc.ts";

const POLLFD_BYTES = 8; // struct pollfd: fd int32, events int16, revents int16

export class PollSet {
  readonly offset: number;
  readonly #words: Int32Array;

  constructor(memory: Memory, slots: number) {
    this.offset = memory.allocate(slots * POLLFD_BYTES);
    this.#words = new Int32Array(memory.bytes.buffer, memory.bytes.byteOffset + this.offset, slots * 2);
  }

  /** Asks for `events` of `fd`. Errors and hang-ups are told in any case. What poll has said of it already stays. */
  watch(slot: number, fd: number, events: number): void {
    const said = this.#words[slot * 2] === fd ? (this.#words[slot * 2 + 1] as number) & 0xffff0000 : 0;
    this.#words[slot * 2] = fd;
    this.#words[slot * 2 + 1] = said | events;
  }

  /** Leaves the slot out of account: poll passes over negative descriptors. */
  ignore(slot: number): void {
    this.#words[slot * 2] = -1;
    this.#words[slot * 2 + 1] = 0;
  }

  /** What poll said of the slot. */
  events(slot: number): number {
    return (this.#words[slot * 2 + 1] as number) >>> 16;
  }
}
