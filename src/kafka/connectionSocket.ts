// Opens the socket of a connection, with TLS or without.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket, type ConnectionOptions as TlsOptions } from "node:tls";

/** Idle so long, the system asks the other side whether it is still there: a broker that vanished is noticed. ms */
const KEEP_ALIVE = 60_000;

export interface SocketOptions {
  host: string;
  port: number;
  ssl: TlsOptions | undefined;
  /** It stands; with TLS, the broker is who it says, or need not be. */
  onConnect: () => void;
  /** With TLS: the certificate did not check out. */
  onUntrusted: (error: Error & { code?: string }) => void;
}

export function openSocket({ host, port, ssl, onConnect, onUntrusted }: SocketOptions): Socket {
  if (ssl === undefined)
    return connectTcp({ host, port, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE }, onConnect);
  const socket: TLSSocket = connectTls({ host, port, ...ssl }, () => {
    // It ends with an error event by itself; should that ever not be so, nothing may be sent.
    if (socket.authorized || ssl.rejectUnauthorized === false) onConnect();
    else
      onUntrusted(
        Object.assign(new Error("the certificate does not check out"), { code: String(socket.authorizationError) }),
      );
  });
  socket.setKeepAlive(true, KEEP_ALIVE);
  return socket;
}
