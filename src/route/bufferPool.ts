// Buffers for batches: sizes are powers of two, freed ones are used again, so that a steady load makes no garbage.

const SMALLEST = 2048;
/** Freed bytes kept for reuse at most; more goes to the garbage collector. */
const KEPT_BYTES = 16 << 20;

/** Gives and takes back buffers. Not cleared: whoever takes one writes it before reading it. */
export class BufferPool {
  readonly #free = new Map<number, Buffer[]>();
  #kept = 0;

  /** A buffer of at least `size` bytes. */
  take(size: number): Buffer {
    const rounded = roundUp(size);
    const buffer = this.#free.get(rounded)?.pop();
    if (buffer === undefined) return Buffer.allocUnsafeSlow(rounded);
    this.#kept -= rounded;
    return buffer;
  }

  /** Takes back a buffer that take() gave and nobody uses any more. */
  give(buffer: Buffer): void {
    const size = buffer.length;
    if (this.#kept + size > KEPT_BYTES) return;
    this.#kept += size;
    const stack = this.#free.get(size);
    if (stack === undefined) this.#free.set(size, [buffer]);
    else stack.push(buffer);
  }
}

function roundUp(size: number): number {
  let rounded = SMALLEST;
  while (rounded < size) rounded *= 2;
  return rounded;
}
