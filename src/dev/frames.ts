// Cuts a connection's bytes into requests, each in memory of its own: a batch stays in the log as it came.

/** Kafka's socket.request.max.bytes. */
const MAX_REQUEST = 100 * 1024 * 1024;

/** A size no request can have: the connection is lost. */
export class FrameSizeError extends Error {}

export class FrameSplitter {
  readonly #onFrame: (frame: Buffer) => void;
  readonly #size = Buffer.alloc(4);
  #sizeRead = 0;
  #frame: Buffer | undefined;
  #filled = 0;

  constructor(onFrame: (frame: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  /** Takes any piece of the stream; the bytes are copied. Throws a FrameSizeError. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame === undefined) {
        const taken = Math.min(4 - this.#sizeRead, chunk.length - at);
        chunk.copy(this.#size, this.#sizeRead, at, at + taken);
        this.#sizeRead += taken;
        at += taken;
        if (this.#sizeRead === 4) this.#begin(this.#size.readInt32BE(0));
        continue;
      }
      const taken = Math.min(this.#frame.length - this.#filled, chunk.length - at);
      chunk.copy(this.#frame, this.#filled, at, at + taken);
      this.#filled += taken;
      at += taken;
      if (this.#filled === this.#frame.length) this.#finish(this.#frame);
    }
  }

  #begin(size: number): void {
    if (size <= 0 || size > MAX_REQUEST) throw new FrameSizeError(`a request of ${size} bytes`);
    this.#sizeRead = 0;
    this.#filled = 0;
    this.#frame = Buffer.allocUnsafeSlow(size);
  }

  #finish(frame: Buffer): void {
    this.#frame = undefined;
    this.#onFrame(frame);
  }
}
