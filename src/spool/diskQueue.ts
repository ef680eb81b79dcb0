// The queue on disk as its reader sees it: blocks in their order, what became of them, and how much room the files have.
import type { Block } from "./block.ts";
import { BlockSource } from "./blockSource.ts";
import type { LogPosition } from "./checkpoint.ts";
import type { Files } from "./files.ts";
import { createLogControl, LogControl } from "./logControl.ts";
import { LogFiles } from "./logFiles.ts";
import { type LogDamage, LogReader, type LostMessages } from "./logReader.ts";
import { ReadFailure } from "./logSegments.ts";
import { type LogStart, unreadIn } from "./logStart.ts";
import { NumberSet } from "./numberSet.ts";
import type { MessageNumbers } from "./numbers.ts";
import type { QueueHooks, QueueLink, QueueOrder, QueueReader, QueueState, SettledHow, WriterMessage } from "./queue.ts";
import { ReaderRest } from "./readerRest.ts";
import { createRingMemory, RingReader } from "./ring.ts";
import { Spans } from "./spans.ts";
import { Spares } from "./spares.ts";
import { LogSync, type SyncMode } from "./sync.ts";

export interface DiskQueueParts {
  files: Files;
  /** Where the log's segments are. */
  directory: string;
  start: LogStart;
  /** Bytes between the threads while the disk refuses. */
  capacity: number;
  /** Bytes between the threads while it does not. */
  credit?: number;
  /** See limits.ts. */
  segmentSize: number;
  largestBlock: number;
  /** Bytes that the log may have on disk, to begin with. */
  limit: number;
  /** To begin with. */
  sync: SyncMode;
  /** Messages that are in no file any more; they are settled for the queue, and to be booked. */
  onLost: (lost: LostMessages) => void;
  onDamage: (damage: LogDamage) => void;
  /** The disk refuses ("degraded"), or takes messages again. */
  onState: (state: QueueState, reason: string) => void;
  onSyncFailure: (error: unknown) => void;
  /** A file cannot be read now; it is tried again. */
  onReadFailure: (failure: ReadFailure) => void;
  /** The writer waits: for numbers (see `reserve`), or for bytes on disk (see `dropSegments` and `setLimit`). */
  onFull: () => void;
}

const CREDIT = 8 << 20;
/** How often a disk that refuses is tried again. Milliseconds. */
const RETRY = 1000;

export class DiskQueue implements QueueReader, QueueLink {
  readonly order: QueueOrder;
  readonly #parts: DiskQueueParts;
  readonly #control: LogControl;
  readonly #ring: RingReader;
  readonly #reader: LogReader;
  readonly #source: BlockSource;
  readonly #rest: ReaderRest;
  readonly #spans = new Spans();
  readonly #sync: LogSync;
  readonly #kept: LogFiles;
  readonly #spares: Spares;
  #hooks: QueueHooks | undefined;
  /** Found at the start and not taken then. */
  readonly #found: number;
  /** The first number of this run: connections of messages before it are not those of now. */
  readonly #firstNumber: number;
  #limit: number;
  #taken = 0;
  #lost = 0;
  /** The writer waits, and what it waits for may be the segment that it writes to. */
  #full = false;
  #unreadable: string | undefined;
  #degradedTimer: ReturnType<typeof setInterval> | undefined;
  #stopped = false;
  #onRoom: () => void = () => {};

  constructor(parts: DiskQueueParts) {
    this.#parts = parts;
    const { files, directory, start } = parts;
    const { segments, read, again, skip, nextNumber, previousEnd } = start;
    const memory = createRingMemory(parts.capacity);
    const last = segments.at(-1);
    this.#kept = new LogFiles(files, segments, read.number);
    this.#limit = parts.limit;
    this.#firstNumber = nextNumber;
    const control = createLogControl({
      head: { number: nextNumber, segment: last?.ordinal ?? 0, offset: last?.size ?? 0 },
      reserved: start.reserved,
      limit: parts.limit - this.#kept.bytes,
    });
    this.order = {
      kind: "disk",
      memory,
      control,
      directory,
      segment: parts.segmentSize,
      largest: parts.largestBlock,
      credit: parts.credit ?? CREDIT,
      ordinal: Math.max((last?.ordinal ?? 0) + 1, start.nextOrdinal ?? 1),
      firstNumber: nextNumber,
      previousEnd,
      directoryId: start.directoryId,
    };
    this.#control = new LogControl(control);
    this.#spares = new Spares(files, directory, this.#control);
    // What a process left when it died is in the system's memory, and not on the disk for certain.
    if (segments.length > 0) this.#control.synced = 0;
    this.#ring = new RingReader(memory, () => this.#onRoom());
    this.#reader = new LogReader({
      files,
      directory,
      segments,
      at: read,
      again,
      skip,
      unused: { from: previousEnd, to: nextNumber },
      head: () => this.#control.head(),
      onDamage: parts.onDamage,
      onLost: (lost) => this.#lose(lost),
    });
    this.#source = new BlockSource(this.#ring, this.#reader, this.#control);
    this.#rest = new ReaderRest(this.#ring, () => this.#reader.atEnd);
    const open = start.open ?? new NumberSet();
    open.forEachRange((from, to) => this.#adopt(from, to));
    this.#taken = open.size;
    this.#found = open.size + again.size + unreadIn(start);
    this.#sync = new LogSync({
      files,
      directory,
      control: this.#control,
      segments: this.#reader.segments,
      mode: parts.sync,
      firstOrdinal: segments[0]?.ordinal ?? 0,
      onWanted: () => this.#onRoom(),
      onFailure: parts.onSyncFailure,
    });
    this.#sync.start();
  }

  /** Has the receipts told of what is taken and settled, from now on. */
  watch(hooks: QueueHooks): void {
    this.#hooks = hooks;
    this.#spans.hooks = hooks;
  }

  read(): Block | undefined {
    let block: Block | undefined;
    try {
      block = this.#source.next();
    } catch (error) {
      if (!(error instanceof ReadFailure)) throw error;
      this.#unreadable = error.message;
      this.#parts.onReadFailure(error);
      this.#rest.retryIn(RETRY);
      return undefined;
    }
    this.#unreadable = undefined;
    if (block === undefined) {
      // The last ones may have been lost.
      if (this.#full) this.#relieve();
      this.#rest.rest();
      return undefined;
    }
    this.#taken += block.live;
    if (this.#hooks !== undefined) {
      const source = block.firstNumber < this.#firstNumber ? 0 : block.source;
      block.receiptAccount = this.#hooks.accountOf(source, block.session);
    }
    this.#spans.take(block);
    return block;
  }

  release(): void {
    this.#source.release();
  }

  settle(numbers: MessageNumbers, how: SettledHow): void {
    this.#spans.settle(numbers, how);
    if (this.#full) this.#relieve();
  }

  onReadable(callback: () => void): void {
    this.#rest.onReadable = callback;
  }

  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  wake(): void {
    this.#rest.wake();
  }

  told(message: WriterMessage): void {
    switch (message.type) {
      case "opened":
        this.#opened(message);
        break;
      case "closed":
        this.#closed(message);
        break;
      case "late":
        this.#wroteLate(message);
        break;
      case "state":
        this.#degraded(message.state === "degraded");
        this.#giveBackSpares();
        this.#parts.onState(message.state, message.reason);
        break;
      case "syncWanted":
        this.#sync.soon();
        break;
      case "full":
        this.#full = true;
        this.#giveBackSpares();
        this.#relieve();
        if (this.#control.wanted) this.#parts.onFull();
        break;
      default:
        message satisfies never;
    }
  }

  /**
   * Calls back with each of the messages that is in a file, taken or not, ascending; the bytes are valid during the call.
   * Answers how many those were. Not between `read` and `release`. Throws a ReadFailure.
   */
  fetch(numbers: MessageNumbers, visit: (number: number, bytes: Buffer, start: number, end: number) => void): number {
    return this.#reader.fetch(numbers, visit);
  }

  get written(): number {
    return this.#found + this.#control.head().number - this.#firstNumber;
  }

  get taken(): number {
    return this.#taken + this.#lost;
  }

  get settled(): number {
    return this.#spans.settled + this.#lost;
  }

  get unread(): number {
    return this.written - this.taken;
  }

  get unsettled(): number {
    return this.written - this.settled;
  }

  get bytesWaiting(): number {
    return this.#ring.bytesWaiting;
  }

  get writerWaits(): boolean {
    const waits = this.state === "degraded" && this.#ring.waitedFor;
    // Not while what is in the files comes first, which may be much.
    return waits && this.#ring.peek() === this.#reader.number;
  }

  get state(): QueueState {
    return this.#control.state;
  }

  seams(numbers: MessageNumbers): number[] {
    return this.#spans.seams(numbers);
  }

  /** The account (see QueueHooks) of a message that was taken and not settled; 0 for none. */
  accountOf(number: number): number {
    return this.#spans.accountOf(number);
  }

  /** Messages that are not settled and in no file: the disk refused them, and they go with the process. */
  get inMemoryAlone(): number {
    const kept = Math.max(this.#kept.end, this.#reader.number);
    const unread = this.state === "disk" ? 0 : this.#control.head().number - kept;
    return this.#spans.alone + Math.max(0, unread);
  }

  // For the checkpoint, which takes them all in one turn.

  /** What is read next, apart from what is read again. */
  get readPosition(): LogPosition {
    return { ...this.#reader.position };
  }

  /** Behind the last block written. */
  get head(): LogPosition {
    return { ...this.#control.head() };
  }

  /** Taken and not settled, with those to be read again. To be encoded at once: it may be the queue's own. */
  unsettledNumbers(): NumberSet {
    const { unsettled } = this.#spans;
    const { again } = this.#reader;
    if (again.size === 0) return unsettled;
    const all = new NumberSet();
    for (const set of [unsettled, again]) set.forEachRange((from, to) => all.addRange(from, to));
    return all;
  }

  /** Settled already and not passed by the reader. To be encoded at once. */
  settledAhead(): NumberSet {
    return this.#reader.skip;
  }

  /** Ordinals of those that hold nothing unread or unsettled, as it is now. */
  segmentsToDelete(): number[] {
    const { number, again } = this.#reader;
    const pinned = this.#spans.pinned();
    return this.#kept.done((ordinal, firstNumber, end) => {
      if (end > number || pinned.has(ordinal)) return false;
      return again.size === 0 || (again.next(firstNumber) ?? end) >= end;
    });
  }

  /** Deletes them: a checkpoint that needs nothing of them is safe. One that cannot be deleted is named again later. */
  dropSegments(ordinals: readonly number[]): void {
    for (const ordinal of ordinals) {
      if (!this.#keepSpare(ordinal) && !this.#kept.remove(ordinal)) continue;
      this.#reader.drop(ordinal);
      this.#sync.drop(ordinal);
    }
    this.setLimit(this.#limit);
  }

  get segments(): number {
    return this.#kept.count;
  }

  /** Bytes that the log's files have. */
  get bytesOnDisk(): number {
    return this.#kept.bytes + this.#control.bytes;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Bytes that the log's files may have. */
  setLimit(bytes: number): void {
    const before = this.#control.limit;
    this.#limit = bytes;
    if (!this.#maySpare || this.#spares.isIdle(performance.now())) this.#kept.forgotten(this.#spares.clear());
    this.#control.limit = bytes - this.#kept.bytes;
    if (this.#control.limit > before && this.#control.takeWanted()) this.#onRoom();
  }

  /** Numbers below it are reserved: a checkpoint that says so is safe. */
  get reserved(): number {
    return this.#control.reserved;
  }

  reserve(end: number): void {
    this.#control.reserved = end;
    if (this.#control.takeWanted()) this.#onRoom();
  }

  /** The writer waits: for bytes on disk, or for numbers; while the disk refuses, for memory. */
  get full(): boolean {
    return this.#control.wanted || (this.#degradedTimer !== undefined && this.#ring.waitedFor);
  }

  /** Why the log cannot be read now; undefined: it can. */
  get unreadable(): string | undefined {
    return this.#unreadable;
  }

  /**
   * If the writer waits for room that nobody can make, since nothing waits in the log, has it go on in memory, as with a disk
   * that refuses. `tried`: what could be given back was, as far as the disk lets it.
   */
  goOnWithoutRoom(tried: boolean): void {
    const { number, segment } = this.#control.head();
    if (!this.#control.wanted || this.unsettled > 0 || this.#kept.isOpen(segment)) return;
    if (!tried && this.segmentsToDelete().length > 0) return;
    this.#control.noRoomFor = number;
    this.#onRoom();
  }

  /** Messages by topic in the segments that have an index and are not read yet; "" for topics that were too many. */
  topicsUnread(): ReadonlyMap<string, number> {
    return this.#kept.topicsUnread(this.#reader.position.segment);
  }

  /** Makes it safe from a power cut so often, from now on. */
  setSync(mode: SyncMode): void {
    this.#sync.setMode(mode);
  }

  /** Milliseconds since everything written was safe from a power cut; failures of fdatasync since the start. */
  get sync(): { age: number; failures: number } {
    return { age: this.#sync.age, failures: this.#sync.failures };
  }

  /** Resolves when what was appended is safe from a power cut, as far as the disk lets it. */
  syncNow(): Promise<void> {
    return this.#sync.now();
  }

  /** Tells the writer what need not be written late. */
  tellSettled(): void {
    const { number, again } = this.#reader;
    this.#control.settledTo = Math.min(number, this.#spans.unsettled.first ?? number, again.first ?? number);
  }

  /** Nothing is appended or read any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#rest.stop();
    clearInterval(this.#degradedTimer);
    await this.#sync.stop();
    this.#kept.forgotten(this.#spares.clear());
    this.#reader.close();
  }

  #adopt(from: number, to: number): void {
    for (let number = from; number < to; number++)
      this.#spans.adopt(number, this.#reader.segments.holding(number)?.ordinal ?? 0);
  }

  #wroteLate(late: Extract<WriterMessage, { type: "late" }>): void {
    const { ordinal, from, to } = late;
    this.#source.wroteLate(late);
    this.#spans.move(from, to, ordinal);
    this.#sync.late(from);
    this.#control.lateSeen = to;
  }

  #lose(lost: LostMessages): void {
    this.#lost += lost.to - lost.from;
    this.#parts.onLost(lost);
  }

  /** There is much more room than is used, and the disk keeps what it takes. */
  get #maySpare(): boolean {
    const sound = this.#sync.failures === 0 && this.state === "disk" && !this.#stopped;
    return sound && this.bytesOnDisk <= this.#limit / 2 && !this.#control.wanted;
  }

  /** At once, where they are not to be kept: there may be no room for anything else. */
  #giveBackSpares(): void {
    this.setLimit(this.#limit);
  }

  #keepSpare(ordinal: number): boolean {
    if (!this.#maySpare || !this.#spares.room || this.#spares.isIdle(performance.now())) return false;
    // A failure would be taken for that of a file that is gone, and the system tells of it only once.
    if (this.#sync.isSyncing(ordinal)) return false;
    return this.#kept.give(ordinal, (path, bytes) => this.#spares.add(ordinal, path, bytes));
  }

  #opened({ ordinal, firstNumber, previousEnd }: Extract<WriterMessage, { type: "opened" }>): void {
    const { segments } = this.#reader;
    const path = segments.pathOf(ordinal);
    segments.add({ ordinal, path, firstNumber, previousEnd });
    this.#kept.opened(ordinal, path, firstNumber);
    // What it has may be settled by now.
    if (this.#full) this.#relieve();
    this.#spares.needed(performance.now());
  }

  #closed(message: Extract<WriterMessage, { type: "closed" }>): void {
    const { ordinal, index } = message;
    this.#kept.closed(message, this.#reader.number);
    if (index !== undefined) this.#reader.segments.sealed(ordinal);
    if (this.#control.rotate === ordinal) this.#control.rotate = 0;
    if (this.#control.wanted) this.#parts.onFull();
  }

  /** While it lasts, the writer's thread is woken to try again: it may have nothing to append. */
  #degraded(yes: boolean): void {
    clearInterval(this.#degradedTimer);
    this.#degradedTimer = undefined;
    if (!yes || this.#stopped) return;
    this.#degradedTimer = setInterval(() => {
      this.tellSettled();
      this.#onRoom();
    }, RETRY);
  }

  /** When the disk is full and all is settled, what is left of it is in the segment that is written to. */
  #relieve(): void {
    if (!this.#control.wanted) {
      this.#full = false;
      return;
    }
    const { segment } = this.#control.head();
    if (this.unread > 0 || this.#spans.unsettledIn(segment) > 0 || this.#control.rotate === segment) return;
    if (!this.#kept.isOpen(segment)) return;
    this.#control.rotate = segment;
    this.#onRoom();
  }
}
