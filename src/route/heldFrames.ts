// Frames that wait for their topic: its partitions are not known yet, or it cannot be written for now. In order received.
import type { BufferPool } from "./bufferPool.ts";
import { type MemoryBudget, MemoryUse } from "./memoryBudget.ts";

/** Chunks double up to this: the size of a large batch, so that batches take over the buffers of frames that wait no more. */
const CHUNK = 1 << 20;

interface Chunk {
  buffer: Buffer;
  length: number;
  readAt: number;
  /** Numbers of the frames in it, and which of them is next. */
  numbers: number[];
  next: number;
}

/** A first-in first-out store of frames with their message numbers. */
export class HeldFrames {
  readonly memory: MemoryUse;
  count = 0;
  readonly #pool: BufferPool;
  readonly #chunks: Chunk[] = [];

  constructor(pool: BufferPool, budget: MemoryBudget) {
    this.#pool = pool;
    this.memory = new MemoryUse(budget);
  }

  /** Copies the frame bytes[start, end). */
  append(number: number, bytes: Buffer, start: number, end: number): void {
    const size = end - start;
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.length + size > chunk.buffer.length) {
      const wanted = chunk === undefined ? size : Math.max(size, Math.min(CHUNK, chunk.buffer.length * 2));
      chunk = { buffer: this.#pool.take(wanted), length: 0, readAt: 0, numbers: [], next: 0 };
      this.memory.add(chunk.buffer.length);
      this.#chunks.push(chunk);
    }
    bytes.copy(chunk.buffer, chunk.length, start, end);
    chunk.length += size;
    chunk.numbers.push(number);
    this.count++;
  }

  /**
   * Hands frames out in order until there are none or `more` says stop. `visit` gets number, bytes and start, and returns
   * the frame's size; the bytes are valid during the call.
   */
  drain(more: () => boolean, visit: (number: number, bytes: Buffer, start: number, end: number) => number): void {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      while (chunk.next < chunk.numbers.length) {
        if (!more()) return;
        const number = chunk.numbers[chunk.next++] as number;
        this.count--;
        chunk.readAt += visit(number, chunk.buffer, chunk.readAt, chunk.length);
      }
      this.#chunks.shift();
      this.memory.add(-chunk.buffer.length);
      this.#pool.give(chunk.buffer);
    }
  }
}
