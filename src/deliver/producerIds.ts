// Producer ids: one for all partitions, got from any broker; a new one when a broker no longer knows it.
import { errorOf, explain } from "../kafka/errors.ts";
import { initProducerIdRequest } from "../kafka/initProducerId.ts";
import type { Log } from "../observe/log.ts";
import { type After, afterDelay } from "./after.ts";
import { backoffDelay } from "./backoff.ts";
import type { BackoffSettings, LaneConnection } from "./lane.ts";

export interface ProducerIdentity {
  producerId: bigint;
  producerEpoch: number;
  /** The cluster that gave it, and that alone knows it; empty when it has no id. */
  clusterId: string;
}

export interface ProducerIdsParts {
  log: Log;
  settings: BackoffSettings;
  random: () => number;
  after?: After;
  clusterId: () => string;
  /** Called when `current` has become known, or may be asked for again. */
  onKnown: () => void;
}

/** A broker that has not answered for so long is not waited for alone: another is asked as well. Milliseconds. */
const PATIENCE = 1_000;

export class ProducerIds {
  current: ProducerIdentity | undefined;
  /** Why brokers give none, as long as somebody has to see to it: no waiting mends that. */
  refusal: string | undefined;
  readonly #parts: ProducerIdsParts;
  #asking: { connection: LaneConnection; at: number } | undefined;
  /** Who refused last. Another one is asked before, if there is one that needs an id. */
  #refusedBy: LaneConnection | undefined;
  #failures = 0;
  #retryAt = 0;
  #cancelCall = () => {};

  constructor(parts: ProducerIdsParts) {
    this.#parts = parts;
  }

  /** Makes the next `ask` get another id. */
  renew(): void {
    this.current = undefined;
  }

  /** Asks for an id on `connection`, unless one is known, was asked for a moment ago, or was refused then. */
  ask(connection: LaneConnection, now: number): void {
    if (this.current !== undefined || now < this.#retryAt) return;
    if (this.#asking !== undefined) {
      if (this.#asking.connection === connection || now - this.#asking.at < PATIENCE) return;
    }
    if (connection === this.#refusedBy) {
      this.#refusedBy = undefined;
      queueMicrotask(() => this.ask(connection, now));
      return;
    }
    const asking = { connection, at: now };
    this.#asking = asking;
    this.#callAfter(PATIENCE);
    connection.request(initProducerIdRequest()).then(
      (response) => {
        // Whoever answers first gives it.
        if (this.#asking === undefined) return;
        if (response.errorCode !== 0 && this.#asking !== asking) return;
        this.#asking = undefined;
        if (response.errorCode !== 0) {
          this.#refusedBy = connection;
          const error = errorOf(response.errorCode);
          this.refusal = error.action === "hold" ? explain(error) : undefined;
          this.#failed(now, explain(error));
          return;
        }
        this.#failures = 0;
        this.refusal = undefined;
        const { producerId, producerEpoch } = response;
        this.current = { producerId, producerEpoch, clusterId: this.#parts.clusterId() };
        this.#cancelCall();
        this.#parts.onKnown();
      },
      (failure: { message: string }) => {
        if (this.#asking !== asking) return;
        this.#asking = undefined;
        this.#failed(now, failure.message);
      },
    );
  }

  #failed(now: number, why: string): void {
    const { log, settings, random } = this.#parts;
    this.#failures++;
    const delay = backoffDelay(this.#failures, settings.delivery.backoff, settings.delivery.backoffMax, random);
    this.#retryAt = now + delay;
    log.warn("no producer id from Kafka yet, asking again", { why, attempt: this.#failures });
    this.#callAfter(delay);
  }

  /** Has whoever needs an id ask again. */
  #callAfter(delay: number): void {
    const { after = afterDelay, onKnown } = this.#parts;
    this.#cancelCall();
    this.#cancelCall = after(delay, () => {
      // A timer may come a little early, and nobody would ask once more.
      this.#retryAt = 0;
      onKnown();
    });
  }

  /** Leaves no timer behind. */
  stop(): void {
    this.#cancelCall();
  }
}
