// Gives chunks to a socket one at a time. A stream that has to queue joins all that waits into one new buffer
// (Bun's _writev is a Buffer.concat), which for megabytes of batches is the copy to avoid.
import type { Socket } from "node:net";

interface Outgoing {
  chunk: Uint8Array;
  written: (() => void) | undefined;
}

export class ConnectionWriter {
  readonly #socket: Socket;
  #queue: Outgoing[] = [];
  #writing: Outgoing | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Writes the chunks in order; `written` is called when the system has taken the last byte of the last one. */
  write(chunks: Uint8Array[], written?: () => void): void {
    const last = chunks.length - 1;
    chunks.forEach((chunk, at) => {
      this.#queue.push({ chunk, written: at === last ? written : undefined });
    });
    this.#next();
  }

  /** Forgets what was not written yet. */
  clear(): void {
    this.#queue = [];
    this.#writing = undefined;
  }

  #next(): void {
    if (this.#writing !== undefined) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#writing = next;
    this.#socket.write(next.chunk, (error) => {
      // After an error the socket's own events end the connection; after clear() this is nobody's business any more.
      if (error || this.#writing !== next) return;
      this.#writing = undefined;
      next.written?.();
      this.#next();
    });
  }
}
