// What comes next in the log: from memory while the reader is close behind the writer, from the files when it lags.
//
// What holds:
// - The ring has some of the blocks, in order. A block that is not in it is in the file. So what comes next is in the ring
//   if the ring's first block is that, and else it is in the file, up to the ring's first block.
// - How far the writer is, is looked at before the ring is: whatever was written by then and is not in the ring now,
//   is in the file.
import type { Block } from "./block.ts";
import { BLOCK_HEADER } from "./format.ts";
import { readInt64 } from "./integers.ts";
import type { LogControl } from "./logControl.ts";
import type { LogReader } from "./logReader.ts";
import type { WriterMessage } from "./queue.ts";
import type { RingReader } from "./ring.ts";

type Late = Extract<WriterMessage, { type: "late" }>;

export class BlockSource {
  readonly #ring: RingReader;
  readonly #reader: LogReader;
  readonly #control: LogControl;
  readonly #session = Buffer.alloc(16);
  /** Messages that came from memory alone, perhaps unread yet, and were written since; ascending. */
  #late: Late[] = [];
  #fromRing = false;

  constructor(ring: RingReader, reader: LogReader, control: LogControl) {
    this.#ring = ring;
    this.#reader = reader;
    this.#control = control;
  }

  /** The next block, or nothing. Throws a ReadFailure. */
  next(): Block | undefined {
    const reader = this.#reader;
    for (;;) {
      if (reader.again.size > 0) {
        // Nothing else is read by this call, even if all of those are lost.
        const block = reader.next(reader.number - 1);
        if (block !== undefined) return block;
        continue;
      }
      const written = this.#control.head().number;
      const first = this.#ring.peek();
      if (first !== 0 && first === reader.number) return this.#takeFromRing();
      if (reader.number < written) {
        const block = reader.next(Math.min(written, first === 0 ? written : first) - 1);
        if (block !== undefined) return block;
      } else if (first === 0) {
        return undefined;
      } else if (first < reader.number) {
        throw new Error(`message ${first} is in memory behind ${reader.number}, which is to be read next`);
      }
    }
  }

  #takeFromRing(): Block {
    const block = this.#ring.read() as Block;
    this.#fromRing = true;
    const { bytes, start } = block;
    let bits = 0;
    for (let at = start + 40; at < start + 56; at++) bits |= bytes[at] as number;
    block.session = undefined;
    block.position = 0;
    if (bits !== 0) {
      bytes.copy(this.#session, 0, start + 40, start + 56);
      block.session = this.#session;
      block.position = readInt64(bytes, start + 56);
    }
    block.start = start + BLOCK_HEADER;
    this.#reader.passed(block);
    if (block.segment === 0 && this.#late.length > 0) block.segment = this.#lateSegment(block.firstNumber);
    return block;
  }

  /** Gives back the memory of the block read last. */
  release(): void {
    if (!this.#fromRing) return;
    this.#fromRing = false;
    this.#ring.release();
  }

  /** Messages that are in memory alone, or were when they were read, are in a file by now. */
  wroteLate(late: Late): void {
    if (late.to > this.#reader.number) this.#late.push(late);
  }

  /** The segment that has the message, which was read from memory; 0: none has. */
  #lateSegment(number: number): number {
    while ((this.#late[0]?.to ?? Number.POSITIVE_INFINITY) <= number) this.#late.shift();
    const late = this.#late[0];
    return late !== undefined && late.from <= number ? late.ordinal : 0;
  }
}
