// What became of messages: booked in the ledger, and their numbers given back to the queue. Every end comes through here.
import type { DiscardReason } from "../observe/discards.ts";
import { type Account, deliver, discard, heldIn, type Ledger, receive } from "../observe/ledger.ts";
import type { Batch } from "../route/batch.ts";
import type { Settle } from "../route/router.ts";
import type { Topic } from "../route/topic.ts";
import type { MessageNumbers } from "../spool/numbers.ts";
import type { QueueReader, SettledHow } from "../spool/queue.ts";

/** The logs of what is held. */
export interface HeldSettlement {
  /** Settles those of a topic's messages that are theirs; answers the others, which are the queue's. */
  settle(topic: string, numbers: MessageNumbers, how: SettledHow): MessageNumbers;
}

/** Told of each discard, for the log and the discard report. */
export type DiscardListener = (topic: string | undefined, count: number, reason: DiscardReason) => void;

export class Settlement implements Settle {
  readonly #ledger: Ledger;
  readonly #queue: QueueReader;
  readonly #onDiscard: DiscardListener;
  readonly #held: HeldSettlement | undefined;

  /** Without `held`: all messages are the queue's. */
  constructor(ledger: Ledger, queue: QueueReader, onDiscard: DiscardListener, held?: HeldSettlement) {
    this.#ledger = ledger;
    this.#queue = queue;
    this.#onDiscard = onDiscard;
    this.#held = held;
  }

  /** Kafka has the batch (acks 0: it was written to the socket). */
  delivered(topic: Topic, batch: Batch): void {
    deliver(this.#ledger.total, batch.count);
    deliver(topic.account, batch.count);
    this.#settle(topic, batch.numbers, "delivered");
    batch.dispose();
  }

  discarded(topic: Topic | undefined, numbers: MessageNumbers, reason: DiscardReason): void {
    this.#book(topic?.account ?? this.#ledger.noTopic, topic?.name, numbers.count, reason);
    this.#settle(topic, numbers, "discarded");
  }

  /** The same for messages of a topic of an earlier run, which is one too many in this one. */
  discardedUnder(topic: string, numbers: MessageNumbers, reason: DiscardReason): void {
    this.#book(this.#ledger.topic(topic), topic, numbers.count, reason);
    this.#settle({ name: topic }, numbers, "discarded");
  }

  /** These are in a log of their own from now on, and wait there. */
  moved(topic: Topic, numbers: MessageNumbers): void {
    this.#settle(topic, numbers, "moved");
  }

  /** Messages of a held topic that cannot be read any more, and whose numbers nobody knows. */
  lost(topic: string, count: number): void {
    this.#book(this.#ledger.topic(topic), topic, count, "damaged");
  }

  discardedBatch(topic: Topic, batch: Batch, reason: DiscardReason): void {
    this.discarded(topic, batch.numbers, reason);
    batch.dispose();
  }

  /** Messages that the input turned away: they never had a number. */
  rejected(topic: string | undefined, count: number, reason: DiscardReason): void {
    const account = topic === undefined ? this.#ledger.noTopic : this.#ledger.topic(topic);
    receive(account, count);
    receive(this.#ledger.total, count);
    this.#book(account, topic, count, reason);
  }

  /** The process ends, and these were not delivered in time. Returns how many messages were given up. */
  abandonAll(reason: DiscardReason): number {
    let count = 0;
    // Beyond max_topics names, topics share the account of those under none.
    const shared = [undefined, this.#ledger.noTopic] as const;
    for (const [name, account] of [...this.#ledger.topics(), shared]) {
      const held = heldIn(account);
      if (held === 0) continue;
      this.#book(account, name, held, reason);
      count += held;
    }
    return count;
  }

  /** The batch is sent again although Kafka may have it. */
  maybeTwice(topic: Topic, batch: Batch): void {
    this.#ledger.total.possibleDuplicates += batch.count;
    topic.account.possibleDuplicates += batch.count;
    batch.untold = true;
  }

  #settle(topic: Pick<Topic, "name"> | undefined, numbers: MessageNumbers, how: SettledHow): void {
    const held = this.#held;
    this.#queue.settle(
      topic === undefined || held === undefined ? numbers : held.settle(topic.name, numbers, how),
      how,
    );
  }

  #book(account: Account, topic: string | undefined, count: number, reason: DiscardReason): void {
    discard(account, reason, count);
    discard(this.#ledger.total, reason, count);
    this.#onDiscard(topic, count, reason);
  }
}
