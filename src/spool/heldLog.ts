// The log of what waits for one topic, or one partition of it, on disk: written while it is held, read when it no longer is.
//
// What holds:
// - Numbers go up, in the files and in what is handed out; but what was put back comes again, before anything else.
// - A message is in it from the moment that `moved` is told until it is settled here. What `moved` was told of survives a
//   crash of the process, and a power cut once a `sync` that began later has resolved.
// - No file goes before its owner says that nothing can ask for it any more: see `garbage`.
import { readInt32 } from "../wire/frame.ts";
import { type Block, emptyBlock } from "./block.ts";
import type { HeldLogState, LogPosition } from "./checkpoint.ts";
import { HeldAccounts } from "./heldAccounts.ts";
import type { HeldCommon } from "./heldCommon.ts";
import type { FrameMark, FrameSource, FrameVisit } from "./heldFrame.ts";
import { HeldSegments, type RestoredFiles } from "./heldSegments.ts";
import { LogReader } from "./logReader.ts";
import { ReadFailure } from "./logSegments.ts";
import { NumberSet } from "./numberSet.ts";
import type { MessageNumbers } from "./numbers.ts";
import type { SettledHow } from "./queue.ts";
import { Spans } from "./spans.ts";

/** How long a disk that failed is left alone. Milliseconds. */
const TRY_AGAIN = 1000;

export interface HeldScope {
  topic: string;
  /** undefined: the whole topic. */
  partition: number | undefined;
}

/** What a start found of a log. */
export interface RestoredHeld extends RestoredFiles {
  /** The directory in held/. */
  name: string;
  topic: string;
  /** null: the whole topic. */
  partition: number | null;
  reason: string;
  /** Below `read.number`, and to be handed out again. */
  again: NumberSet;
  /** At or above `read.number`, and not to be handed out: settled, or in `open`. */
  skip: NumberSet;
  /** In batches that are being made again: handed out, in effect. */
  open: NumberSet;
  /** Messages to be handed out, those of `again` among them. */
  unread: number;
}

export class HeldLog {
  readonly name: string;
  readonly topic: string;
  readonly partition: number | undefined;
  /** Why it is held, for people; as it was found at the start. */
  reason = "";
  readonly #common: HeldCommon;
  readonly #segments: HeldSegments;
  readonly #spans: Spans;
  #reader: LogReader | undefined;
  #unread = 0;
  /** Why it could not be read when that was tried last. */
  unreadable: string | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  /** When the message came, about, before which the log was left last; 0: not known. Milliseconds since the epoch. */
  #headAt = 0;
  /** What was told of the disk last: it is told once. */
  #told = "";
  /** The last segment that was found at the start. */
  #restoredSegment = 0;
  /** The last number that was found. */
  #foundLast = 0;
  /** Those in batches at the start: all that are not settled, and some that are. */
  readonly #open = new NumberSet();
  /** What is handed out now is from there: the receipts do not know of it yet. */
  #news = false;
  readonly #accounts = new HeldAccounts();
  /** One message, for the spans. */
  readonly #one: Block = { ...emptyBlock(Buffer.alloc(0)), count: 1, live: 1 };

  constructor(common: HeldCommon, { topic, partition }: HeldScope) {
    this.#common = common;
    this.topic = topic;
    this.partition = partition;
    this.name = partition === undefined ? topic : `${topic}@${partition}`;
    this.#segments = new HeldSegments(common, `${common.parts.directory}/${this.name}`);
    const { hooks } = common.parts;
    this.#spans = new Spans({
      // A message that came here in this run was taken, for the receipts, when the main log's reader took it.
      onTaken: (account, number, count, endsAt) => {
        if (this.#news) hooks?.onTaken(account, number, count, endsAt);
      },
      onSettled: (account, number, count, how) => hooks?.onSettled(account, number, count, how),
    });
  }

  /** To be handed out (again). */
  get count(): number {
    return this.#unread;
  }

  /** Handed out and not settled. */
  get out(): number {
    return this.#spans.unsettled.size;
  }

  get last(): number {
    return this.#segments.last;
  }

  /** Of its files. */
  get bytes(): number {
    return this.#segments.bytes;
  }

  /** When the oldest of its messages came, or one that was near it in the log; ms since the epoch. */
  get oldestAt(): number | undefined {
    const { oldestAt } = this.#segments;
    return oldestAt === undefined || this.out > 0 ? oldestAt : Math.max(oldestAt, this.#headAt);
  }

  get refuses(): boolean {
    return this.#common.full || this.#common.now() - this.#failedAt < TRY_AGAIN;
  }

  /** All that was found at the start was handed out, and what was in batches then is settled. */
  get foundIsOut(): boolean {
    const again = this.#reader?.again.first ?? Number.POSITIVE_INFINITY;
    if (this.#unread > 0 && Math.min(again, this.#position.number) <= this.#foundLast) return false;
    while (this.#open.size > 0) {
      const first = this.#open.first as number;
      if (this.#spans.has(first)) return false;
      this.#open.delete(first);
    }
    return true;
  }

  has(number: number): boolean {
    return this.#spans.has(number);
  }

  settle(numbers: MessageNumbers, how: SettledHow): void {
    this.#spans.settle(numbers, how);
  }

  untake(number: number): void {
    this.#headAt = 0;
    if (number > this.#foundLast) this.#accounts.add(this.#spans.accountOf(number), 1);
    this.#spans.untake(number);
    this.#read().untake(number);
    this.#unread++;
  }

  /** Writes frames off the front of `frames` until it refuses; `moved` is told of each block of them. */
  take(frames: FrameSource, moved: (numbers: MessageNumbers) => void): void {
    const { block, parts } = this.#common;
    while (frames.count > 0 && !this.refuses) {
      block.form(frames);
      const { numbers } = block;
      if (!this.#common.hasRoom(block.length + SEGMENT_ROOM)) return;
      try {
        const begun = this.#segments.append(block);
        if (begun !== undefined) this.#reader?.segments.add(begun);
        this.#told = "";
      } catch (error) {
        this.#failed(error);
        return;
      }
      frames.drop(numbers.count);
      this.#unread += numbers.count;
      this.#accounts.add(parts.hooks?.accountOf(block.source, block.session) ?? 0, numbers.count);
      moved(numbers);
    }
  }

  drain(more: () => boolean, visit: FrameVisit): void {
    if (this.#unread === 0) return;
    const reader = this.#read();
    this.unreadable = undefined;
    try {
      while (this.#unread > 0 && more()) {
        const block = reader.next();
        if (block === undefined) {
          this.#lost(this.#unread);
          break;
        }
        this.#accounts.goesOnAt(block.firstNumber);
        if (!this.#handOut(block, reader, more, visit)) break;
      }
      if (this.#unread === 0) this.#accounts.empty(this.last, this.#common.parts.hooks);
    } catch (error) {
      if (!(error instanceof ReadFailure)) throw error;
      this.unreadable = error.message;
      this.#failed(error);
    } finally {
      reader.close();
    }
  }

  /** See `LogReader.fetch`. */
  fetch(numbers: MessageNumbers, visit: (number: number, bytes: Buffer, start: number, end: number) => void): number {
    if (this.#segments.bytes === 0) return 0;
    const reader = this.#read();
    try {
      return reader.fetch(numbers, visit);
    } finally {
      reader.close();
    }
  }

  /** Takes over what a start found. Before anything else. */
  restore(found: RestoredHeld): void {
    const { segments, read, again, skip, open, unread, reason } = found;
    this.reason = reason;
    this.#segments.restore(found);
    this.#restoredSegment = segments.at(-1)?.ordinal ?? 0;
    this.#unread = unread;
    this.#reader = this.#newReader(read, again, skip);
    this.#foundLast = this.last;
    open.forEach((number) => {
      this.#open.add(number);
      this.#note(number, this.#reader?.segments.holding(number)?.ordinal ?? 0, 0);
    });
  }

  /**
   * Makes what `moved` was told of until now safe from a power cut. Rejects when the disk refuses. Answers whether the directory
   * of all logs has to be synced for that as well; `namesInDoubt` says that it was not.
   */
  sync(): Promise<boolean> {
    return this.#segments.sync(() => this.#reader?.close());
  }

  namesInDoubt(): void {
    this.#segments.namesInDoubt();
  }

  /** For the checkpoint; undefined when there is nothing on disk. */
  state(): HeldLogState | undefined {
    if (!this.#segments.known) return undefined;
    const unsettled = new NumberSet();
    const add = (from: number, to: number) => unsettled.addRange(from, to);
    this.#spans.unsettled.forEachRange(add);
    this.#reader?.again.forEachRange(add);
    const settled = new NumberSet();
    this.#reader?.skip.forEachRange((from, to) => settled.addRange(from, to));
    return {
      name: this.name,
      topic: this.topic,
      partition: this.partition ?? null,
      reason: this.reason,
      read: this.#position,
      head: this.#segments.head,
      unread: this.#unread - (this.#reader?.again.size ?? 0),
      unsettled,
      settled,
    };
  }

  /** The segments of which no message is wanted any more. To be dropped once a checkpoint that knows this is on disk. */
  garbage(): number[] {
    const all = this.#unread === 0 && this.out === 0;
    if (all) this.#segments.closeCurrent(false);
    return this.#segments.ordinals().filter((ordinal) => all || !this.#wants(ordinal));
  }

  /** Removes them from the disk. */
  drop(ordinals: readonly number[]): void {
    for (const ordinal of ordinals) {
      this.#reader?.drop(ordinal);
      this.#segments.remove(ordinal);
    }
    if (this.#segments.ordinals().length > 0) return;
    // From here on lower numbers may come as well.
    this.#reader?.close();
    this.#reader = undefined;
  }

  /** Closes what is open; with an index where that can be. */
  close(): void {
    this.#reader?.close();
    this.#segments.closeCurrent();
  }

  get #position(): LogPosition {
    return this.#reader?.position ?? { ...this.#segments.floor, number: 1 };
  }

  #wants(ordinal: number): boolean {
    if (this.#segments.isCurrent(ordinal) || this.#spans.unsettledIn(ordinal) > 0) return true;
    const { number, segment } = this.#position;
    const [first, end] = this.#segments.range(ordinal);
    if (this.#unread > 0 && (segment < ordinal || number < end)) return true;
    const again = this.#reader?.again.next(first);
    return again !== undefined && again < end;
  }

  /** Hands out the messages of a block. Answers false when it was stopped: the others are put back. */
  #handOut(block: Block, reader: LogReader, more: () => boolean, visit: FrameVisit): boolean {
    const { bytes, numbers, skip, segment, firstNumber, count } = block;
    const restored = segment <= this.#restoredSegment;
    // Connections of an earlier run have other numbers.
    const source = restored ? 0 : block.source;
    const session = block.session && Buffer.from(block.session);
    const mark: FrameMark = { source, receivedAt: block.receivedAt, session };
    const account = this.#common.parts.hooks?.accountOf(source, session) ?? 0;
    this.#news = restored;
    let going = true;
    let at = block.start;
    for (let index = 0; index < count; index++) {
      const start = at;
      at += readInt32(bytes, start);
      const number = numbers === undefined ? firstNumber + index : (numbers[index] as number);
      if (skip?.has(number) === true) continue;
      going &&= more();
      if (going) {
        // Before the visit, which may settle it at once.
        this.#note(number, segment, account);
        this.#unread--;
        if (!restored) this.#accounts.add(account, -1);
        going = visit(number, bytes, start, at, mark);
        if (!going) this.untake(number);
      } else {
        reader.untake(number);
      }
    }
    if (!going) this.#headAt = block.receivedAt;
    return going;
  }

  /** It is handed out. */
  #note(number: number, segment: number, account: number): void {
    const one = this.#one;
    one.firstNumber = number;
    one.segment = segment;
    one.receiptAccount = account;
    this.#spans.take(one);
  }

  #read(): LogReader {
    this.#reader ??= this.#newReader(this.#position, new NumberSet(), new NumberSet());
    return this.#reader;
  }

  #newReader(at: LogPosition, again: NumberSet, skip: NumberSet): LogReader {
    const { parts, files } = this.#common;
    return new LogReader({
      files,
      directory: this.#segments.directory,
      segments: this.#segments.list(),
      at,
      again,
      skip,
      gaps: true,
      head: () => this.#segments.head,
      onDamage: (damage) => {
        this.#accounts.lostAt(this.#position.number, 0);
        parts.onDamage?.(damage);
      },
      onLost: ({ from, to }) => {
        this.#accounts.lostAt(from, to);
        this.#lost(to - from);
      },
    });
  }

  #lost(count: number): void {
    this.#unread -= count;
    this.#common.parts.onLost?.(this.topic, count);
  }

  #failed(error: unknown): void {
    this.#failedAt = this.#common.now();
    const why = error instanceof Error ? error.message : String(error);
    if (why === this.#told) return;
    this.#told = why;
    this.#common.parts.onProblem?.(this.topic, this.#segments.directory, why);
  }
}

/** A new segment's header, and its index when it is sealed. Bytes. */
const SEGMENT_ROOM = 512;
