// When a receipt is asked for, on one connection.
import { encodeSync, SyncLevel } from "../wire/receipts.ts";
import type { Outbox } from "./outbox.ts";

/** After so many bytes (when a chunk ends), or when all is sent and this long (ms) passed. */
const BYTES = 1024 * 1024;
const AFTER = 50;
/** On their way at once. Those that cost a write to disk, or a wait for Kafka, are asked for one by one. */
const MOST = 32;
/** While Kafka is waited for, what became of the lines so far is asked this often (ms). */
const LOOK = 1000;

/** What the receipts are to say. */
export interface Asked {
  /** Of each; 0: none are to be had. */
  level: SyncLevel | 0;
  /** Of one more, for all lines, when the last was sent. */
  last: SyncLevel | 0;
}

export class Receipts {
  readonly #outbox: Outbox;
  /** Lines before this one were asked for. */
  #to: number;
  #lastTo = -1;
  #lookedAt = 0;
  #outstanding = 0;
  /** Bytes sent that were not asked for, and since when. */
  #bytes = 0;
  #since = 0;

  constructor(outbox: Outbox, from: number) {
    this.#outbox = outbox;
    this.#to = from;
  }

  /** Notes that `count` bytes of lines were sent. */
  sent(count: number, now: number): void {
    if (this.#bytes === 0) this.#since = now;
    this.#bytes += count;
  }

  /** Asks for the lines from `from` on anew. */
  from(from: number): void {
    this.#to = from;
  }

  /** The question that is to be asked now. `ending`: no lines follow. */
  question({ level, last }: Asked, ending: boolean, now: number): Buffer | undefined {
    const edge = level === 0 ? -1 : this.#outbox.edge;
    if (level === 0 || edge < 0) return undefined;
    const all = ending && this.#outbox.empty;
    if (edge > this.#to) {
      const isTime = all || (this.#outbox.empty && now - this.#since >= AFTER);
      if ((!isTime && this.#bytes < BYTES) || this.#outstanding >= most(level)) return undefined;
      this.#to = edge;
      this.#bytes = 0;
      this.#outstanding++;
      return encodeSync(level, edge);
    }
    if (!all) return undefined;
    if (last !== 0 && this.#lastTo !== edge) {
      this.#lastTo = edge;
      this.#lookedAt = now;
      return encodeSync(last, edge);
    }
    return this.#look(level, last, edge, now);
  }

  /** While Kafka is waited for: the question that is answered at once, for the counts that come with it. */
  #look(level: SyncLevel, last: Asked["last"], edge: number, now: number): Buffer | undefined {
    const waits = last === SyncLevel.Delivered || level === SyncLevel.Delivered;
    if (!waits || now - this.#lookedAt < LOOK || this.#outstanding >= MOST) return undefined;
    this.#lookedAt = now;
    if (level === SyncLevel.Spooled) this.#outstanding++;
    return encodeSync(SyncLevel.Spooled, edge);
  }

  /** How long (ms) until time alone makes it a question. */
  due({ level }: Asked, now: number): number {
    const asks = level !== 0 && this.#outstanding < most(level);
    if (!asks || !this.#outbox.empty || this.#outbox.written <= this.#to) return Number.POSITIVE_INFINITY;
    return this.#since + AFTER - now;
  }

  /** Notes an answer for the lines before `to`; false when that was never asked. */
  answered(to: number, ofLevel: boolean): boolean {
    if (to > this.#to) return false;
    if (ofLevel) this.#outstanding--;
    return true;
  }
}

function most(level: SyncLevel): number {
  return level === SyncLevel.Spooled ? MOST : 1;
}
