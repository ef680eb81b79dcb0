// Reads one log from its files: the main one when the reader lags behind, or that of a held topic. One thread, no ring.
//
// What holds:
// - Blocks come in the order of the log. `number` is what is read next; everything below it was taken, but `again`.
// - Every number below `number` came in a block, was passed over (`skip`, or never used), or was told to `onLost`.
// - Nothing is looked at beyond `head`, and only blocks whose checksum holds come out.
import type { Block } from "./block.ts";
import { emptyBlock } from "./block.ts";
import type { LogPosition } from "./checkpoint.ts";
import type { Files } from "./files.ts";
import { BLOCK_HEADER, BlockKind, framesStart, readNumbers, SEGMENT_HEADER } from "./format.ts";
import { FrameWalk } from "./frameWalk.ts";
import { LogPlace } from "./logPlace.ts";
import { type LogSegment, LogSegments, ReadFailure } from "./logSegments.ts";
import { NumberSet } from "./numberSet.ts";
import type { MessageNumbers } from "./numbers.ts";

/** Bytes of a segment that are no block. */
export interface LogDamage {
  path: string;
  ordinal: number;
  /** Bytes [from, to) of the file. */
  from: number;
  to: number;
  /** The system refused to read some of them: they may be whole on the disk. */
  unreadable: boolean;
}

/** Messages [from, to) that are in no block any more. `again`: they had been taken before the stop. */
export interface LostMessages {
  from: number;
  to: number;
  again: boolean;
}

export interface LogReaderParts {
  files: Files;
  /** Where the segments are. */
  directory: string;
  segments: readonly LogSegment[];
  /** What is to be read next. Segment 0: from the first one on. */
  at: LogPosition;
  /** Messages below `at.number` that are to be read again. Becomes the reader's own. */
  again?: NumberSet;
  /** Messages at or above `at.number` that are to be passed over. Becomes the reader's own. */
  skip?: NumberSet;
  /** Numbers that were never used, and that no segment's header says that of yet: [from, to). */
  unused?: { from: number; to: number };
  /** Its numbers have gaps: it is the log of a held topic. */
  gaps?: boolean;
  /** Where the writer is: the number to be written next, and where the last whole block ends. */
  head: () => LogPosition;
  onDamage: (damage: LogDamage) => void;
  /**
   * Only of logs without gaps in their numbers; those of a log with gaps are known by nobody but its owner. They count as
   * taken.
   */
  onLost: (lost: LostMessages) => void;
}

/** How often what cannot be read is tried again, by calls of `next`, before it counts as damaged. */
const ATTEMPTS = 3;

export class LogReader {
  /** Below `number` and to be read again. Not to be changed. */
  readonly again: NumberSet;
  /** At or above `number` (or in the block read last) and to be passed over. Not to be changed. */
  readonly skip: NumberSet;
  readonly segments: LogSegments;
  readonly #parts: LogReaderParts;
  readonly #block: Block = emptyBlock(Buffer.alloc(0));
  readonly #session = Buffer.alloc(16);
  #numbers = new Float64Array(0);
  #number: number;
  #segment: number;
  #offset: number;
  #here: LogPlace | undefined;
  /** Where the last one was found that was read again, or fetched. */
  #there: LogPlace | undefined;
  /** #there stands on a block. */
  #standing = false;
  /** Numbers below it have left `skip`. */
  #forgotten = 0;
  #failures = 0;

  constructor(parts: LogReaderParts) {
    this.#parts = parts;
    this.again = parts.again ?? new NumberSet();
    this.skip = parts.skip ?? new NumberSet();
    this.again.deleteRange(parts.at.number, Number.MAX_SAFE_INTEGER);
    this.segments = new LogSegments(parts.files, parts.directory, parts.segments);
    this.#number = parts.at.number;
    // At once, and not when it is read that far: once that is in a checkpoint, no header has to say it any more.
    if (parts.unused !== undefined && this.#number >= parts.unused.from)
      this.#number = Math.max(this.#number, parts.unused.to);
    this.#segment = parts.at.segment;
    this.#offset = parts.at.offset;
  }

  /** What is read next, apart from what is read again. */
  get position(): LogPosition {
    return { number: this.#number, segment: this.#segment, offset: this.#offset };
  }

  get number(): number {
    return this.#number;
  }

  /** There is nothing to read. */
  get atEnd(): boolean {
    return this.again.size === 0 && this.#number >= this.#parts.head().number;
  }

  /**
   * The next block, with what was put back first, or nothing when there is none up to message `most`. It is reused, and
   * valid until the next call. Throws a ReadFailure when a file cannot be read now: call again later.
   */
  next(most: number = Number.POSITIVE_INFINITY): Block | undefined {
    if (this.skip.size > 0 && this.#forgotten < this.#number) {
      this.skip.deleteRange(0, this.#number);
      this.#forgotten = this.#number;
    }
    const head = this.#parts.head();
    while (this.again.size > 0) {
      const block = this.#nextAgain(head);
      if (block !== undefined) return block;
    }
    const last = Math.min(most, head.number - 1);
    while (this.#number <= last) {
      const here = this.#open(head);
      const step = here === undefined ? "end" : this.#step(here, head);
      if (here === undefined || step === "end") {
        this.#advance(here, head, last);
      } else if (step === "damage") {
        this.#damaged(here.segment, here.cursor.offset, here.cursor.next, here.cursor.unreadable);
        this.#offset = here.cursor.next;
      } else {
        const block = this.#arrive(here, last);
        if (block !== undefined) return block;
      }
    }
    return undefined;
  }

  /** The block at that place was taken from memory. `segment` 0: it is in no file. */
  passed(block: Block): void {
    this.#number = block.firstNumber + block.count;
    if (block.segment === 0) return;
    this.segments.note(block.segment, block.firstNumber, block.offset);
    const offset = block.offset + BLOCK_HEADER + block.end - block.start;
    if (this.#here?.segment.ordinal === block.segment) this.#here.cursor.moveTo(offset);
    this.#segment = block.segment;
    this.#offset = offset;
  }

  /** A message that was taken is to be read again. */
  untake(number: number): void {
    if (number < this.#number) this.again.add(number);
    // Not come to yet, and in somebody's hands since the start.
    else if (!this.skip.delete(number)) throw new RangeError(`message ${number} was not taken`);
  }

  /**
   * Calls back with each of the messages whose frame is there still, ascending; the bytes are valid during the call.
   * Answers how many those were. It does not matter whether they were taken. Throws a ReadFailure.
   */
  fetch(numbers: MessageNumbers, visit: (number: number, bytes: Buffer, start: number, end: number) => void): number {
    const head = this.#parts.head();
    let found = 0;
    let walk: FrameWalk | undefined;
    let walked: { segment: number; offset: number } | undefined;
    numbers.forEach((number) => {
      if (!this.#find(number, head)) return;
      const { cursor, segment } = this.#there as LogPlace;
      if (walk === undefined || walked?.offset !== cursor.offset || walked.segment !== segment.ordinal) {
        const block = this.#fill(this.#there as LogPlace, 0);
        walk = new FrameWalk(
          block.bytes,
          block.start,
          block.end,
          block.firstNumber,
          block.numbers?.slice(0, block.count),
        );
        walked = { segment: segment.ordinal, offset: cursor.offset };
      }
      const at = walk.to(number);
      if (at < 0) return;
      found++;
      visit(number, cursor.bytes, at, walk.frameEnd);
    });
    return found;
  }

  /** Nothing of the segment is to be read or fetched any more. */
  drop(ordinal: number): void {
    if (this.#here?.segment.ordinal === ordinal) this.#leave();
    if (this.#there?.segment.ordinal === ordinal) this.#leaveThere();
    this.segments.remove(ordinal);
  }

  /** Closes what is open, and gives memory back. It may go on. */
  close(): void {
    this.#leave();
    this.#leaveThere();
    this.#block.bytes = Buffer.alloc(0);
  }

  #open(head: LogPosition): LogPlace | undefined {
    if (this.#here !== undefined) {
      if (this.#here.segment.ordinal === this.#segment) return this.#here;
      this.#leave();
    }
    this.segments.discover(head.segment);
    const segment = this.segments.at(this.#segment);
    if (segment === undefined) return undefined;
    this.#here = this.#openAt(segment, Math.max(this.#offset, SEGMENT_HEADER));
    return this.#here;
  }

  /** A segment whose header the disk does not give, however often it is asked, is as good as gone. */
  #openAt(segment: LogSegment, offset: number): LogPlace | undefined {
    try {
      const place = LogPlace.open(this.#parts.files, this.segments, segment, offset);
      this.#failures = 0;
      return place;
    } catch (error) {
      if (!(error instanceof ReadFailure && error.message.includes("EIO") && ++this.#failures >= ATTEMPTS)) throw error;
      this.#damaged(segment, 0, SEGMENT_HEADER, true);
      return undefined;
    }
  }

  /** Moves on, and tries what cannot be read again, some times. */
  #step(place: LogPlace, head: LogPosition): ReturnType<LogPlace["step"]> {
    const from = place.cursor.next;
    const step = place.step(head);
    if (!place.cursor.unreadable) {
      this.#failures = 0;
    } else if (step !== "block" && ++this.#failures < ATTEMPTS) {
      place.again(from);
      throw new ReadFailure(place.segment.path, `${place.segment.path}: the disk does not give bytes ${from} and on`);
    }
    return step;
  }

  /** A block is there. Nothing, when there is nothing in it to be read, or when it begins behind `last`. */
  #arrive(here: LogPlace, last: number): Block | undefined {
    const { cursor, blockEnd } = here;
    const { firstNumber, count } = cursor.block;
    if (firstNumber > last) {
      cursor.moveTo(cursor.offset);
      this.#lose(this.#number, last + 1);
      this.#number = last + 1;
      return undefined;
    }
    this.#offset = cursor.next;
    if (blockEnd <= this.#number) return undefined; // was taken from memory
    this.segments.note(here.segment.ordinal, firstNumber, cursor.offset);
    const consecutive = cursor.block.kind === BlockKind.Messages;
    if (consecutive) this.#lose(this.#number, firstNumber);
    this.#number = blockEnd;
    let live = count;
    if (this.skip.size > 0) {
      const skipped = this.skip.countBetween(firstNumber, blockEnd);
      // In a block with gaps some of what is skipped there may be in none of its places.
      if (skipped > 0) live = consecutive ? count - skipped : this.#countLive(here);
    }
    if (live === 0) return undefined;
    const block = this.#fill(here, live);
    block.again = false;
    block.skip = live < count ? this.skip : undefined;
    return block;
  }

  /** The segment has nothing more: on to the next one. */
  #advance(here: LogPlace | undefined, head: LogPosition, last: number): void {
    const next = this.segments.after(this.#segment, head.segment);
    const number = this.#number;
    const expected = Math.min(next?.previousEnd ?? last + 1, last + 1);
    const left = here !== undefined && !here.cursor.sealed && here.cursor.next < here.limit(head);
    if (left && number < expected)
      this.#damaged(here.segment, here.cursor.next, here.limit(head), here.cursor.unreadable);
    this.#lose(number, expected);
    if (next === undefined || next.firstNumber > last) {
      this.#number = last + 1;
      return;
    }
    this.#number = Math.max(number, next.firstNumber);
    this.#leave();
    this.#segment = next.ordinal;
    this.#offset = SEGMENT_HEADER;
  }

  /** The block with the first of those that are to be read again, or nothing when that is lost. */
  #nextAgain(head: LogPosition): Block | undefined {
    const number = this.again.first as number;
    if (!this.#find(number, head, true)) {
      this.#loseAgain(number);
      return undefined;
    }
    const block = this.#fill(this.#there as LogPlace, 0);
    const { firstNumber, count, numbers } = block;
    block.again = true;
    block.skip = undefined;
    for (let index = 0; index < count; index++) {
      const each = numbers === undefined ? firstNumber + index : (numbers[index] as number);
      if (this.again.delete(each)) {
        block.live++;
      } else {
        block.skip ??= new NumberSet();
        block.skip.add(each);
      }
    }
    return block;
  }

  /** Gives up those that were to be read again, from `number` up to where the next block is. */
  #loseAgain(number: number): void {
    let to = number + 1;
    const there = this.#there;
    if (this.#standing && there !== undefined)
      to = Math.max(to, Math.min(there.cursor.block.firstNumber, this.#number));
    for (let from = this.again.next(number); from !== undefined && from < to; from = this.again.next(from)) {
      const end = Math.min(to, this.again.nextAbsent(from));
      this.again.deleteRange(from, end);
      this.#parts.onLost({ from, to: end, again: true });
    }
  }

  #lose(from: number, to: number): void {
    if (from >= to || this.#parts.gaps === true) return;
    const { unused } = this.#parts;
    if (unused !== undefined && from < unused.to && to > unused.from) {
      this.#lose(from, Math.min(to, unused.from));
      this.#lose(Math.max(from, unused.to), to);
      return;
    }
    for (let at = this.skip.nextAbsent(from); at < to; ) {
      const end = Math.min(to, this.skip.next(at) ?? to);
      this.#parts.onLost({ from: at, to: end, again: false });
      at = this.skip.nextAbsent(end);
    }
  }

  #damaged({ path, ordinal }: LogSegment, from: number, to: number, unreadable: boolean): void {
    this.#parts.onDamage({ path, ordinal, from, to, unreadable });
  }

  /** Has #there stand on the block with the message. False: there is none. `tell`: of the damage on the way. */
  #find(number: number, head: LogPosition, tell = false): boolean {
    this.segments.discover(head.segment);
    const segment = this.segments.holding(number);
    if (segment === undefined) return false;
    let there = this.#there;
    const stands = there?.segment.ordinal === segment.ordinal && this.#standing;
    if (there === undefined || !stands || number < there.cursor.block.firstNumber) {
      this.#leaveThere();
      there = this.#openAt(segment, SEGMENT_HEADER);
      if (there === undefined) return false;
      this.#there = there;
    }
    if (stands && number < there.blockEnd && number >= there.cursor.block.firstNumber) return this.#has(there, number);
    there.near(number);
    for (;;) {
      const step = this.#step(there, head);
      this.#standing = step === "block";
      if (step === "end") return false;
      if (step === "damage") {
        if (tell) this.#damaged(segment, there.cursor.offset, there.cursor.next, there.cursor.unreadable);
        continue;
      }
      if (number < there.blockEnd) return number >= there.cursor.block.firstNumber && this.#has(there, number);
    }
  }

  /** The block that `there` stands on, which reaches over the message, has it. */
  #has(there: LogPlace, number: number): boolean {
    if (there.cursor.block.kind === BlockKind.Messages) return true;
    return this.#readNumbers(there).subarray(0, there.cursor.block.count).includes(number);
  }

  #countLive(here: LogPlace): number {
    const numbers = this.#readNumbers(here);
    let live = 0;
    for (let index = 0; index < here.cursor.block.count; index++) if (!this.skip.has(numbers[index] as number)) live++;
    return live;
  }

  #readNumbers({ cursor }: LogPlace): Float64Array {
    const { block, bytes, at } = cursor;
    if (this.#numbers.length < block.count) this.#numbers = new Float64Array(block.count * 2);
    const numbers = this.#numbers;
    readNumbers(block, bytes, at)?.forEach((number, index) => {
      numbers[index] = number;
    });
    return numbers;
  }

  #leave(): void {
    this.#here?.close();
    this.#here = undefined;
  }

  #leaveThere(): void {
    this.#there?.close();
    this.#there = undefined;
    this.#standing = false;
  }

  #fill(place: LogPlace, live: number): Block {
    const { cursor, segment } = place;
    const block = this.#block;
    const from = cursor.block;
    block.firstNumber = from.firstNumber;
    block.count = from.count;
    block.numbers = from.kind === BlockKind.Messages ? undefined : this.#readNumbers(place);
    block.source = from.source;
    block.receivedAt = from.receivedAt;
    block.bytes = cursor.bytes;
    block.start = framesStart(from, cursor.bytes, cursor.at);
    block.end = cursor.at + from.size;
    block.live = live;
    block.session = undefined;
    if (from.hasSession) {
      cursor.bytes.copy(this.#session, 0, cursor.at + 40, cursor.at + 56);
      block.session = this.#session;
    }
    block.position = from.position;
    block.receiptAccount = 0;
    block.segment = segment.ordinal;
    block.offset = cursor.offset;
    return block;
  }
}
