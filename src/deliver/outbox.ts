// What delivery knows of one partition: whether a batch is in flight, what must be sent again, and its place in the sequence.
import type { ProducerStamp } from "../kafka/recordBatch.ts";
import type { Batch } from "../route/batch.ts";
import type { Partition } from "../route/topic.ts";
import type { JournalEntry } from "../spool/journal.ts";
import type { MessageNumbers } from "../spool/numbers.ts";
import { type After, afterDelay } from "./after.ts";
import type { ProducerIdentity } from "./producerIds.ts";

/** Sequence numbers are int32 and wrap to 0. */
const SEQUENCES = 2 ** 31;

/** A line in which partitions wait for their turn to send. */
export interface Line {
  /** Takes a partition out of it. */
  leave(outbox: Outbox): void;
}

export type OutboxState =
  /** Nothing is under way; there may or may not be something to send. */
  | { kind: "idle" }
  /** Stands in line at a broker's lane. */
  | { kind: "queued"; line: Line }
  | { kind: "in flight"; batch: Batch }
  | { kind: "backing off"; cancel: () => void };

/** What the journal's open entry of a partition tells of. */
export interface Journaled {
  /** undefined when it is no batch as it is now: that of the entry could not be made again after a restart. */
  batch: Batch | undefined;
  producer: ProducerIdentity | undefined;
  baseSequence: number;
  /** Of its messages. */
  numbers: MessageNumbers;
}

/**
 * How a batch was found after a restart: as it was sent; with the same messages, but not to be sent as it was; with some of
 * its messages gone, and its entry therefore ended.
 */
export type RestoredAs = "same" | "changed" | "partly";

/**
 * One batch in flight at a time: so what may be in Kafka or not is always the first thing to be sent again, with the same
 * sequence, before anything else of this partition. `nextSequence` moves on success only.
 */
export class Outbox {
  readonly partition: Partition;
  state: OutboxState = { kind: "idle" };
  /** Batches that were taken and must be sent (again) before any other, in order. */
  readonly resend: Batch[] = [];
  /** When the first of `resend` was first sent; undefined when it never was. */
  firstSentAt: number | undefined;
  /** Failures in a row. */
  failures = 0;
  /** Failed or slow lately: then it uses the broker's slow lane. */
  slow = false;
  /** The broker may have a batch under the next sequence: what it then gets under it must be that very batch. */
  uncertain = false;
  /** With idempotence: whose sequence this is. */
  producer: ProducerIdentity | undefined;
  nextSequence = 0;
  /**
   * The producer is that of an earlier run, for the batch that was on its way then, and for no other: what was sent behind it,
   * a power cut may have made the journal forget. A broker would take another batch under that sequence for a repetition, and
   * drop it.
   */
  #inherited = false;
  /** The entry of the journal that is open. */
  journaled: Journaled | undefined;

  readonly #after: After;

  constructor(partition: Partition, after: After = afterDelay) {
    this.partition = partition;
    this.#after = after;
  }

  /** Is there something to send that can go nowhere else? */
  get hasOwnWork(): boolean {
    return this.resend.length > 0 || this.partition.keyed.due;
  }

  /** The batch to send now: what was sent before, else the older one of the partition's and, with `any`, the topic's. */
  next(any: boolean): Batch | undefined {
    const again = this.resend.shift();
    if (again !== undefined) return again;
    const { keyed, topic } = this.partition;
    const takesAny = any && topic.any.due;
    if (keyed.due && (!takesAny || keyed.oldest <= topic.any.oldest)) return keyed.take();
    return takesAny ? topic.any.take() : undefined;
  }

  /** Takes up where the journal's entry says that it was; `sentAt`: when the batch was first sent, on the clock of ages. */
  restore(batch: Batch, entry: JournalEntry, as: RestoredAs, sentAt: number): void {
    const { clusterId, producerId, producerEpoch, baseSequence } = entry;
    const known = as === "same" && producerId >= 0n;
    const producer = known ? { producerId, producerEpoch, clusterId } : undefined;
    this.resend.push(batch);
    const { numbers } = entry;
    if (as !== "partly") this.journaled = { batch: as === "same" ? batch : undefined, producer, baseSequence, numbers };
    if (producer === undefined) return;
    this.producer = producer;
    this.nextSequence = baseSequence;
    this.#inherited = true;
    this.uncertain = true;
    this.firstSentAt = sentAt;
  }

  /** When the oldest message it has taken was routed; Infinity when it has none. */
  get oldest(): number {
    const inFlight = this.state.kind === "in flight" ? this.state.batch.openedAt : Number.POSITIVE_INFINITY;
    return Math.min(inFlight, this.resend[0]?.openedAt ?? inFlight);
  }

  /** Sends nothing for `delay` ms, then calls `then`. */
  wait(delay: number, then: () => void): void {
    const cancel = this.#after(delay, () => {
      this.state = { kind: "idle" };
      then();
    });
    this.state = { kind: "backing off", cancel };
  }

  stopWaiting(): void {
    if (this.state.kind === "backing off") this.state.cancel();
  }

  /** The stamp for the batch to send now. Only with a producer. */
  stamp(): ProducerStamp {
    const { producerId, producerEpoch } = this.producer as NonNullable<typeof this.producer>;
    return { producerId, producerEpoch, baseSequence: this.nextSequence };
  }

  /** The batch sent is in Kafka: the sequence moves on. */
  advance(count: number): void {
    if (this.#inherited) {
      this.forgetProducer();
      return;
    }
    this.nextSequence = (this.nextSequence + count) % SEQUENCES;
    this.firstSentAt = undefined;
    this.uncertain = false;
  }

  /** Forgets producer and sequence: the next batch begins a new one. It must be of a new producer id. */
  forgetProducer(): void {
    this.producer = undefined;
    this.nextSequence = 0;
    this.#inherited = false;
    this.firstSentAt = undefined;
    this.uncertain = false;
  }
}
