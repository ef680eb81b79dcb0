// What became of the messages of one connection, or of one session over all its connections.

/** Messages between one question and the next. */
interface Bucket {
  /** The number of the last message that can be in it. */
  upTo: number;
  /** Taken, and neither delivered nor discarded. */
  unsettled: number;
  discarded: boolean;
  /** How many questions of the connection are answered when this one and all before it are empty. */
  asked: number;
}

/**
 * What holds: every message of the account that was taken and is not settled is counted in exactly one bucket, the first
 * whose `upTo` is not below its number; what is beyond the last question is in the tail.
 */
export class ReceiptAccount {
  /** What blocks and settlements name it by. */
  readonly key: number;
  /** The connection that may ask, and its slot; -1 when there is none. */
  connection = 0;
  slot = -1;
  /** Messages up to this number are not the connection's, but of the session's earlier ones, or of another run. */
  from = 0;
  delivered = 0;
  discarded = 0;
  answered = 0;
  clean = 0;
  /** All messages up to this number that were taken are settled. */
  settledTo = 0;
  /** Logs that hold messages of the session from before the start, which nobody has taken yet. */
  waits = 0;

  #asked = 0;
  #taken = 0;
  /** A message was discarded in a bucket that is gone. */
  #soiled = false;
  readonly #pending: Bucket[] = [];
  #tail: Bucket = { upTo: Number.POSITIVE_INFINITY, unsettled: 0, discarded: false, asked: 0 };

  constructor(key: number) {
    this.key = key;
  }

  /** Whether a question waits only for the reader to come past it. */
  get behind(): number {
    const head = this.#pending[0];
    return head !== undefined && head.unsettled === 0 && this.waits === 0 ? head.upTo : 0;
  }

  /** From now on the connection asks. */
  begin(connection: number, slot: number, from: number): void {
    this.end();
    this.connection = connection;
    this.slot = slot;
    this.from = from;
    this.delivered = 0;
    this.discarded = 0;
    this.answered = 0;
    this.clean = 0;
    this.#asked = 0;
  }

  /** No connection asks any more; what was asked is forgotten. */
  end(): void {
    for (const { unsettled, discarded } of this.#pending) {
      this.#tail.unsettled += unsettled;
      if (discarded) this.#tail.discarded = true;
    }
    this.#pending.length = 0;
    this.connection = 0;
    this.slot = -1;
  }

  /** The connection asks after its messages up to `upTo`, before any beyond that was taken. */
  ask(upTo: number): void {
    this.#asked++;
    const last = this.#pending.at(-1);
    if (last !== undefined && last.upTo >= upTo) {
      last.asked = this.#asked;
      return;
    }
    this.#pending.push({ upTo, unsettled: this.#tail.unsettled, discarded: this.#tail.discarded, asked: this.#asked });
    this.#tail.unsettled = 0;
    this.#tail.discarded = false;
  }

  taken(number: number, count: number): void {
    this.#taken = Math.max(this.#taken, number + count - 1);
    this.#add(number, count, 1, false);
  }

  settled(number: number, count: number, discarded: boolean): void {
    this.#add(number, count, -1, discarded);
    const own = Math.min(count, number + count - 1 - this.from);
    if (own <= 0) return;
    if (discarded) this.discarded += own;
    else this.delivered += own;
  }

  /**
   * So many messages with numbers in [from, to) are lost, nobody knows which. They are taken off the latest questions that may
   * have them: so none is answered too early, and where another had them, `#add` takes off that one in the end.
   */
  lost(from: number, to: number, count: number): void {
    const buckets = [...this.#pending, this.#tail];
    let left = count;
    for (let index = buckets.length - 1; index >= 0; index--) {
      const bucket = buckets[index] as Bucket;
      if (bucket.unsettled <= 0 || bucket.upTo < from || (buckets[index - 1]?.upTo ?? 0) + 1 >= to) continue;
      bucket.discarded = true;
      const here = Math.min(left, bucket.unsettled);
      bucket.unsettled -= here;
      left -= here;
    }
    this.discarded += count - left;
  }

  /** Answers what can be: `next` is the number that the reader takes next. True when something was. */
  answer(next: () => number): boolean {
    let head = this.#pending[0];
    const before = this.answered;
    while (head !== undefined && head.unsettled === 0 && this.waits === 0) {
      if (this.#taken < head.upTo && next() <= head.upTo) break;
      this.#pending.shift();
      if (head.discarded) this.#soiled = true;
      this.answered = head.asked;
      if (!this.#soiled) this.clean = head.asked;
      this.settledTo = Math.max(this.settledTo, head.upTo);
      head = this.#pending[0];
    }
    if (head === undefined && this.#tail.unsettled === 0 && this.waits === 0) {
      this.settledTo = Math.max(this.settledTo, this.#taken);
    }
    return this.answered !== before;
  }

  /** What was lost was not in this bucket, but in one before it. */
  #carry(bucket: Bucket, index: number): void {
    for (let before = index - 1; before >= 0 && bucket.unsettled < 0; before--) {
      const other = this.#pending[before] as Bucket;
      const here = Math.min(other.unsettled, -bucket.unsettled);
      other.unsettled -= here;
      bucket.unsettled += here;
    }
  }

  #add(number: number, count: number, sign: 1 | -1, discarded: boolean): void {
    let at = number;
    let left = count;
    for (let index = 0; left > 0; index++) {
      const bucket = this.#pending[index] ?? this.#tail;
      if (bucket.upTo < at) continue;
      const here = Math.min(left, bucket.upTo - at + 1);
      bucket.unsettled += here * sign;
      if (bucket.unsettled < 0) this.#carry(bucket, index);
      if (discarded) bucket.discarded = true;
      at += here;
      left -= here;
    }
  }
}
