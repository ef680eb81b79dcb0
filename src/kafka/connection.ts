// One connection to one broker. Whatever goes wrong ends the connection first and rejects its requests then, so that
// nothing is sent again while an old copy may still be on its way.
import type { Socket } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import type { Log } from "../observe/log.ts";
import {
  closedHint,
  connectFailure,
  handshakeFailure,
  isTlsError,
  KafkaFailure,
  type SocketError,
  tlsFailure,
} from "./connectionFailure.ts";
import { type ApiVersions, shakeHands, speaks } from "./connectionHandshake.ts";
import { Pipeline } from "./connectionPipeline.ts";
import type { KafkaRequest } from "./connectionRequest.ts";
import { openSocket } from "./connectionSocket.ts";
import { ConnectionWriter } from "./connectionWriter.ts";
import { ResponseReader } from "./guards.ts";
import type { SaslOptions } from "./login.ts";

export { KafkaFailure } from "./connectionFailure.ts";
export type { KafkaRequest } from "./connectionRequest.ts";

export interface KafkaConnectionOptions {
  host: string;
  port: number;
  clientId: string;
  /** For name, TCP, TLS, ApiVersions and SASL together, ms. */
  connectTimeout: number;
  /** From handing a request to the socket to its answer, ms. */
  requestTimeout: number;
  log: Pick<Log, "debug">;
  ssl?: TlsOptions | undefined;
  sasl?: SaslOptions | undefined;
}

type State = "new" | "connecting" | "open" | "closed";

export class KafkaConnection {
  /** host:port */
  readonly broker: string;
  /** Called once when an open connection ends for any reason but destroy(). */
  onClose: ((failure: KafkaFailure) => void) | undefined;
  /** When the login expires, ms since the epoch. Answers in flight then are lost: reconnect before. */
  sessionEndsAt = Number.POSITIVE_INFINITY;

  readonly #options: KafkaConnectionOptions;
  readonly #pipeline: Pipeline;
  #state: State = "new";
  #socket: Socket | undefined;
  #writer: ConnectionWriter | undefined;
  #versions: ApiVersions = {};
  #tcpTooLong: ReturnType<typeof setTimeout> | undefined;
  #abortConnect: ((failure: KafkaFailure) => void) | undefined;

  constructor(options: KafkaConnectionOptions) {
    this.#options = options;
    this.broker = `${options.host}:${options.port}`;
    this.#pipeline = new Pipeline({
      broker: this.broker,
      clientId: options.clientId,
      write: (chunks, written) => this.#writer?.write(chunks, written),
      fail: (failure) => this.#end(failure),
    });
  }

  get open(): boolean {
    return this.#state === "open";
  }

  /** Until when the broker wants no requests, on the clock of performance.now(). Requests made before that wait for it. */
  get throttledUntil(): number {
    return this.#pipeline.throttledUntil;
  }

  /** Whether the broker speaks this version of an API. Known once connected. */
  supports(apiKey: number, version: number): boolean {
    return speaks(this.#versions, apiKey, version);
  }

  /**
   * Name, TCP, TLS, ApiVersions, SASL. Once only: a connection that has ended stays so. Rejects with a KafkaFailure. `tcpWithin`:
   * name and TCP alone, ms. A system whose first packet is not answered sends it again after 1, 3 and 7 s; whoever wants to be
   * back sooner, or at another time than everybody else, gives it up before.
   */
  async connect(tcpWithin = Number.POSITIVE_INFINITY): Promise<void> {
    if (this.#state !== "new") throw this.#failure("closed", `the connection to ${this.broker} was used before`);
    this.#state = "connecting";
    const { connectTimeout } = this.#options;
    const tooLong = setTimeout(() => {
      const during = this.#pipeline.expected()?.request.name ?? "connecting";
      const hint = "is the address right, and does a firewall let us through?";
      this.#end(this.#failure("connect", `${this.broker}: ${during} took over ${connectTimeout} ms: ${hint}`));
    }, connectTimeout);
    const noAnswer = () => this.#end(this.#failure("connect", `${this.broker} did not answer within ${tcpWithin} ms`));
    if (tcpWithin < connectTimeout) this.#tcpTooLong = setTimeout(noAnswer, tcpWithin);
    try {
      // Raced against the end of the connection: a login may wait for something else than the broker.
      await new Promise<void>((resolve, reject) => {
        this.#abortConnect = reject;
        this.#establish().then(resolve, reject);
      });
    } catch (error) {
      const failure = handshakeFailure(this.broker, error);
      this.#end(failure);
      throw failure;
    } finally {
      clearTimeout(tooLong);
      clearTimeout(this.#tcpTooLong);
      this.#abortConnect = undefined;
    }
  }

  /**
   * Resolves with the decoded answer. Rejects with a KafkaFailure, always after the connection has ended. (A request
   * that cannot be encoded rejects with that error, and the connection goes on.)
   */
  request<T>(request: KafkaRequest<T>): Promise<T> {
    if (this.#state === "open") return this.#pipeline.request(request, this.#options.requestTimeout);
    return Promise.reject(this.#failure("closed", `there is no connection to ${this.broker}`));
  }

  /** Ends the connection at once; requests that are out reject with "closed". */
  destroy(): void {
    this.#end(this.#failure("closed", `the connection to ${this.broker} was given up`), true);
  }

  async #establish(): Promise<void> {
    await this.#openSocket();
    const { host, port, connectTimeout, sasl, log } = this.#options;
    const { versions, sessionLifetime } = await shakeHands({
      host,
      port,
      connectTimeout,
      sasl,
      debug: (message) => log.debug(message, { broker: this.broker }),
      exchange: (apiKey, apiVersion, name, body) => this.#exchange(apiKey, apiVersion, name, body),
    });
    if (this.#state !== "connecting") return;
    this.#versions = versions;
    if (sessionLifetime > 0) this.sessionEndsAt = Date.now() + sessionLifetime;
    this.#pipeline.everAnswered = false;
    this.#state = "open";
  }

  /** Resolves when the socket stands; what goes wrong before, and ever after, goes to #end(). */
  #openSocket(): Promise<void> {
    const { host, port, ssl } = this.#options;
    return new Promise((resolve) => {
      let standing = false;
      const onConnect = () => {
        standing = true;
        resolve();
      };
      const onUntrusted = (error: SocketError) => this.#end(tlsFailure(this.broker, error));
      const socket = openSocket({ host, port, ssl, onConnect, onUntrusted });
      this.#socket = socket;
      this.#writer = new ConnectionWriter(socket);
      const reader = new ResponseReader({
        expected: () => this.#pipeline.expected(),
        answer: (body) => this.#pipeline.answer(body),
      });
      socket.setNoDelay(true);
      socket.once("connect", () => clearTimeout(this.#tcpTooLong));
      socket.on("data", (chunk: Buffer) => {
        const fault = reader.push(chunk);
        if (fault !== undefined) this.#end(this.#failure("garbage", `${this.broker} ${fault}`));
      });
      const closed = () => this.#end(standing || !ssl ? this.#closedByBroker() : tlsFailure(this.broker));
      socket.on("end", closed);
      socket.on("close", closed);
      socket.on("error", (error: SocketError) => {
        if (!standing) return this.#end(connectFailure(this.broker, error, ssl !== undefined));
        if (this.#state === "connecting" && isTlsError(error)) return this.#end(tlsFailure(this.broker, error));
        this.#end(this.#cut(`the connection to ${this.broker} broke (${error.code ?? error.message})`));
      });
    });
  }

  /** A request of the handshake: under the connect timeout, and before the connection counts as open. */
  #exchange(apiKey: number, apiVersion: number, name: string, body: Uint8Array): Promise<Buffer> {
    if (this.#state !== "connecting") return Promise.reject(this.#failure("closed", `no connection to ${this.broker}`));
    const decode = (answer: Buffer) => Buffer.from(answer) as Buffer & { throttleTime?: number };
    const request = { apiKey, apiVersion, name, expectResponse: true, parts: () => [body], decode };
    return this.#pipeline.request<Buffer>(request, Number.POSITIVE_INFINITY);
  }

  /** The only way a connection ends, whatever the reason. */
  #end(failure: KafkaFailure, deliberate = false): void {
    if (this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#state = "closed";
    this.#writer?.clear();
    if (this.#socket !== undefined) closeSocket(this.#socket, this.#pipeline.out);
    this.#pipeline.end(failure);
    this.#abortConnect?.(failure);
    this.#options.log.debug(failure.message, { broker: this.broker });
    if (wasOpen && !deliberate) this.onClose?.(failure);
  }

  #closedByBroker(): KafkaFailure {
    const during = this.#pipeline.expected()?.request.name;
    const when = during === undefined ? "" : ` during ${during}`;
    return this.#cut(`${this.broker} closed the connection${when}`);
  }

  /** `message` with what usually is the reason. */
  #cut(message: string): KafkaFailure {
    const during = this.#pipeline.expected()?.request.name;
    const hint = closedHint(during, this.#pipeline.everAnswered, this.#options.ssl !== undefined);
    return this.#failure(this.#state === "connecting" ? "connect" : "closed", message + hint);
  }

  #failure(kind: KafkaFailure["kind"], message: string): KafkaFailure {
    return new KafkaFailure(kind, this.broker, message);
  }
}

/**
 * With requests out it is a reset, which also throws away what the system has not sent yet: none of it may arrive
 * later. Otherwise an orderly end, so that what was written (acks 0) is still delivered.
 */
function closeSocket(socket: Socket, requestsOut: boolean): void {
  socket.removeAllListeners();
  socket.on("error", () => {});
  if (requestsOut && !socket.connecting) socket.resetAndDestroy();
  else socket.destroy();
}
