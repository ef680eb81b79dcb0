// Finds single messages within a block.
import { readInt32 } from "../wire/frame.ts";

/** Walks the frames of one block, forwards. */
export class FrameWalk {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #firstNumber: number;
  /** The numbers of the messages, when they have gaps. */
  readonly #numbers: Float64Array | undefined;
  #index = 0;
  #at: number;

  constructor(bytes: Buffer, start: number, end: number, firstNumber: number, numbers: Float64Array | undefined) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#firstNumber = firstNumber;
    this.#numbers = numbers;
  }

  /** Where the frame of the message begins, or -1 when it is not in the block. Numbers must not descend from call to call. */
  to(number: number): number {
    while (this.#at < this.#end && this.#current < number) {
      this.#at += readInt32(this.#bytes, this.#at);
      this.#index++;
    }
    return this.#at < this.#end && this.#current === number ? this.#at : -1;
  }

  /** Where the frame found last ends. */
  get frameEnd(): number {
    return this.#at + readInt32(this.#bytes, this.#at);
  }

  get #current(): number {
    return this.#numbers === undefined ? this.#firstNumber + this.#index : (this.#numbers[this.#index] as number);
  }
}
