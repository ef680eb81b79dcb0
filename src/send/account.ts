// What became of lines, as far as it is not that they came as far as they should.
import { ReceiptStatus, type SyncReply } from "../wire/receipts.ts";

export class Account {
  /** Lines of which nobody can say what became of them. */
  uncertain = 0;
  /** Lines that a daemon took, but that are not known to have come as far as they must. */
  short = 0;
  /** Lines that receipts said were discarded; `someDiscarded`: such as were there, of whatever number. */
  discarded = 0;
  someDiscarded = false;
  /** Lines before this one came as far as they should, or are counted here. */
  settled = 0;

  /** Less than the level counts as short. */
  readonly #strict: boolean;
  readonly #onLost: (count: number) => void;
  #discardedHere = 0;

  constructor(strict: boolean, onLost: (count: number) => void) {
    this.#strict = strict;
    this.#onLost = onLost;
  }

  /** A new connection: the daemon counts from 0. */
  opened(): void {
    this.#discardedHere = 0;
  }

  /** Notes what a receipt says of discarded lines. */
  hear({ status, discarded }: SyncReply): void {
    this.discarded += Math.max(0, discarded - this.#discardedHere);
    this.#discardedHere = Math.max(discarded, this.#discardedHere);
    if (status === ReceiptStatus.SomeDiscarded) this.someDiscarded = true;
  }

  /** The lines before `to` have `reached` the level, or never will be known to. */
  settle(to: number, reached: boolean): void {
    if (!reached && this.#strict) this.short += Math.max(0, to - this.settled);
    this.settled = Math.max(this.settled, to);
  }

  /** Nobody will be able to say what became of the lines before `to` that are not settled. */
  forget(to: number): void {
    this.lose(to - this.settled);
    this.settled = Math.max(this.settled, to);
  }

  lose(count: number): void {
    if (count <= 0) return;
    this.uncertain += count;
    this.#onLost(count);
  }
}
