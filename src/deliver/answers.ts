// Acts on what a broker said of a batch: settles it, or sees to it that it is sent again, smaller, elsewhere or later.
import type { Settings } from "../config/settings.ts";
import type { Log } from "../observe/log.ts";
import type { Batch } from "../route/batch.ts";
import type { BufferPool } from "../route/bufferPool.ts";
import type { Topic } from "../route/topic.ts";
import { backoffDelay } from "./backoff.ts";
import type { Outbox } from "./outbox.ts";
import type { Outcome } from "./outcome.ts";
import type { Parcel } from "./parcel.ts";
import { splitBatch, withoutRecords } from "./rebuildBatch.ts";
import type { Settlement } from "./settlement.ts";

export interface AnswersParts {
  settings: Pick<Settings, "kafka" | "delivery">;
  settlement: Settlement;
  pool: BufferPool;
  log: Log;
  /** Milliseconds, monotonic. */
  now: () => number;
  random: () => number;
  /** The partition can send again. `probe`: although its topic is held, to see whether it still must be. */
  enqueue: (outbox: Outbox, probe: boolean) => void;
  /** A held topic can be written again. */
  onRelease: (topic: Topic) => void;
  refreshMetadata: (why: string) => void;
  renewProducerId: () => void;
}

/** A partition whose last batch took longer than this uses the slow lane. Milliseconds. */
const SLOW = 1000;

export class Answers {
  readonly #parts: AnswersParts;

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  /** Nobody knows whether the broker has the batch: it is sent again, first of all, with the same sequence. */
  unknown({ outbox, batch }: Parcel): void {
    const { settings, settlement, enqueue } = this.#parts;
    if (!settings.kafka.idempotence) settlement.maybeTwice(outbox.partition.topic, batch);
    outbox.resend.unshift(batch);
    outbox.state = { kind: "idle" };
    enqueue(outbox, probing(outbox.partition.topic));
  }

  act({ outbox, batch }: Parcel, outcome: Outcome): void {
    const { settlement, settings, log, pool, enqueue, now } = this.#parts;
    const { topic, id } = outbox.partition;
    const took = outbox.state.kind === "in flight" ? now() - outbox.state.sentAt : 0;
    const about = { topic: topic.name, partition: id, messages: batch.count };
    const rebuilding = { compression: topic.settings, pool };
    outbox.state = { kind: "idle" };
    switch (outcome.kind) {
      case "delivered":
        outbox.advance(batch.count);
        outbox.failures = 0;
        outbox.slow = took > SLOW;
        settlement.delivered(topic, batch);
        if (topic.standing.kind === "held") this.#release(topic);
        break;
      case "again":
        if (outcome.written && !settings.kafka.idempotence) settlement.maybeTwice(topic, batch);
        if (outcome.refresh) this.#parts.refreshMetadata(outcome.why);
        log.debug("a batch has to be sent again", { ...about, why: outcome.why });
        this.#backOff(outbox, batch);
        return;
      case "split":
        outbox.resend.unshift(...splitBatch(batch, rebuilding));
        break;
      case "remove": {
        const { removed, rest } = withoutRecords(batch, outcome.indexes, rebuilding);
        settlement.discarded(topic, removed, outcome.reason);
        if (rest !== undefined) outbox.resend.unshift(rest);
        break;
      }
      case "discard":
        log.warn("Kafka does not take messages", { ...about, why: outcome.why, reason: outcome.reason });
        settlement.discardedBatch(topic, batch, outcome.reason);
        break;
      case "renew":
        log.warn("a new producer id is needed; the batch may be in Kafka twice", { ...about, why: outcome.why });
        outbox.forgetProducer();
        this.#parts.renewProducerId();
        settlement.maybeTwice(topic, batch);
        this.#backOff(outbox, batch);
        return;
      case "hold":
        this.#hold(outbox, batch, outcome);
        return;
    }
    enqueue(outbox, probing(topic) && outbox.resend.length > 0);
  }

  #hold(outbox: Outbox, batch: Batch, outcome: Extract<Outcome, { kind: "hold" }>): void {
    const { settlement, log, settings, random, enqueue } = this.#parts;
    const { topic } = outbox.partition;
    if (outcome.unauthorized && topic.settings.unauthorizedTopic === "discard") {
      settlement.discardedBatch(topic, batch, "unauthorized_topic");
      enqueue(outbox, false);
      return;
    }
    if (topic.standing.kind === "live") {
      log.error("a topic is held: Kafka does not let us write to it", { topic: topic.name, why: outcome.why });
      topic.setStanding({ kind: "held", by: "produce", reason: outcome.why, since: Date.now() });
    }
    outbox.resend.unshift(batch);
    outbox.wait(settings.delivery.backoffMax * (0.9 + random() * 0.2), () => enqueue(outbox, true));
  }

  #release(topic: Topic): void {
    this.#parts.log.info("a held topic can be written again", { topic: topic.name });
    topic.setStanding({ kind: "live" });
    this.#parts.onRelease(topic);
  }

  #backOff(outbox: Outbox, batch: Batch): void {
    const { settings, random, enqueue } = this.#parts;
    const { backoff, backoffMax } = settings.delivery;
    outbox.resend.unshift(batch);
    outbox.failures++;
    outbox.slow = true;
    const delay = backoffDelay(outbox.failures, backoff, backoffMax, random);
    outbox.wait(delay, () => enqueue(outbox, probing(outbox.partition.topic)));
  }
}

/** Held because a broker refused a batch: whether that is over shows only when one is sent. */
function probing(topic: Topic): boolean {
  return topic.standing.kind === "held" && topic.standing.by === "produce";
}
