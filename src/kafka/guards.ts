// Cuts what a broker sends into responses, and sees at the first eight bytes whether it can be one.
// Knows no sockets.
//
//   Response        => Size CorrelationId Body
//     Size          => int32   bytes that follow
//     CorrelationId => int32   that of the request it answers; a broker answers a connection strictly in order

/** No response of any kind is larger (a full metadata answer of 100,000 partitions has about 5 MiB). */
export const MAX_RESPONSE = 64 * 1024 * 1024;

const HEADER = 8;

export interface Expected {
  correlationId: number;
  /** The largest response taken, bytes. */
  maxResponse: number;
}

export interface ResponseSink {
  /** The request whose answer is due, if any is in flight. None once the connection has ended. */
  expected(): Expected | undefined;
  /** Its answer came. `body` is valid during the call. */
  answer(body: Buffer): void;
}

export class ResponseReader {
  readonly #sink: ResponseSink;
  /** A response that has come in part: room for as much as is known to be coming. */
  #partial: Buffer | undefined;
  #filled = 0;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes off the connection. Returns what is wrong with them, after which nothing more may be pushed. */
  push(chunk: Buffer): string | undefined {
    let at = 0;
    if (this.#partial !== undefined) {
      at = chunk.copy(this.#partial, this.#filled);
      this.#filled += at;
      if (this.#filled < this.#partial.length) return undefined;
      const whole = this.#partial;
      this.#partial = undefined;
      // Either the header, by which the size is now known, or a whole response.
      const fault = this.#cut(whole, 0);
      if (fault !== undefined) return fault;
      if (this.#partial !== undefined) return this.push(chunk.subarray(at));
    }
    return this.#cut(chunk, at);
  }

  /** Hands over the responses in bytes[at, end) and keeps the part of one that is left. */
  #cut(bytes: Buffer, start: number): string | undefined {
    let at = start;
    while (at < bytes.length) {
      const left = bytes.length - at;
      if (left < HEADER) {
        this.#keep(bytes, at, HEADER);
        return undefined;
      }
      const size = bytes.readInt32BE(at);
      const correlationId = bytes.readInt32BE(at + 4);
      const fault = this.#faultOf(size, correlationId, bytes, at);
      if (fault !== undefined) return fault;
      if (left < size + 4) {
        this.#keep(bytes, at, size + 4);
        return undefined;
      }
      this.#sink.answer(bytes.subarray(at + HEADER, at + 4 + size));
      at += size + 4;
    }
    return undefined;
  }

  #keep(bytes: Buffer, at: number, whole: number): void {
    this.#partial = Buffer.allocUnsafe(whole);
    this.#filled = bytes.copy(this.#partial, 0, at);
  }

  #faultOf(size: number, correlationId: number, bytes: Buffer, at: number): string | undefined {
    const expected = this.#sink.expected();
    if (expected === undefined) return `sent ${describe(bytes, at)} unasked`;
    if (size < 4 || size > expected.maxResponse) return `sent a response size of ${size} (${describe(bytes, at)})`;
    if (correlationId !== expected.correlationId) {
      return `answered request ${correlationId} when request ${expected.correlationId} was due`;
    }
    return undefined;
  }
}

/** What the first bytes look like, since a wrong port is the usual reason. */
function describe(bytes: Buffer, at: number): string {
  const first = bytes[at];
  // TLS records (RFC 8446, 5.1): 21 alert, 22 handshake, then version 3.x
  if ((first === 21 || first === 22) && bytes[at + 1] === 3) return "TLS: is this a TLS port?";
  if (bytes.toString("latin1", at, at + 5) === "HTTP/") return "HTTP: this is not a Kafka port";
  return `bytes 0x${bytes.toString("hex", at, at + HEADER)}`;
}
