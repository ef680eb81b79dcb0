// Buffers for batches: sizes are powers of two, freed ones are used again, so that a steady load makes no garbage.

const SMALLEST = 2048;

/** Gives and takes back buffers. Not cleared: whoever takes one writes it before reading it. */
export class BufferPool {
  readonly #limit: number;
  readonly #free = new Map<number, Buffer[]>();
  /** Bytes of free buffers, and of those that are in use. */
  #kept = 0;
  #used = 0;

  /** Buffers in use and free ones together take at most `limit` bytes, unless those in use alone take more. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** A buffer of at least `size` bytes. */
  take(size: number): Buffer {
    const rounded = roundUp(size);
    this.#used += rounded;
    const buffer = this.#free.get(rounded)?.pop();
    if (buffer !== undefined) {
      this.#kept -= rounded;
      return buffer;
    }
    this.#makeRoom();
    return Buffer.allocUnsafeSlow(rounded);
  }

  /** Takes back a buffer that take() gave and nobody uses any more. */
  give(buffer: Buffer): void {
    const size = buffer.length;
    this.#used -= size;
    if (this.#used + this.#kept + size > this.#limit) return;
    this.#kept += size;
    const stack = this.#free.get(size);
    if (stack === undefined) this.#free.set(size, [buffer]);
    else stack.push(buffer);
  }

  /** Lets go of free buffers of sizes that are not asked for now. */
  #makeRoom(): void {
    for (const [size, stack] of this.#free) {
      while (this.#used + this.#kept > this.#limit && stack.pop() !== undefined) this.#kept -= size;
    }
  }
}

function roundUp(size: number): number {
  let rounded = SMALLEST;
  while (rounded < size) rounded *= 2;
  return rounded;
}
