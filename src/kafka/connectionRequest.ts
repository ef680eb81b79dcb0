// What a connection needs to know of a request: the requests themselves stand beside, one file each.

export interface KafkaRequest<T> {
  apiKey: number;
  /** A non-flexible version (request header v1, response header v0). */
  apiVersion: number;
  /** For logs and errors. */
  name: string;
  /** The body. Large parts are written as they are, so they must not change until the request is settled. */
  parts(): Uint8Array[];
  /** false: resolves, with decode() of an empty body, when the socket has taken the last byte. */
  expectResponse: boolean;
  /** Reads the body of the answer, which is valid during the call. Throws when it is not what its grammar says. */
  decode(body: Buffer): T & { throttleTime?: number };
  /** The largest answer taken, bytes; what the guards allow when absent. */
  maxResponse?: number;
}

/**
 *   Request         => Size ApiKey ApiVersion CorrelationId ClientId Body      (header v1)
 *     Size          => int32   bytes that follow
 *     ApiKey        => int16
 *     ApiVersion    => int16
 *     CorrelationId => int32
 *     ClientId      => int16 length + bytes
 *
 * Gives the chunks to write: small parts are joined with the header and with each other, large ones are not copied.
 */
export function requestChunks(
  request: KafkaRequest<unknown>,
  correlationId: number,
  clientId: Buffer,
  joinBelow = 16 * 1024,
): Uint8Array[] {
  const parts = request.parts();
  const header = Buffer.allocUnsafe(14 + clientId.length);
  // The size first: the header may be joined with what follows, and a copy would keep the old one.
  header.writeInt32BE(
    parts.reduce((size, part) => size + part.length, header.length - 4),
    0,
  );
  header.writeInt16BE(request.apiKey, 4);
  header.writeInt16BE(request.apiVersion, 6);
  header.writeInt32BE(correlationId, 8);
  header.writeInt16BE(clientId.length, 12);
  clientId.copy(header, 14);

  const chunks: Uint8Array[] = [];
  let small: Uint8Array[] = [header];
  const join = () => {
    if (small.length > 0) chunks.push(small.length === 1 ? (small[0] as Uint8Array) : Buffer.concat(small));
    small = [];
  };
  for (const part of parts) {
    if (part.length < joinBelow) {
      small.push(part);
    } else {
      join();
      chunks.push(part);
    }
  }
  join();
  return chunks;
}
