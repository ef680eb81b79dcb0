// The ledger: received = delivered + held + discarded, in total and per topic, at any moment.
import type { DiscardReason } from "./discards.ts";

/** What became of the messages of one topic (or of all, or of those under no topic). Counts of messages. */
export interface Account {
  received: number;
  delivered: number;
  discarded: number;
  discardsByReason: Map<DiscardReason, number>;
  /** Messages in batches that were sent again without knowing whether Kafka had them. */
  possibleDuplicates: number;
}

/** A fresh account: nothing received. */
export function openAccount(): Account {
  return { received: 0, delivered: 0, discarded: 0, discardsByReason: new Map(), possibleDuplicates: 0 };
}

/** Books `count` messages as received and not yet settled. */
export function receive(account: Account, count: number): void {
  account.received += count;
}

/** Books `count` messages as acknowledged by Kafka. */
export function deliver(account: Account, count: number): void {
  account.delivered += count;
}

/** Books `count` messages as given up for `reason`. */
export function discard(account: Account, reason: DiscardReason, count: number): void {
  account.discarded += count;
  account.discardsByReason.set(reason, (account.discardsByReason.get(reason) ?? 0) + count);
}

/** Messages that were received and are neither delivered nor discarded. */
export function heldIn(account: Account): number {
  return account.received - account.delivered - account.discarded;
}

/** The books of an earlier run. */
export interface Books {
  readonly total: Account;
  readonly noTopic: Account;
  topics(): Iterable<[string, Account]>;
}

/**
 * All accounts. Messages under no topic (malformed, of an unknown kind, or beyond `max_topics`) have one of their own.
 * `unsettled` of the queue is counted apart from this, by message numbers: the two must agree (see `balanced`).
 */
export class Ledger {
  readonly total: Account;
  readonly noTopic: Account;
  /** How many may have an account. Those that have one keep it. */
  maxTopics: number;
  readonly #topics: Map<string, Account>;

  /**
   * Names come from anyone who may write: beyond `maxTopics` of them, messages are booked under no topic. The books go on
   * where `before` ends, whose accounts are taken over.
   */
  constructor(maxTopics: number, before?: Books) {
    this.maxTopics = maxTopics;
    this.total = before?.total ?? openAccount();
    this.noTopic = before?.noTopic ?? openAccount();
    this.#topics = new Map(before?.topics());
  }

  /** The account of a topic, opened when it is first named. */
  topic(name: string): Account {
    let account = this.#topics.get(name);
    if (account === undefined) {
      if (this.#topics.size >= this.maxTopics) return this.noTopic;
      account = openAccount();
      this.#topics.set(name, account);
    }
    return account;
  }

  topics(): IterableIterator<[string, Account]> {
    return this.#topics.entries();
  }
}
