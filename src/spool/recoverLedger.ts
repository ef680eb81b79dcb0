// The books after a start: what the checkpoint had, what the journal adds, and what the logs have still.
import { DISCARD_REASONS, type DiscardReason } from "../observe/discards.ts";
import { type Account, deliver, discard } from "../observe/ledger.ts";
import type { LedgerState } from "./checkpoint.ts";
import type { Fact } from "./recoverOwners.ts";

/** A ledger that begins with a copy of another, which may be missing. */
export class RecoveredLedger implements LedgerState {
  readonly total: Account;
  readonly noTopic: Account;
  readonly #topics: Map<string, Account>;

  constructor(from: LedgerState | undefined) {
    this.total = copyOf(from?.total);
    this.noTopic = copyOf(from?.noTopic);
    this.#topics = new Map([...(from?.topics() ?? [])].map(([name, account]) => [name, copyOf(account)]));
    // A message that no one has taken yet since the start is received when it is: so a lost one upsets no topic's account.
    for (const account of [this.total, ...this.#accounts()]) account.received = account.delivered + account.discarded;
  }

  topics(): Iterable<[string, Account]> {
    return this.#topics;
  }

  /** Messages that wait under that topic, and that nobody will receive again. */
  receive(topic: string, count: number): void {
    for (const account of this.#of(topic)) account.received += count;
  }

  /** The journal says what became of `count` messages of a batch. */
  settle({ entry, how }: Fact, count: number): void {
    this.receive(entry.topic, count);
    if (how === "open") return;
    for (const account of this.#of(entry.topic)) {
      if (how.kind === "delivered") deliver(account, count);
      else discard(account, reasonOf(how.reason), count);
    }
  }

  /** The journal says that so many were counted as possible duplicates. */
  repeat(topic: string, count: number): void {
    for (const account of this.#of(topic)) account.possibleDuplicates += count;
  }

  /** Messages of the topic that are in no file any more. */
  lose(topic: string, count: number): void {
    this.receive(topic, count);
    for (const account of this.#of(topic)) discard(account, "damaged", count);
  }

  #of(topic: string): Account[] {
    let account = this.#topics.get(topic);
    if (account === undefined) {
      account = copyOf(undefined);
      this.#topics.set(topic, account);
    }
    return [this.total, account];
  }

  #accounts(): Account[] {
    return [this.noTopic, ...this.#topics.values()];
  }
}

/** What an older or newer version called otherwise is damage to this one. */
function reasonOf(name: string): DiscardReason {
  return DISCARD_REASONS.find((known) => known === name) ?? "damaged";
}

function copyOf(account: Account | undefined): Account {
  return {
    received: account?.received ?? 0,
    delivered: account?.delivered ?? 0,
    discarded: account?.discarded ?? 0,
    discardsByReason: new Map(account?.discardsByReason ?? []),
    possibleDuplicates: account?.possibleDuplicates ?? 0,
  };
}
