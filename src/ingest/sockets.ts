// All sockets of the input thread, opened together or not at all.
import type { Libc, Memory } from "./libc.ts";
import { DATAGRAM, openTcp, openUnix, STREAM, type TcpListener, type UnixListener } from "./listeners.ts";
import type { Addresses, IngestFailure, StartOrder } from "./report.ts";
import { removeSocketFile } from "./socketFile.ts";

export interface Sockets {
  datagram?: UnixListener;
  stream?: UnixListener;
  tcp?: TcpListener;
}

/** Opens what the order names. When one cannot be opened, the others are closed again. */
export function openSockets(
  libc: Libc,
  memory: Memory,
  order: StartOrder,
): { sockets: Sockets } | { failure: IngestFailure } {
  const sockets: Sockets = {};
  const failure = fill(sockets, libc, memory, order);
  if (failure === undefined) return { sockets };
  for (const socket of [sockets.datagram, sockets.stream]) {
    if (socket === undefined) continue;
    removeSocketFile(socket.file);
    libc.close(socket.fd);
  }
  return { failure };
}

export function addressesOf({ datagram, stream, tcp }: Sockets): Addresses {
  return {
    ...(datagram === undefined ? {} : { datagram: datagram.file.path }),
    ...(stream === undefined ? {} : { stream: stream.file.path }),
    ...(tcp === undefined ? {} : { tcp: tcp.address }),
  };
}

function fill(sockets: Sockets, libc: Libc, memory: Memory, order: StartOrder): IngestFailure | undefined {
  if (order.datagram !== undefined) {
    const result = openUnix(libc, memory, DATAGRAM, order.datagram);
    if ("failure" in result) return result.failure;
    sockets.datagram = result.opened;
  }
  if (order.stream !== undefined) {
    const result = openUnix(libc, memory, STREAM, order.stream);
    if ("failure" in result) return result.failure;
    sockets.stream = result.opened;
  }
  if (order.tcp !== undefined) {
    const result = openTcp(libc, memory, order.tcp);
    if ("failure" in result) return result.failure;
    sockets.tcp = result.opened;
  }
  return undefined;
}
