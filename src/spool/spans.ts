// Settlement: which messages that were taken from a log are not settled, in which segments they are, and whose they were.
//
// What holds:
// - A number is in `unsettled` from the moment it is taken until it is settled or put back. Only a defect settles or takes
//   it out of turn; that throws, since going on would let the ledger drift in silence.
// - Whatever waits for long keeps nothing but its own: the sets, counts and spans of those settled before and behind it go.
import type { Block } from "./block.ts";
import { NumberSet } from "./numberSet.ts";
import type { MessageNumbers } from "./numbers.ts";
import type { QueueHooks, SettledHow } from "./queue.ts";

/** Messages that a span of one account has at least, before the next is begun. */
const SPAN = 1000;

/** The unsettled of one segment: those from `first` up to the next segment's first. */
interface SegmentCount {
  ordinal: number;
  first: number;
  unsettled: number;
}

/** Messages of one account (never 0) in [first, end), not all numbers of which need be its own. */
interface AccountSpan {
  first: number;
  end: number;
  account: number;
  unsettled: number;
}

/** Told of taken and settled messages of accounts other than 0. */
export type SpanHooks = Partial<Pick<QueueHooks, "onTaken" | "onSettled">>;

export class Spans {
  /** Taken and neither settled nor put back. Not to be changed. */
  readonly unsettled = new NumberSet();
  hooks: SpanHooks;
  /** Ascending by `first`. */
  #segments: SegmentCount[] = [];
  /** The unsettled that are in memory alone: of those whose ordinal is 0. */
  #alone = 0;
  /** Beyond so many it is worth a look which of them are done. */
  #manySegments = 16;
  /** Ascending, and without overlap; some in between may be done, `#done` of them. */
  #spans: AccountSpan[] = [];
  #done = 0;
  #settled = 0;
  // The run of numbers that is being gathered by `settle`.
  #runFirst = 0;
  #runEnd = 0;
  #how: SettledHow = "delivered";

  constructor(hooks: SpanHooks = {}) {
    this.hooks = hooks;
  }

  /** Messages settled since the start. */
  get settled(): number {
    return this.#settled;
  }

  /** Taken and not settled. */
  has(number: number): boolean {
    return this.unsettled.has(number);
  }

  /** The messages of the block, but those in its `skip`, are taken. */
  take(block: Block): void {
    const { firstNumber, count, skip, numbers } = block;
    if (skip === undefined && numbers === undefined) {
      this.#takeRun(block, firstNumber, firstNumber + count);
      return;
    }
    let from = 0;
    let to = 0;
    for (let index = 0; index < count; index++) {
      const number = numbers === undefined ? firstNumber + index : (numbers[index] as number);
      if (skip?.has(number) === true) continue;
      if (number !== to) {
        if (to > from) this.#takeRun(block, from, to);
        from = number;
      }
      to = number + 1;
    }
    if (to > from) this.#takeRun(block, from, to);
  }

  /** A message in that segment was taken by a way of its own, and is nobody's. */
  adopt(number: number, ordinal: number): void {
    this.unsettled.add(number);
    this.#countIn(ordinal, number, 1);
  }

  /** These were taken, and need nothing more. Throws a RangeError when one was settled before or never taken. */
  settle(numbers: MessageNumbers, how: SettledHow): void {
    if (numbers.count === 0) return;
    this.#how = how;
    this.#runFirst = this.#runEnd = numbers.first;
    numbers.forEach(this.#gather);
    this.#settleRun();
    this.#compact();
  }

  /** One that was taken is as if it had not been: it is going to be taken again. */
  untake(number: number): void {
    if (!this.unsettled.delete(number)) throw new RangeError(`message ${number} was not taken, or is settled`);
    this.#uncount(this.#segments[this.#segmentOf(number)] as SegmentCount, 1);
  }

  /** Those of [from, to) that are unsettled are in that segment, whatever they were in before. */
  move(from: number, to: number, ordinal: number): void {
    this.#splitAt(from);
    this.#splitAt(to);
    const segments = this.#segments;
    const begin = segments.findIndex(({ first }) => first >= from);
    if (begin < 0 || (segments[begin] as SegmentCount).first >= to) return;
    let end = begin;
    let unsettled = 0;
    for (; end < segments.length && (segments[end] as SegmentCount).first < to; end++) {
      const segment = segments[end] as SegmentCount;
      unsettled += segment.unsettled;
      this.#uncount(segment, segment.unsettled);
    }
    segments.splice(begin, end - begin, { ordinal, first: from, unsettled });
    if (ordinal === 0) this.#alone += unsettled;
  }

  /** The account of one that was taken and is not settled; 0 for none. */
  accountOf(number: number): number {
    const span = this.#spans[this.#spanBehind(number)];
    return span !== undefined && span.first <= number && span.unsettled > 0 ? span.account : 0;
  }

  /**
   * Indexes of those among them that are in memory alone (see `Block.segment`) where the one before is in a file, or the other
   * way round. Ascending.
   */
  seams(numbers: MessageNumbers): number[] {
    const seams: number[] = [];
    if (this.#alone === 0) return seams;
    let before = false;
    numbers.forEach((number, index) => {
      const alone = this.unsettled.has(number) && this.#segments[this.#segmentOf(number)]?.ordinal === 0;
      if (index > 0 && alone !== before) seams.push(index);
      before = alone;
    });
    return seams;
  }

  /** How many are in memory alone. */
  get alone(): number {
    return this.#alone;
  }

  /** How many of a segment's messages are unsettled. */
  unsettledIn(ordinal: number): number {
    let sum = 0;
    for (const segment of this.#segments) if (segment.ordinal === ordinal) sum += segment.unsettled;
    return sum;
  }

  /** Ordinals of the segments that have unsettled messages. */
  pinned(): Set<number> {
    const ordinals = new Set<number>();
    for (const { ordinal, unsettled } of this.#segments) if (unsettled > 0) ordinals.add(ordinal);
    return ordinals;
  }

  readonly #gather = (number: number): void => {
    if (number === this.#runEnd) {
      this.#runEnd++;
      return;
    }
    this.#settleRun();
    this.#runFirst = number;
    this.#runEnd = number + 1;
  };

  #settleRun(): void {
    const from = this.#runFirst;
    const to = this.#runEnd;
    const removed = to - from === 1 ? this.unsettled.delete(from) : this.unsettled.deleteRange(from, to) === to - from;
    if (!removed) throw new RangeError(`a message of ${from} to ${to - 1} is settled twice, or was never read`);
    this.#settled += to - from;
    const segments = this.#segments;
    let index = this.#segmentOf(from);
    for (let at = from; at < to; index++) {
      const next = segments[index + 1];
      const end = next === undefined || next.first > to ? to : next.first;
      this.#uncount(segments[index] as SegmentCount, end - at);
      at = end;
    }
    if (this.#spans.length > 0) this.#settleSpans(from, to);
  }

  #settleSpans(from: number, to: number): void {
    for (let index = this.#spanBehind(from); index < this.#spans.length; index++) {
      const span = this.#spans[index] as AccountSpan;
      if (span.first >= to) return;
      const first = Math.max(from, span.first);
      const count = Math.min(to, span.end) - first;
      span.unsettled -= count;
      if (span.unsettled === 0) this.#done++;
      this.hooks.onSettled?.(span.account, first, count, this.#how);
    }
  }

  #takeRun(block: Block, from: number, to: number): void {
    const before = this.unsettled.size;
    this.unsettled.addRange(from, to);
    if (this.unsettled.size - before !== to - from)
      throw new RangeError(`a message of ${from} to ${to - 1} is taken twice`);
    this.#countIn(block.segment, from, to - from);
    if (block.receiptAccount !== 0) this.#note(block, from, to);
  }

  #uncount(segment: SegmentCount, count: number): void {
    segment.unsettled -= count;
    if (segment.ordinal === 0) this.#alone -= count;
  }

  #countIn(ordinal: number, number: number, count: number): void {
    if (ordinal === 0) this.#alone += count;
    const segments = this.#segments;
    const index = this.#segmentOf(number);
    const at = segments[index];
    if (at === undefined) {
      segments.push({ ordinal, first: number, unsettled: count });
    } else if (at.ordinal === ordinal) {
      if (at.first > number) at.first = number;
      at.unsettled += count;
    } else if (at.first > number) {
      segments.splice(index, 0, { ordinal, first: number, unsettled: count });
    } else {
      const next = segments[index + 1];
      if (next?.ordinal !== ordinal) {
        segments.splice(index + 1, 0, { ordinal, first: number, unsettled: count });
      } else {
        next.first = number;
        next.unsettled += count;
      }
    }
  }

  /** Has the segment that the number is in, if there is one, end before it, and go on from it. */
  #splitAt(number: number): void {
    const segments = this.#segments;
    const index = this.#segmentOf(number);
    const segment = segments[index];
    if (segment === undefined || segment.first >= number) return;
    const end = segments[index + 1]?.first ?? (this.unsettled.last ?? 0) + 1;
    const behind = end > number ? this.unsettled.countBetween(number, end) : 0;
    if (behind === 0) return;
    segment.unsettled -= behind;
    segments.splice(index + 1, 0, { ordinal: segment.ordinal, first: number, unsettled: behind });
  }

  /** Remembers whose they are. Small blocks share a span: a span is an object, and weighs like ten messages. */
  #note(block: Block, from: number, to: number): void {
    const { receiptAccount: account } = block;
    const spans = this.#spans;
    const last = spans.at(-1);
    if (last === undefined || last.end <= from) {
      if (
        last !== undefined &&
        last.end === from &&
        last.account === account &&
        last.unsettled > 0 &&
        to - last.first <= SPAN
      ) {
        last.end = to;
        last.unsettled += to - from;
      } else {
        spans.push({ first: from, end: to, account, unsettled: to - from });
      }
    } else {
      const index = this.#spanBehind(from);
      const span = spans[index];
      // Put back and taken again: known already.
      if (span !== undefined && span.first <= from && span.unsettled > 0) return;
      spans.splice(index, 0, { first: from, end: to, account, unsettled: to - from });
    }
    this.hooks.onTaken?.(account, from, to - from, block.session === undefined ? 0 : block.position + block.count);
  }

  /** Also from behind those that wait for long: a message of a held topic must not keep the spans of all that follow it. */
  #compact(): void {
    const { length } = this.#spans;
    if (length > 0 && (this.#done === length || (this.#done > 1024 && this.#done * 2 > length))) {
      this.#spans = this.#done === length ? [] : this.#spans.filter(({ unsettled }) => unsettled > 0);
      this.#done = 0;
    }
    if (this.#segments.length <= this.#manySegments) return;
    this.#segments = this.#segments.filter(({ unsettled }) => unsettled > 0);
    this.#manySegments = this.#segments.length * 2 + 16;
  }

  /** The index of the last segment whose first number is at most `number`, or 0. */
  #segmentOf(number: number): number {
    const segments = this.#segments;
    let low = 0;
    let high = segments.length - 1;
    if (high >= 0 && (segments[high] as SegmentCount).first <= number) return high;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((segments[middle] as SegmentCount).first <= number) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The index of the first span that ends behind `number`. */
  #spanBehind(number: number): number {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#spans[middle] as AccountSpan).end <= number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
