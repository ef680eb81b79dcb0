// A lane: one connection to a broker with the partitions that stand in line for it. Connects when there is something to send.
import type { Settings } from "../config/settings.ts";
import type { KafkaFailureKind } from "../kafka/connectionFailure.ts";
import { type After, afterDelay } from "./after.ts";
import { backoffDelay, tcpPatience } from "./backoff.ts";
import type { Line, Outbox } from "./outbox.ts";
import { type LaneConnection, Wire } from "./wire.ts";

export type { LaneConnection } from "./wire.ts";

export type LaneState =
  | { kind: "closed" }
  | { kind: "connecting"; wire: Wire }
  | { kind: "open"; wire: Wire }
  /** Nothing more is sent on it: it closes when all is answered that is in flight, and another is opened. */
  | { kind: "draining"; wire: Wire }
  | { kind: "backing off"; cancel: () => void; why: string; failure: KafkaFailureKind | undefined };

/** Read when they are needed: they may change. */
export type BackoffSettings = { readonly delivery: Pick<Settings["delivery"], "backoff" | "backoffMax"> };

export interface LaneParts {
  connect: () => LaneConnection;
  settings: BackoffSettings;
  random: () => number;
  after?: After;
  /** How long at most to wait, by chance, before a connection is opened that none was lost for, ms. Default: 0. */
  spread?: () => number;
  /** How long an answer may take as a rule, ms. */
  patience?: () => number;
  /** The broker took the connection, and has answered on it. */
  onOpen?: (wire: Wire) => void;
  /** There may be something to do: it opened, or may be opened. */
  onReady: (lane: Lane) => void;
  onFailure: (lane: Lane, why: string, delay: number) => void;
}

/**
 * When a connection breaks that was in use, it is often so for every client of the broker: the first try comes within so many
 * times the backoff, by chance. (With 10,000 hosts and within 1 time, the brokers took 38 s to have them all back; see
 * docs/fleet.md.)
 */
const FIRST_TRY = 10;
/** A login is renewed so long before it ends, or twice the patience, ms; but not before half of its time. */
const LOGIN_MARGIN = 2_000;
/** Many log in at the same time, after an outage: of a login's time, what each may renew it earlier by. */
const LOGIN_JITTER = 0.1;
/** Tries in vain after which others may have to do. */
const HOPELESS_AFTER = 3;
/** What a timer takes, ms. */
const LONGEST_DELAY = 2 ** 31 - 1;

export class Lane implements Line {
  /** Partitions whose turn is to come. */
  readonly line: Outbox[] = [];
  state: LaneState = { kind: "closed" };
  readonly #parts: LaneParts;
  #failures = 0;
  /** Failures in a row while it was waited for: what the next wait depends on. */
  #tries = 0;
  /** The next connection has waited its part already. */
  #spread = false;
  /** Calls off that the tries are forgotten. */
  #remember = () => {};
  #stopped = false;

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  /** The connection, when it can be used now; otherwise it is being opened, and `onReady` will be called. */
  connection(): LaneConnection | undefined {
    const { state } = this;
    switch (state.kind) {
      case "open":
        if (state.wire.connection.open) return state.wire.connection;
        this.lost(state.wire.connection, "the connection was closed");
        return undefined;
      case "closed":
        this.#open();
        return undefined;
      case "connecting":
      case "draining":
      case "backing off":
        return undefined;
    }
  }

  /** Its connection, whatever the state, with what is in flight on it. */
  get wire(): Wire | undefined {
    return "wire" in this.state ? this.state.wire : undefined;
  }

  /** Produce requests that wait for their answer. */
  get inFlight(): number {
    return this.wire?.flights.length ?? 0;
  }

  /** The request that is to be answered next should have been long ago. */
  get late(): boolean {
    return this.wire?.flights[0]?.late ?? false;
  }

  get unreachable(): boolean {
    return this.state.kind === "backing off";
  }

  /** It cannot be reached, and could not several times before. */
  get hopeless(): boolean {
    return this.unreachable && this.#tries >= HOPELESS_AFTER;
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
    this.#failures = this.#tries = 0;
    this.settle();
  }

  /** Something is no more in flight. */
  settle(): void {
    const { state } = this;
    if (state.kind === "draining" && state.wire.flights.length === 0) this.#reopen(state.wire);
  }

  /** `connection` broke. */
  lost(connection: LaneConnection, why: string, failure?: KafkaFailureKind): void {
    const { state, wire } = this;
    if (wire?.connection !== connection) return;
    // Brokers close what was idle for long (connections.max.idle.ms): no failure while nobody needs it.
    const idle = state.kind === "open" && wire.flights.length === 0 && this.line.length === 0;
    if (state.kind === "draining") {
      this.#reopen(wire);
      return;
    }
    wire.end();
    if (this.#stopped || idle) {
      this.state = { kind: "closed" };
      return;
    }
    this.#failures++;
    this.#tries++;
    const { settings, random, after = afterDelay, onReady, onFailure } = this.#parts;
    const { backoff, backoffMax } = settings.delivery;
    const first = this.#tries === 1 && state.kind === "open";
    const delay = first
      ? Math.min(backoff * FIRST_TRY, backoffMax) * random()
      : backoffDelay(this.#tries, backoff, backoffMax, random);
    const cancel = after(delay, () => {
      this.#spread = this.line.length > 0;
      // If nobody waits for it, it may be well again long before somebody does.
      if (!this.#spread) this.#remember = after(backoffMax, () => this.#forget());
      this.state = { kind: "closed" };
      onReady(this);
    });
    this.state = { kind: "backing off", cancel, why, failure };
    onFailure(this, why, delay);
  }

  /** Ends the connection at once: what is in flight fails. The next one is opened when it is needed. */
  cut(): void {
    const { wire } = this;
    if (wire === undefined) return;
    this.state = { kind: "closed" };
    wire.end();
  }

  /** Gives its connection, with what is in flight on it, for that of the other. */
  swapWith(other: Lane): void {
    [this.state, other.state] = [other.state, this.state];
    for (const lane of [this, other]) if (lane.wire !== undefined) lane.wire.lane = lane;
  }

  /** Sends nothing more on its connection, waits for what is in flight, and opens another. One that failed is tried at once. */
  renew(): void {
    const { state } = this;
    switch (state.kind) {
      case "closed":
      case "draining":
        return;
      case "connecting":
        this.#reopen(state.wire);
        return;
      case "open":
        this.state = { kind: "draining", wire: state.wire };
        this.settle();
        return;
      case "backing off":
        state.cancel();
        this.state = { kind: "closed" };
        this.#parts.onReady(this);
    }
  }

  /** Closes the connection at once. What is in flight fails. */
  stop(): void {
    this.#stopped = true;
    this.#remember();
    const { state, wire } = this;
    if (state.kind === "backing off") state.cancel();
    this.state = { kind: "closed" };
    wire?.end();
  }

  #forget(): void {
    this.#tries = Math.min(this.#tries, 1);
  }

  #open(): void {
    if (this.#stopped) return;
    this.#remember();
    const connection = this.#parts.connect();
    // It may be another lane's by the time that something becomes of it.
    const wire = new Wire(connection, this);
    this.state = { kind: "connecting", wire };
    connection.onClose = (failure) => {
      wire.lane.lost(connection, failure?.message ?? "the broker closed the connection", failure?.kind);
    };
    // Leaders move for all clients at once, and a fleet is started in one go.
    const { after = afterDelay, random, spread = () => 0 } = this.#parts;
    const wait = this.#spread ? 0 : spread() * random();
    this.#spread = false;
    if (wait < 1) this.#connect(wire);
    else wire.cancelTimer = after(wait, () => wire.lane.#connect(wire));
  }

  #connect(wire: Wire): void {
    const { connection } = wire;
    connection.connect(tcpPatience(this.#tries)).then(
      () => wire.lane.#opened(wire),
      (failure: { message: string; kind?: KafkaFailureKind }) =>
        wire.lane.lost(connection, failure.message, failure.kind),
    );
  }

  #opened(wire: Wire): void {
    if (this.state.kind !== "connecting" || this.state.wire !== wire) return;
    this.state = { kind: "open", wire };
    this.#watchLogin(wire);
    this.#parts.onOpen?.(wire);
    this.#parts.onReady(this);
  }

  #reopen(wire: Wire): void {
    this.state = { kind: "closed" };
    wire.end();
    this.#parts.onReady(this);
  }

  #watchLogin(wire: Wire): void {
    const left = wire.connection.sessionEndsAt - Date.now();
    if (!Number.isFinite(left)) return;
    const { after = afterDelay, random, patience = () => 0 } = this.#parts;
    const margin = Math.min(Math.max(LOGIN_MARGIN, 2 * patience()), left / 2);
    const delay = Math.max(0, left - margin - left * LOGIN_JITTER * random());
    wire.cancelTimer = after(Math.min(delay, LONGEST_DELAY), () => wire.lane.renew());
  }
}
