// A lane: one connection to a broker with the partitions that stand in line for it. Connects when there is something to send.
import type { Settings } from "../config/settings.ts";
import type { KafkaConnection } from "../kafka/connection.ts";
import { type After, afterDelay } from "./after.ts";
import { backoffDelay } from "./backoff.ts";
import type { Line, Outbox } from "./outbox.ts";

/** What is needed of a KafkaConnection. */
export type LaneConnection = Pick<
  KafkaConnection,
  "broker" | "connect" | "destroy" | "onClose" | "open" | "request" | "sessionEndsAt" | "throttledUntil"
>;

export type LaneState =
  | { kind: "closed" }
  | { kind: "connecting"; connection: LaneConnection }
  | { kind: "open"; connection: LaneConnection }
  | { kind: "backing off"; cancel: () => void; why: string };

/** Read when they are needed: they may change. */
export type BackoffSettings = { readonly delivery: Pick<Settings["delivery"], "backoff" | "backoffMax"> };

export interface LaneParts {
  connect: () => LaneConnection;
  settings: BackoffSettings;
  random: () => number;
  after?: After;
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
  connection(): LaneConnection | undefined {
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
  lost(connection: LaneConnection, why: string): void {
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
    const { settings, random, after = afterDelay, onReady, onFailure } = this.#parts;
    const delay = backoffDelay(this.#failures, settings.delivery.backoff, settings.delivery.backoffMax, random);
    const cancel = after(delay, () => {
      this.state = { kind: "closed" };
      onReady(this);
    });
    this.state = { kind: "backing off", cancel, why };
    onFailure(this, why, delay);
  }

  /** Closes the connection at once. What is in flight fails. */
  stop(): void {
    this.#stopped = true;
    const { state } = this;
    if (state.kind === "backing off") state.cancel();
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
