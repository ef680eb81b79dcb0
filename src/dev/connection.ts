// One client's connection to the embedded broker: requests are answered strictly in order, one at a time, as Kafka does.
import type { Socket } from "bun";
import type { Reply } from "./exchange.ts";
import type { ConnectFault } from "./faults.ts";
import { FrameSizeError, FrameSplitter } from "./frames.ts";

/** Beyond this many bytes of requests that wait their turn nothing more is read. */
const MAX_WAITING = 32 * 1024 * 1024;
/** Answers up to this many bytes go out in one write. */
const JOIN_BELOW = 256 * 1024;

export interface ConnectionOptions {
  socket: Socket<unknown>;
  fault?: ConnectFault;
  serve(frame: Buffer, connection: Connection): Reply | Promise<Reply>;
  /** After each request, whatever became of it, and when one begins to wait. */
  onProgress(): void;
  /** A mistake of this broker or of its onRecords: the connection ends, and someone should see why. */
  onError(error: unknown): void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #splitter = new FrameSplitter((frame) => this.#take(frame));
  readonly #requests: Buffer[] = [];
  readonly #closeCallbacks = new Set<() => void>();
  #out: Buffer[] = [];
  #bytesWaiting = 0;
  #state: "reading" | "serving" | "hung" | "ending" | "closed" = "reading";
  #paused = false;

  /** Bytes that are read before it is cut. */
  #readable = Number.POSITIVE_INFINITY;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { fault, socket } = options;
    if (fault?.kind === "garbage") socket.write(fault.bytes);
    if (fault?.kind === "silent") this.#state = "hung";
    if (fault?.kind !== "cut") return;
    this.#readable = fault.after ?? 0;
    if (this.#readable === 0) this.#end();
  }

  /** Calls back when the connection closes, until the function returned is called. */
  onClose(callback: () => void): () => void {
    if (this.#state === "closed") callback();
    else this.#closeCallbacks.add(callback);
    return () => this.#closeCallbacks.delete(callback);
  }

  /** Bytes came. */
  data(chunk: Buffer): void {
    if (this.#state === "ending" || this.#state === "closed") return;
    const cut = chunk.length >= this.#readable;
    this.#readable -= chunk.length;
    try {
      this.#splitter.push(cut ? chunk.subarray(0, chunk.length + this.#readable) : chunk);
    } catch (error) {
      if (!(error instanceof FrameSizeError)) throw error;
      this.#end();
    }
    this.#pump();
    if (cut) this.#end();
  }

  /** The socket takes bytes again. */
  drain(): void {
    this.#flush();
    this.#pump();
  }

  closed(): void {
    this.#state = "closed";
    this.#requests.length = 0;
    this.#out = [];
    for (const callback of this.#closeCallbacks) callback();
    this.#closeCallbacks.clear();
  }

  #take(frame: Buffer): void {
    this.#requests.push(frame);
    this.#bytesWaiting += frame.length;
    if (this.#bytesWaiting <= MAX_WAITING || this.#paused) return;
    this.#paused = true;
    this.#options.socket.pause();
  }

  /** Serves what waits. While an answer has not gone out the next request is not begun, as in Kafka. */
  #pump(): void {
    while (this.#state === "reading" && this.#out.length === 0) {
      const frame = this.#requests.shift();
      if (frame === undefined) break;
      this.#bytesWaiting -= frame.length;
      this.#serve(frame);
    }
    if (!this.#paused || this.#bytesWaiting > MAX_WAITING) return;
    this.#paused = false;
    if (this.#state !== "closed") this.#options.socket.resume();
  }

  #serve(frame: Buffer): void {
    try {
      const reply = this.#options.serve(frame, this);
      if (!(reply instanceof Promise)) {
        this.#send(reply);
        return;
      }
      this.#state = "serving";
      this.#options.onProgress();
      reply.then(
        (late) => {
          if (this.#state === "serving") this.#state = "reading";
          this.#send(late);
          this.#pump();
        },
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #send({ parts, next }: Reply): void {
    if (this.#state === "reading") {
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      this.#out = bytes <= JOIN_BELOW ? [Buffer.concat(parts)] : parts;
      this.#flush();
      if (next === "hang") this.#state = "hung";
      if (next === "end") this.#end();
    }
    this.#options.onProgress();
  }

  #flush(): void {
    for (let part = this.#out[0]; part !== undefined; part = this.#out[0]) {
      const written = part.length === 0 ? 0 : Math.max(0, this.#options.socket.write(part));
      if (written < part.length) {
        this.#out[0] = part.subarray(written);
        return;
      }
      this.#out.shift();
    }
    if (this.#state === "ending") this.#options.socket.end();
  }

  /** Closes behind what is still to be written. */
  #end(): void {
    if (this.#state === "closed") return;
    this.#state = "ending";
    this.#requests.length = 0;
    this.#bytesWaiting = 0;
    this.#flush();
  }

  #fail(error: unknown): void {
    this.#end();
    this.#options.onError(error);
  }
}
