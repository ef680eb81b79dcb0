// The requests of one connection: sent in order, answered in order, held back while the broker throttles, and all of
// them rejected when the connection ends. Knows no sockets.
import { KafkaFailure } from "./connectionFailure.ts";
import { type KafkaRequest, requestChunks } from "./connectionRequest.ts";
import { MAX_RESPONSE } from "./guards.ts";

/** A request that was made and is not settled yet. */
interface Pending {
  request: KafkaRequest<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** ms */
  timeout: number;
  /** On the clock of performance.now(). */
  deadline: number;
  correlationId: number;
  maxResponse: number;
}

export interface PipelineShell {
  /** host:port, for messages. */
  broker: string;
  clientId: string;
  write(chunks: Uint8Array[], written?: () => void): void;
  /** Ends the connection, which calls end() here. */
  fail(failure: KafkaFailure): void;
}

/** A broker that asks for more is not believed: it would silence the connection for days. ms */
const MAX_THROTTLE = 300_000;
const MAX_CORRELATION_ID = 0x7fffffff;
const EMPTY = Buffer.alloc(0);

export class Pipeline {
  /** Until when the broker wants no requests, on the clock of performance.now(). */
  throttledUntil = 0;
  everAnswered = false;

  readonly #shell: PipelineShell;
  readonly #clientId: Buffer;
  #nextCorrelationId = 0;
  /** Sent and not answered, in the order sent. */
  #inFlight: Pending[] = [];
  /** Without an answer to come, and not yet wholly taken by the socket. */
  #unwritten: Pending[] = [];
  /** Waiting for the end of the throttling. */
  #throttled: Pending[] = [];
  #requestTimer: Timer | undefined;
  #throttleTimer: Timer | undefined;

  constructor(shell: PipelineShell) {
    this.#shell = shell;
    this.#clientId = Buffer.from(shell.clientId);
  }

  /** The request whose answer is due. */
  expected(): Pending | undefined {
    return this.#inFlight[0];
  }

  /** Whether anything that was handed to the socket is not settled. */
  get out(): boolean {
    return this.#inFlight.length > 0 || this.#unwritten.length > 0;
  }

  /** `timeout` counts from when the request is handed to the socket, ms. */
  request<T>(request: KafkaRequest<T>, timeout: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const pending: Pending = {
        request,
        resolve: resolve as (value: unknown) => void,
        reject,
        timeout,
        deadline: 0,
        correlationId: -1,
        maxResponse: request.maxResponse ?? MAX_RESPONSE,
      };
      if (this.#throttled.length === 0 && this.throttledUntil <= performance.now()) this.#send(pending);
      else this.#throttled.push(pending);
      this.#armThrottleTimer();
    });
  }

  /** The answer to expected() has come. */
  answer(body: Buffer): void {
    const pending = this.#inFlight[0];
    if (pending === undefined) return;
    let value: { throttleTime?: number };
    try {
      value = pending.request.decode(body) as { throttleTime?: number };
    } catch (error) {
      const what = `a ${pending.request.name} response that cannot be read: ${(error as Error).message}`;
      this.#shell.fail(this.#failure("garbage", `${this.#shell.broker} sent ${what}`));
      return;
    }
    this.#inFlight.shift();
    this.everAnswered = true;
    const throttle = Math.min(value.throttleTime ?? 0, MAX_THROTTLE);
    if (throttle > 0) this.throttledUntil = Math.max(this.throttledUntil, performance.now() + throttle);
    pending.resolve(value);
  }

  /** The connection has ended: rejects everything, and leaves no timer behind. */
  end(failure: KafkaFailure): void {
    clearTimeout(this.#requestTimer);
    clearTimeout(this.#throttleTimer);
    const [first, ...others] = [...this.#inFlight, ...this.#unwritten, ...this.#throttled];
    this.#inFlight = [];
    this.#unwritten = [];
    this.#throttled = [];
    // The oldest request is the culprit of a timeout or of garbage; those behind it were only cut off.
    first?.reject(failure);
    const cutOff =
      failure.kind === "closed" ? failure : this.#failure("closed", `${failure.message}, a request before`);
    for (const pending of others) pending.reject(cutOff);
  }

  #send(pending: Pending): void {
    const { request } = pending;
    pending.correlationId = this.#nextCorrelationId;
    // A request that cannot be encoded is its maker's fault: nothing was written, and the connection goes on.
    let chunks: Uint8Array[];
    try {
      chunks = requestChunks(request, pending.correlationId, this.#clientId);
    } catch (error) {
      pending.reject(error);
      return;
    }
    this.#nextCorrelationId = pending.correlationId === MAX_CORRELATION_ID ? 0 : pending.correlationId + 1;
    pending.deadline = performance.now() + pending.timeout;
    if (request.expectResponse) {
      this.#inFlight.push(pending);
      this.#shell.write(chunks);
    } else {
      this.#unwritten.push(pending);
      this.#shell.write(chunks, () => {
        this.#unwritten.shift();
        pending.resolve(request.decode(EMPTY));
      });
    }
    if (this.#requestTimer === undefined) this.#watchOldest();
  }

  #armThrottleTimer(): void {
    if (this.#throttled.length === 0 || this.#throttleTimer !== undefined) return;
    const release = () => {
      this.#throttleTimer = undefined;
      while (this.throttledUntil <= performance.now()) {
        const pending = this.#throttled.shift();
        if (pending === undefined) return;
        this.#send(pending);
      }
      this.#armThrottleTimer();
    };
    this.#throttleTimer = setTimeout(release, Math.max(1, this.throttledUntil - performance.now()));
  }

  /** One timer for all: answers come in order, so the oldest request is the first to be late. */
  #watchOldest(): void {
    this.#requestTimer = undefined;
    const [answer, write] = [this.#inFlight[0], this.#unwritten[0]];
    const oldest = (answer?.deadline ?? Infinity) <= (write?.deadline ?? Infinity) ? answer : write;
    if (oldest === undefined || oldest.deadline === Infinity) return;
    const left = oldest.deadline - performance.now();
    if (left > 0) {
      this.#requestTimer = setTimeout(() => this.#watchOldest(), Math.ceil(left));
      return;
    }
    const what = `${oldest.request.expectResponse ? "answer" : "take"} ${oldest.request.name}`;
    this.#shell.fail(this.#failure("timeout", `${this.#shell.broker} did not ${what} within ${oldest.timeout} ms`));
  }

  #failure(kind: KafkaFailure["kind"], message: string): KafkaFailure {
    return new KafkaFailure(kind, this.#shell.broker, message);
  }
}
