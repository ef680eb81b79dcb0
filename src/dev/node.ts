// One node of the embedded cluster: a listener on a port of its own, which it keeps when stopped and started again.
import type { TCPSocketListener, TCPSocketListenOptions } from "bun";
import type { Node } from "./cluster.ts";
import { Connection } from "./connection.ts";
import { type Broker, faultOnConnect, serve } from "./exchange.ts";

export interface NodeServer {
  /** Closes the listener and all connections, at once. */
  stop(): void;
  /** Listens on the same port again. */
  start(): void;
}

export interface NodeOptions {
  id: number;
  /** 0: any free one. */
  port: number;
  broker: Broker;
  nextConnection(): number;
  onProgress(): void;
  onError(error: unknown): void;
}

const HOST = "127.0.0.1";

/** Starts a node and enters it in the cluster. Throws when the port is taken. */
export function startNode(options: NodeOptions): NodeServer {
  const { id, broker } = options;
  const node: Node = { id, host: HOST, port: options.port, up: false };
  let listener: TCPSocketListener<Connection> | undefined;

  function start(): void {
    if (listener !== undefined) return;
    listener = listen();
    node.port = listener.port;
    node.up = true;
  }

  function listen(): TCPSocketListener<Connection> {
    const settings: TCPSocketListenOptions<Connection> = {
      hostname: HOST,
      port: node.port,
      socket: {
        open: (socket) => {
          socket.setNoDelay(true);
          const origin = options.nextConnection();
          socket.data = new Connection({
            socket,
            fault: faultOnConnect(id, origin, broker),
            serve: (frame, from) =>
              serve(frame, { node: id, connection: origin, onClose: (callback) => from.onClose(callback) }, broker),
            onProgress: options.onProgress,
            onError: options.onError,
          });
        },
        data: (socket, chunk) => socket.data.data(chunk),
        drain: (socket) => socket.data.drain(),
        close: (socket) => socket.data?.closed(),
        // The close that follows says all that is needed.
        error: () => {},
      },
    };
    try {
      return Bun.listen(settings);
    } catch (error) {
      const why = error instanceof Error && "code" in error ? error.code : error;
      throw new Error(`the embedded broker cannot listen on ${HOST}:${node.port}: ${why}`, { cause: error });
    }
  }

  function stop(): void {
    listener?.stop(true);
    listener = undefined;
    node.up = false;
  }

  start();
  broker.cluster.nodes.push(node);
  return { start, stop };
}
