// Whose messages wait in a held log: those that are damaged are known by nothing else, and who asked after them must be told.
import type { QueueHooks } from "./queue.ts";

export class HeldAccounts {
  /** Messages that came in this run and were not handed out, by account. */
  readonly #waiting = new Map<number, number>();
  /** Where some were lost since it was told last: numbers [from, to). */
  #lost: { from: number; to: number } | undefined;

  /** Messages of an account (0: of nobody) have come, or with a negative number were handed out. */
  add(account: number, more: number): void {
    const count = (this.#waiting.get(account) ?? 0) + more;
    if (account === 0 || count <= 0) this.#waiting.delete(account);
    else this.#waiting.set(account, count);
  }

  /** Of the numbers from `from` on some are lost; up to `to`, as far as is known yet. */
  lostAt(from: number, to: number): void {
    const known = this.#lost;
    this.#lost = { from: Math.min(known?.from ?? from, from), to: Math.max(known?.to ?? to, to) };
  }

  /** A good block that begins with that number follows. */
  goesOnAt(number: number): void {
    if (this.#lost !== undefined) this.lostAt(this.#lost.from, number);
  }

  /** Nothing is left in the log, whose last number this is: whoever has messages in it still has lost them. */
  empty(last: number, hooks: QueueHooks | undefined): void {
    if (this.#waiting.size === 0) return;
    const { from = 0, to = 0 } = this.#lost ?? {};
    for (const [account, count] of this.#waiting) hooks?.onLost(account, from, Math.max(to, last + 1), count);
    this.#waiting.clear();
    this.#lost = undefined;
  }
}
