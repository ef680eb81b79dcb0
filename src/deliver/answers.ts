// Acts on what a broker said of a batch: settles it, or sees to it that it is sent again, smaller, elsewhere or later.
import type { Settings } from "../config/settings.ts";
import type { Written } from "../kafka/errors.ts";
import { readRecordBatch } from "../kafka/recordBatchReader.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { LimitedLog } from "../observe/logLimit.ts";
import { printable } from "../observe/logPrintable.ts";
import type { Batch } from "../route/batch.ts";
import type { BufferPool } from "../route/bufferPool.ts";
import type { Topic } from "../route/topic.ts";
import { backoffDelay } from "./backoff.ts";
import type { JournalKeeper } from "./journalKeeper.ts";
import type { Outbox } from "./outbox.ts";
import type { Outcome } from "./outcome.ts";
import type { Parcel } from "./parcel.ts";
import { cutBatch, splitBatch, withoutRecords } from "./rebuildBatch.ts";
import type { Settlement } from "./settlement.ts";

export interface AnswersParts {
  settings: Pick<Settings, "kafka" | "delivery">;
  settlement: Settlement;
  journal: JournalKeeper;
  pool: BufferPool;
  log: LimitedLog;
  random: () => number;
  /** The partition can send again. */
  enqueue: (outbox: Outbox) => void;
  /** A held topic can be written again. */
  onRelease: (topic: Topic) => void;
  refreshMetadata: (why: string) => void;
  renewProducerId: () => void;
}

export class Answers {
  readonly #parts: AnswersParts;

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  /** Nobody knows whether the broker has the batch: it is sent again, first of all, with the same sequence. */
  unknown({ outbox, batch }: Parcel): void {
    const { settlement, enqueue } = this.#parts;
    if (outbox.producer === undefined) settlement.maybeTwice(outbox.partition.topic, batch);
    outbox.uncertain = true;
    outbox.state = { kind: "idle" };
    this.#putBack(outbox, [batch]);
    enqueue(outbox);
  }

  /** The batch was to be sent, and was not: it goes first of all, as soon as that can be. */
  notSent(outbox: Outbox, batch: Batch): void {
    outbox.state = { kind: "idle" };
    this.#putBack(outbox, [batch]);
    this.#parts.enqueue(outbox);
  }

  /** Gives up a batch that was sent before. */
  giveUp(outbox: Outbox, batch: Batch, reason: DiscardReason): void {
    this.#changeContent(outbox);
    outbox.uncertain = false;
    outbox.firstSentAt = undefined;
    this.#parts.journal.discarded(outbox, batch, reason);
    this.#parts.settlement.discardedBatch(outbox.partition.topic, batch, reason);
  }

  /** Nobody can tell a repetition of `batch` any more: it is sent under a new producer id. */
  startOver(outbox: Outbox, batch: Batch): void {
    outbox.forgetProducer();
    this.#parts.renewProducerId();
    this.#parts.settlement.maybeTwice(outbox.partition.topic, batch);
  }

  act({ outbox, batch }: Parcel, outcome: Outcome): void {
    const { settlement, journal, settings, log, pool, enqueue } = this.#parts;
    const { topic, id } = outbox.partition;
    const about = { topic: topic.name, partition: id, messages: batch.count };
    const rebuilding = { compression: topic.settings, pool };
    outbox.state = { kind: "idle" };
    switch (outcome.kind) {
      case "delivered":
        outbox.advance(batch.count);
        outbox.failures = 0;
        outbox.slow = false;
        journal.delivered(outbox);
        if (settings.kafka.acks !== 0) topic.limit.accept(batch);
        settlement.delivered(topic, batch);
        break;
      case "again":
        this.#maybeWritten(outbox, batch, outcome.written);
        if (outcome.refresh) this.#parts.refreshMetadata(outcome.why);
        log.debug("a batch has to be sent again", { ...about, why: outcome.why }, `${outcome.why} ${topic.name} ${id}`);
        this.#backOff(outbox, batch);
        return;
      case "split":
        log.debug(
          "a batch is sent in parts",
          { ...about, bytes: batch.bytes.length, why: outcome.why },
          `split ${topic.name}`,
        );
        if (this.#changeContent(outbox)) settlement.maybeTwice(topic, batch);
        if (outcome.because === "fault") this.#putBack(outbox, splitBatch(batch, rebuilding));
        else {
          if (topic.limit.known === undefined)
            log.info(
              "Kafka takes only smaller batches of a topic: from now on they are made so",
              { ...about, refused_bytes: batch.bytes.length },
              `limit ${topic.name}`,
            );
          topic.limit.refuse(batch);
          this.#putBack(outbox, cutBatch(batch, topic.limit.most, rebuilding));
        }
        break;
      case "remove": {
        const { why, reason } = outcome;
        const sample = sampleOf(batch, outcome.indexes);
        log.warn(
          "Kafka does not take messages",
          { ...about, messages: outcome.indexes.size, why, reason, sample },
          `${reason} ${topic.name}`,
        );
        const { removed, rest } = withoutRecords(batch, outcome.indexes, rebuilding);
        // A restart must not look for the others together with these, which are settled.
        journal.returned(outbox);
        settlement.discarded(topic, removed, reason);
        if (this.#changeContent(outbox) && rest !== undefined) settlement.maybeTwice(topic, rest);
        if (rest !== undefined) this.#putBack(outbox, [rest]);
        break;
      }
      case "discard":
        log.warn(
          "Kafka does not take messages",
          { ...about, why: outcome.why, reason: outcome.reason, sample: sampleOf(batch) },
          `${outcome.reason} ${topic.name}`,
        );
        this.giveUp(outbox, batch, outcome.reason);
        break;
      case "renew":
        log.warn(
          "a new producer id is needed; the batch may be in Kafka twice",
          { ...about, why: outcome.why },
          `renew ${topic.name}`,
        );
        this.startOver(outbox, batch);
        this.#backOff(outbox, batch);
        return;
      case "hold":
        this.#hold(outbox, batch, outcome);
        return;
    }
    // It took the batch, or found fault with this batch only: the next one shows how things are now.
    if (heldByBroker(topic)) this.release(topic);
    enqueue(outbox);
  }

  /** The broker answered with an error and may have the batch all the same. */
  #maybeWritten(outbox: Outbox, batch: Batch, written: Written): void {
    const { settlement, settings } = this.#parts;
    if (written === "no" || (written === "acks all" && settings.kafka.acks !== "all")) return;
    outbox.uncertain = true;
    if (outbox.producer === undefined) settlement.maybeTwice(outbox.partition.topic, batch);
  }

  /**
   * What is sent under the next sequence will not be what was sent before. Should the broker have that, it would take
   * the other for its repetition if it has as many records, say that it has it, and drop it: so a new producer id then.
   */
  #changeContent(outbox: Outbox): boolean {
    if (!outbox.uncertain || outbox.producer === undefined) return false;
    outbox.forgetProducer();
    this.#parts.renewProducerId();
    return true;
  }

  /** Batches to be sent before any other; a topic that was refused in the meantime has none. */
  #putBack(outbox: Outbox, batches: Batch[]): void {
    const { standing } = outbox.partition.topic;
    if (standing.kind === "refused") for (const batch of batches) this.giveUp(outbox, batch, standing.discard);
    else outbox.resend.unshift(...batches);
  }

  #hold(outbox: Outbox, batch: Batch, outcome: Extract<Outcome, { kind: "hold" }>): void {
    const { log, settings, random, enqueue } = this.#parts;
    const { topic } = outbox.partition;
    if (outcome.unauthorized && topic.settings.unauthorizedTopic === "discard") {
      this.giveUp(outbox, batch, "unauthorized_topic");
      if (heldByBroker(topic)) this.release(topic);
      enqueue(outbox);
      return;
    }
    if (topic.standing.kind === "live") {
      log.error(
        "a topic is held: Kafka does not let us write to it",
        { topic: topic.name, why: outcome.why },
        topic.name,
      );
      topic.setStanding({ kind: "held", by: "produce", reason: outcome.why });
    }
    this.#maybeWritten(outbox, batch, outcome.written);
    this.#putBack(outbox, [batch]);
    // A rule that forbids is made for all hosts at one instant: their tries, a batch each, spread from the first on.
    outbox.wait(settings.delivery.backoffMax * (0.5 + random()), () => enqueue(outbox));
  }

  /** Lets a topic be written that a broker refused. */
  release(topic: Topic, why = "a held topic can be written again"): void {
    this.#parts.log.info(why, { topic: topic.name }, topic.name);
    topic.setStanding({ kind: "live" });
    this.#parts.onRelease(topic);
  }

  #backOff(outbox: Outbox, batch: Batch): void {
    const { settings, random, enqueue } = this.#parts;
    const { backoff, backoffMax } = settings.delivery;
    this.#putBack(outbox, [batch]);
    outbox.failures++;
    outbox.slow = true;
    const delay = backoffDelay(outbox.failures, backoff, backoffMax, random);
    outbox.wait(delay, () => enqueue(outbox));
  }
}

/** Bytes shown of a key and of a value. */
const SAMPLE = 64;

/** The first of the records, or of those at `indexes`: for whoever wonders which messages Kafka does not take. */
function sampleOf(batch: Batch, indexes?: ReadonlySet<number>): Record<string, string | number | null> {
  const { records } = readRecordBatch(batch.bytes);
  const record = records.find((_, index) => indexes?.has(index) ?? true);
  const { timestamp = 0n, key = null, value = null } = record ?? {};
  const text = (bytes: Buffer | null) => bytes && printable(bytes.toString("utf8", 0, SAMPLE));
  return { timestamp: Number(timestamp), key: text(key), value: text(value), value_bytes: value?.length ?? 0 };
}

/** Held because a broker refused a batch: whether that is over shows only when one is sent. */
export function heldByBroker({ standing }: Topic): boolean {
  return standing.kind === "held" && standing.by === "produce";
}
