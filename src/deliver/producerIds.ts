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
  /** Called when `current` has become known. */
  onKnown: () => void;
}

export class ProducerIds {
  current: ProducerIdentity | undefined;
  readonly #parts: ProducerIdsParts;
  #asking = false;
  #failures = 0;
  #retryAt = 0;
  #cancelRetry = () => {};

  constructor(parts: ProducerIdsParts) {
    this.#parts = parts;
  }

  /** Makes the next `ask` get another id. */
  renew(): void {
    this.current = undefined;
  }

  /** Asks for an id on `connection`, unless one is known, being asked for, or was refused a moment ago. */
  ask(connection: LaneConnection, now: number): void {
    if (this.current !== undefined || this.#asking || now < this.#retryAt) return;
    this.#asking = true;
    connection.request(initProducerIdRequest()).then(
      (response) => {
        this.#asking = false;
        if (response.errorCode !== 0) {
          this.#failed(now, explain(errorOf(response.errorCode)));
          return;
        }
        this.#failures = 0;
        const { producerId, producerEpoch } = response;
        this.current = { producerId, producerEpoch, clusterId: this.#parts.clusterId() };
        this.#parts.onKnown();
      },
      (failure: { message: string }) => {
        this.#asking = false;
        this.#failed(now, failure.message);
      },
    );
  }

  #failed(now: number, why: string): void {
    const { log, settings, random, after = afterDelay, onKnown } = this.#parts;
    this.#failures++;
    const delay = backoffDelay(this.#failures, settings.delivery.backoff, settings.delivery.backoffMax, random);
    this.#retryAt = now + delay;
    log.warn("no producer id from Kafka yet, asking again", { why, attempt: this.#failures });
    this.#cancelRetry = after(delay, () => {
      // A timer may come a little early, and nobody would ask once more.
      this.#retryAt = 0;
      onKnown();
    });
  }

  /** Leaves no timer behind. */
  stop(): void {
    this.#cancelRetry();
  }
}
