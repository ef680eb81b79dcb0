// Frames that wait in memory: their topic's partitions are not known yet, or they cannot be delivered for now. By number.
import { type FrameMark, type FrameSource, type FrameVisit, NO_MARK } from "../spool/heldFrame.ts";
import { readInt32 } from "../wire/frame.ts";
import type { BufferPool } from "./bufferPool.ts";
import type { MemoryUse } from "./memoryBudget.ts";

/** Chunks double up to this: the size of a large batch, so that batches take over the buffers of frames that wait no more. */
const CHUNK = 1 << 20;

interface Chunk {
  buffer: Buffer;
  length: number;
  /** Where the next frame begins, and its index in `numbers` and `marks`. */
  readAt: number;
  next: number;
  numbers: number[];
  marks: FrameMark[];
}

/** Frames in the order of their numbers. First in, first out, but `merge` can put some in between. */
export class HeldFrames implements FrameSource {
  count = 0;
  readonly #pool: BufferPool;
  readonly #memory: MemoryUse;
  #chunks: Chunk[] = [];

  constructor(pool: BufferPool, memory: MemoryUse) {
    this.#pool = pool;
    this.#memory = memory;
  }

  /** The lowest number; Infinity when there is none. */
  get first(): number {
    const chunk = this.#chunks[0];
    return chunk?.numbers[chunk.next] ?? Number.POSITIVE_INFINITY;
  }

  /** The highest number; 0 when there is none. */
  get last(): number {
    return this.count === 0 ? 0 : (this.#chunks.at(-1)?.numbers.at(-1) ?? 0);
  }

  /** When the first one came, in milliseconds since the epoch; Infinity when there is none, or nobody knows. */
  get firstAt(): number {
    const chunk = this.#chunks[0];
    return chunk?.marks[chunk.next]?.receivedAt || Number.POSITIVE_INFINITY;
  }

  /** Copies the frame bytes[start, end). Its number is greater than `last`. */
  append(number: number, bytes: Buffer, start: number, end: number, mark: FrameMark = NO_MARK): void {
    const size = end - start;
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.length + size > chunk.buffer.length) {
      const wanted = chunk === undefined ? size : Math.max(size, Math.min(CHUNK, chunk.buffer.length * 2));
      chunk = { buffer: this.#pool.take(wanted), length: 0, readAt: 0, numbers: [], marks: [], next: 0 };
      this.#memory.add(chunk.buffer.length);
      this.#chunks.push(chunk);
    }
    bytes.copy(chunk.buffer, chunk.length, start, end);
    chunk.length += size;
    chunk.numbers.push(number);
    chunk.marks.push(mark);
    this.count++;
  }

  /** Puts a frame where its number belongs. */
  insert(number: number, bytes: Buffer, start: number, end: number, mark: FrameMark = NO_MARK): void {
    if (number > this.last) {
      this.append(number, bytes, start, end, mark);
      return;
    }
    const one = new HeldFrames(this.#pool, this.#memory);
    one.append(number, bytes, start, end, mark);
    this.merge(one);
  }

  /** Takes over all of `others`, each to where its number belongs. */
  merge(others: HeldFrames): void {
    if (others.count === 0) return;
    if (this.count === 0) this.#swap(others);
    else if (others.last < this.first) {
      this.#swap(others);
      this.#takeOver(others);
    } else if (this.last < others.first) this.#takeOver(others);
    else {
      const all = new HeldFrames(this.#pool, this.#memory);
      const append: FrameVisit = (number, bytes, start, end, mark) => {
        all.append(number, bytes, start, end, mark);
        return true;
      };
      while (this.count > 0 && others.count > 0) {
        const [lower, upTo] = this.first < others.first ? [this, others.first] : [others, this.first];
        lower.drain(() => lower.first < upTo, append);
      }
      const rest = this.count > 0 ? this : others;
      rest.drain(() => true, append);
      this.#swap(all);
    }
  }

  /** Hands frames out in order, and forgets them, until there are none, or `more` or `visit` says stop. */
  drain(more: () => boolean, visit: FrameVisit): void {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      while (chunk.next < chunk.numbers.length) {
        if (!more()) return;
        const start = chunk.readAt;
        const end = start + readInt32(chunk.buffer, start);
        const { next } = chunk;
        if (!visit(chunk.numbers[next] as number, chunk.buffer, start, end, chunk.marks[next] as FrameMark)) return;
        chunk.next++;
        chunk.readAt = end;
        this.count--;
      }
      this.#chunks.shift();
      this.#giveBack(chunk);
    }
  }

  look(visit: FrameVisit): void {
    for (const { buffer, readAt, next, numbers, marks } of this.#chunks) {
      let at = readAt;
      for (let index = next; index < numbers.length; index++) {
        const end = at + readInt32(buffer, at);
        if (!visit(numbers[index] as number, buffer, at, end, marks[index] as FrameMark)) return;
        at = end;
      }
    }
  }

  drop(count: number): void {
    let left = count;
    this.drain(
      () => left > 0,
      () => left-- > 0,
    );
  }

  /** Takes the newest out, a chunk of them: their numbers, ascending. Nothing when there is none. */
  takeNewest(): number[] {
    const chunk = this.#chunks.pop();
    if (chunk === undefined) return [];
    const numbers = chunk.numbers.slice(chunk.next);
    this.count -= numbers.length;
    this.#giveBack(chunk);
    return numbers.length > 0 ? numbers : this.takeNewest();
  }

  #swap(others: HeldFrames): void {
    [this.#chunks, others.#chunks] = [others.#chunks, this.#chunks];
    [this.count, others.count] = [others.count, this.count];
  }

  /** To the end of these. */
  #takeOver(others: HeldFrames): void {
    this.#chunks.push(...others.#chunks);
    this.count += others.count;
    others.#chunks = [];
    others.count = 0;
  }

  #giveBack(chunk: Chunk): void {
    this.#memory.add(-chunk.buffer.length);
    this.#pool.give(chunk.buffer);
  }
}
