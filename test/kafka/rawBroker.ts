// A broker of which every byte is the test's: it frames requests, and answers with whatever it is told to.
import type { Socket } from "bun";
import { KafkaConnection, type KafkaConnectionOptions } from "../../src/kafka/connection.ts";
import { Encoder } from "../../src/kafka/encoder.ts";

export interface RawRequest {
  apiKey: number;
  apiVersion: number;
  correlationId: number;
  clientId: string;
  body: Buffer;
  /** Sends a response frame. */
  respond(body: Uint8Array, correlationId?: number): void;
  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void;
  /** Ends the connection, after what was written. */
  close(): void;
}

const API_VERSIONS = 18;
export const METADATA = 3;

/** [apiKey, min, max] of a broker that has all that is needed. */
const ALL_VERSIONS = [
  [0, 0, 11],
  [3, 0, 12],
  [18, 0, 3],
  [22, 0, 4],
  [17, 0, 1],
  [36, 0, 2],
] as const;

export function apiVersionsBody(ranges: readonly (readonly [number, number, number])[] = ALL_VERSIONS): Buffer {
  const encoder = new Encoder().int16(0).int32(ranges.length);
  for (const [key, min, max] of ranges) encoder.int16(key).int16(min).int16(max);
  return encoder.int32(0).take();
}

export interface RawBroker {
  port: number;
  /** Connections open now. */
  readonly connections: number;
  requests: RawRequest[];
  /** Resolves when every connection has closed. */
  allClosed(): Promise<void>;
  stop(): void;
}

interface State {
  pending: Buffer;
}

/** Answers ApiVersions by itself, unless `onRequest` is told of all (`raw`). */
export function startRawBroker(onRequest: (request: RawRequest) => void, options: { raw?: boolean } = {}): RawBroker {
  const sockets = new Set<Socket<State>>();
  const waiters: (() => void)[] = [];
  const requests: RawRequest[] = [];
  const gone = (socket: Socket<State>) => {
    sockets.delete(socket);
    if (sockets.size === 0) for (const waiter of waiters.splice(0)) waiter();
  };
  const server = Bun.listen<State>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { pending: Buffer.alloc(0) };
        sockets.add(socket);
      },
      data(socket, chunk) {
        let bytes = Buffer.concat([socket.data.pending, chunk]);
        while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
          const frame = bytes.subarray(4, 4 + bytes.readInt32BE(0));
          bytes = bytes.subarray(4 + frame.length);
          const clientIdSize = frame.readInt16BE(8);
          const request: RawRequest = {
            apiKey: frame.readInt16BE(0),
            apiVersion: frame.readInt16BE(2),
            correlationId: frame.readInt32BE(4),
            clientId: frame.toString("utf8", 10, 10 + clientIdSize),
            body: Buffer.from(frame.subarray(10 + clientIdSize)),
            respond: (body, correlationId = request.correlationId) => {
              const head = Buffer.alloc(8);
              head.writeInt32BE(body.length + 4, 0);
              head.writeInt32BE(correlationId, 4);
              socket.write(Buffer.concat([head, body]));
            },
            write: (raw) => void socket.write(raw),
            close: () => socket.end(),
          };
          if (request.apiKey === API_VERSIONS && options.raw !== true) {
            request.respond(apiVersionsBody());
          } else {
            requests.push(request);
            onRequest(request);
          }
        }
        socket.data.pending = bytes;
      },
      close: gone,
      error: gone,
    },
  });
  return {
    port: server.port,
    requests,
    get connections() {
      return sockets.size;
    },
    allClosed: () => (sockets.size === 0 ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve))),
    stop: () => server.stop(true),
  };
}

/** A connection to it, not connected yet, with timeouts that no good test reaches. */
export function connectionTo(port: number, options: Partial<KafkaConnectionOptions> = {}): KafkaConnection {
  return new KafkaConnection({
    host: "127.0.0.1",
    port,
    clientId: "test",
    connectTimeout: 5_000,
    requestTimeout: 5_000,
    log: { debug: () => {} },
    ...options,
  });
}
