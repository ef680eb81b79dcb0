// A lane: one connection to a broker with the partitions that stand in line for it. Connects when there is something to send.
import type { KafkaConnection } from "../kafka/connection.ts";
import { backoffDelay } from "./backoff.ts";
import type { Line, Outbox } from "./outbox.ts";

export type LaneState =
  | { kind: "closed" }
  | { kind: "connecting"; connection: KafkaConnection }
  | { kind: "open"; connection: KafkaConnection }
  | { kind: "backing off"; timer: ReturnType<typeof setTimeout>; why: string };

export interface LaneParts {
  connect: () => KafkaConnection;
  backoff: number;
  backoffMax: number;
  random: () => number;
  /** There may be something to do: it opened, or its backoff is over. */
  onReady: (lane: Lane) => void;
  onFailure: (lane: Lane, why: string, delay: number) => void;
}

export class Lane implements Line {
  /** Partitions whose turn is to come. */
  readonly line: Outbox[] = [];
  state: LaneState = { kind: "closed" };
  /** Produce requests that wait for their answer. */
  inFlight = 0;
  readonly #parts: LaneParts;
  #failures = 0;
  #stopped = false;

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  /** The connection, when it can be used now; otherwise it is being opened, and `onReady` will be called. */
  connection(): KafkaConnection | undefined {
    const { state } = this;
    switch (state.kind) {
      case "open":
        if (state.connection.open) return state.connection;
        this.lost(state.connection, "the connection was closed");
        return undefined;
      case "closed":
        this.#open();
        return undefined;
      case "connecting":
      case "backing off":
        return undefined;
    }
  }

  get unreachable(): boolean {
    return this.state.kind === "backing off";
  }

  /** It failed, and no answer came since: also when it is open again, for a broker may take a connection and say nothing. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  leave(outbox: Outbox): void {
    const at = this.line.indexOf(outbox);
    if (at >= 0) this.line.splice(at, 1);
  }

  /** An answer came: the broker is well. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** `connection` broke. */
  lost(connection: KafkaConnection, why: string): void {
    const { state } = this;
    if (state.kind !== "open" && state.kind !== "connecting") return;
    if (state.connection !== connection) return;
    connection.destroy();
    // Brokers close what was idle for long (connections.max.idle.ms): no failure while nobody needs it.
    const idle = state.kind === "open" && this.inFlight === 0 && this.line.length === 0;
    if (this.#stopped || idle) {
      this.state = { kind: "closed" };
      return;
    }
    this.#failures++;
    const { backoff, backoffMax, random, onReady, onFailure } = this.#parts;
    const delay = backoffDelay(this.#failures, backoff, backoffMax, random);
    const timer = setTimeout(() => {
      this.state = { kind: "closed" };
      onReady(this);
    }, delay);
    this.state = { kind: "backing off", timer, why };
    onFailure(this, why, delay);
  }

  /** Closes the connection at once. What is in flight fails. */
  stop(): void {
    this.#stopped = true;
    const { state } = this;
    if (state.kind === "backing off") clearTimeout(state.timer);
    if (state.kind === "open" || state.kind === "connecting") state.connection.destroy();
    this.state = { kind: "closed" };
  }

  #open(): void {
    if (this.#stopped) return;
    const connection = this.#parts.connect();
    this.state = { kind: "connecting", connection };
    connection.onClose = (failure) => this.lost(connection, failure?.message ?? "the broker closed the connection");
    connection.connect().then(
      () => {
        if (this.state.kind !== "connecting" || this.state.connection !== connection) return;
        this.state = { kind: "open", connection };
        this.#parts.onReady(this);
      },
      (failure: { message: string }) => this.lost(connection, failure.message),
    );
  }
}
