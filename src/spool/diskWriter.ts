// The writing side of the log: each block goes to the file first and then to the ring, on the input thread.
//
// What holds:
// - A number is given to the messages of one append only, and published only when the block is in the file, in the ring,
//   or in both; a block that is not in the ring is in the file.
// - The ring is filled in the order of numbers, and before the number is published: a reader that sees the number and
//   not the block in the ring finds it in the file.
// - A segment that failed is left at once. While the disk refuses, blocks go into the ring alone, and wait when it is full.
// - When it takes blocks again, those that are in the ring alone come first, read or not, as far as the ring has kept them: in a
//   segment of their own numbers, so that numbers still ascend from segment to segment.
// - `append` never throws, and leaves two views behind for a block; the collector, which counts the shared memory as
//   garbage-to-be and hardly ever runs by itself on this thread, is run by hand.
import { codeOf, type Files, quietly, sizeAt } from "./files.ts";
import { BLOCK_HEADER, type BlockFields, BlockKind, SEGMENT_HEADER, sealBlock, writeBlockHeader } from "./format.ts";
import { LogControl } from "./logControl.ts";
import type { QueueOrder, QueueState, QueueWriter, SessionMark, WriterMessage } from "./queue.ts";
import { RingWriter } from "./ring.ts";
import { type SegmentStart, SegmentWriter, spareName } from "./segmentWriter.ts";

export interface DiskWriterParts {
  order: Extract<QueueOrder, { kind: "disk" }>;
  files: Files;
  wake: () => void;
  tell: (message: WriterMessage) => void;
  /** Milliseconds, monotonic. */
  clock: () => number;
  /** Collects the garbage of this thread. */
  collect: () => void;
}

/** How long a disk that refused is left alone before it is tried again. Milliseconds. */
const RETRY = 1000;
/** Blocks between two collections, each of which takes 2 ms (measured): 0.1 µs a block, and at most 4 MB of garbage. */
const COLLECT_EVERY = 20_000;
/** A disk that refused has to take so many bytes before it is trusted again: a header alone finds room on a full one, too. */
const PROBE = 65_536;
/** Bytes that there must be room for, by what the log may have, before a disk is tried again. */
const ENOUGH = 1 << 20;
const NO_ROOM = "no room is left for them by buffer.disk and buffer.min_free_disk: see what else is on the volume";
/** A scratch buffer larger than this is not kept. */
const KEEP_SCRATCH = 1 << 20;
/** Names that exist although nothing told of them are passed over, so many at once. */
const NAMES = 16;

export class DiskWriter implements QueueWriter {
  readonly largest: number;
  readonly #parts: DiskWriterParts;
  readonly #control: LogControl;
  readonly #ring: RingWriter;
  readonly #fields: BlockFields = {
    kind: BlockKind.Messages,
    count: 0,
    source: 0,
    firstNumber: 0,
    receivedAt: 0,
    session: undefined,
    position: 0,
  };
  #segment: SegmentWriter | undefined;
  #ordinal: number;
  #next: number;
  /** See SegmentHeader: of the segment that was begun last. */
  #previousEnd: number;
  /** Where the last block in a file ends. */
  #headSegment: number;
  #headOffset: number;
  #state: Exclude<QueueState, "memory"> = "disk";
  #retryAt = 0;
  /** A segment of this run has messages. */
  #begun = false;
  /** Why the disk refuses. */
  #reason = "";
  /** Messages [from, to) that were in memory alone, since the disk refused last; perhaps some between that were not. */
  #aloneFrom = 0;
  #aloneTo = 0;
  /** Messages [from, to) were written late. */
  #late: { ordinal: number; from: number; to: number } | undefined;
  #lateFrom = 0;
  #lateTo = 0;
  #scratch: Buffer = Buffer.alloc(0);
  /** What was in front of the frames that are being written. */
  readonly #aside = Buffer.alloc(BLOCK_HEADER);
  #bytes: number;
  /** Of these, those of the file that is written to. */
  #counted = 0;
  #blocks = 0;

  constructor(parts: DiskWriterParts) {
    const { order } = parts;
    this.#parts = parts;
    this.#control = new LogControl(order.control);
    this.#ring = new RingWriter(order.memory, parts.wake);
    this.largest = Math.min(order.largest, this.#ring.largest - BLOCK_HEADER);
    this.#ordinal = order.ordinal;
    this.#next = order.firstNumber;
    this.#previousEnd = order.previousEnd;
    const head = this.#control.head();
    this.#headSegment = head.segment;
    this.#headOffset = head.offset;
    this.#bytes = this.#control.bytes;
  }

  get lastNumber(): number {
    return this.#next - 1;
  }

  get synced(): number {
    // First, since it comes after what was lowered for them.
    const { lateSeen } = this.#control;
    const { synced } = this.#control;
    return this.#lateTo > lateSeen ? Math.min(synced, this.#lateFrom - 1) : synced;
  }

  get aloneTo(): number {
    return this.#ring.missed;
  }

  get state(): QueueState {
    return this.#state;
  }

  refusedSync(from: number, to: number): number {
    const { failedFrom, failedTo } = this.#control;
    return Math.max(lastCommon(from, to, failedFrom, failedTo), lastCommon(from, to, this.#aloneFrom, this.#aloneTo));
  }

  syncSoon(): void {
    if (this.#control.wantSync()) this.#parts.tell({ type: "syncWanted" });
  }

  gather(): boolean {
    return this.#ring.gather();
  }

  gathered(): void {
    this.#ring.gathered();
  }

  tend(): void {
    this.#rotateIfAsked();
    if (this.#state === "degraded" && this.#parts.clock() >= this.#retryAt) this.#open();
  }

  append(
    source: number,
    receivedAt: number,
    bytes: Buffer,
    start: number,
    end: number,
    count: number,
    session?: SessionMark,
  ): number {
    const first = this.#next;
    const length = end - start;
    if (length > this.largest) return 0;
    if (first + count > this.#control.reserved && this.#waitFor("numbers", first + count)) return 0;
    const fields = this.#fields;
    fields.count = count;
    fields.source = source;
    fields.firstNumber = first;
    fields.receivedAt = receivedAt;
    fields.session = session?.id;
    fields.position = session?.position ?? 0;
    if (++this.#blocks % COLLECT_EVERY === 0) this.#parts.collect();

    if (this.#control.rotate !== 0) this.#rotateIfAsked();
    if (this.#state === "degraded" && this.#parts.clock() >= this.#retryAt) this.#open();
    if (this.#state === "disk") {
      const taken = this.#toDisk(bytes, start, end);
      if (taken !== "failed") return taken === "full" ? 0 : first;
    }
    return this.#toRingAlone(bytes, start, end) ? first : 0;
  }

  /** "failed": the disk refuses, and the state is "degraded" now. */
  #toDisk(bytes: Buffer, start: number, end: number): "taken" | "full" | "failed" {
    const { order } = this.#parts;
    const size = BLOCK_HEADER + end - start;
    if (this.#segment !== undefined && this.#segment.messages > 0 && this.#segment.offset + size > order.segment)
      this.#leave(true);
    const needed =
      this.#segment === undefined
        ? size + SEGMENT_HEADER
        : Math.max(0, this.#segment.offset + size - this.#segment.fileBytes);
    if (this.#bytes + needed > this.#control.limit && this.#waitFor("bytes", this.#bytes + needed)) {
      if (this.#control.noRoomFor !== this.#next) return "full";
      this.#control.notWanted();
      this.#fail(new Error(NO_ROOM));
      return "failed";
    }
    if (this.#segment === undefined && !this.#open()) return "failed";
    const segment = this.#segment as unknown as SegmentWriter;

    const inRing = this.#ring.reserve(size, order.credit);
    let offset: number;
    try {
      if (inRing >= 0) {
        this.#form(this.#ring.bytes, inRing, bytes, start, end, segment.seed);
        offset = segment.append(this.#ring.bytes, inRing, inRing + size);
      } else if (start >= BLOCK_HEADER) {
        offset = this.#appendInPlace(segment, bytes, start, end);
      } else {
        const scratch = this.#scratchOf(size);
        this.#form(scratch, 0, bytes, start, end, segment.seed);
        offset = segment.append(scratch, 0, size);
      }
    } catch (error) {
      this.#fail(error);
      return "failed";
    }
    this.#wrote(segment, this.#fields.count);
    this.#headSegment = segment.ordinal;
    this.#headOffset = segment.offset;
    if (inRing >= 0) this.#publishRing(size, segment.ordinal, offset);
    this.#publish();
    return "taken";
  }

  /** Without a copy: what is in front of the frames makes room for the header, and is put back. Throws what `append` throws. */
  #appendInPlace(segment: SegmentWriter, bytes: Buffer, start: number, end: number): number {
    const at = start - BLOCK_HEADER;
    bytes.copy(this.#aside, 0, at, start);
    try {
      writeBlockHeader(bytes, at, this.#fields, end - start, segment.seed);
      return segment.append(bytes, at, end);
    } finally {
      this.#aside.copy(bytes, at);
    }
  }

  #toRingAlone(bytes: Buffer, start: number, end: number): boolean {
    const size = BLOCK_HEADER + end - start;
    const at = this.#ring.reserveOrWait(size);
    if (at < 0) return false;
    this.#form(this.#ring.bytes, at, bytes, start, end, 0);
    this.#publishRing(size, 0, 0);
    this.#aloneTo = this.#fields.firstNumber + this.#fields.count;
    this.#publish();
    return true;
  }

  /** A block of that many messages went to the segment. */
  #wrote(segment: SegmentWriter, count: number): void {
    this.#recount(segment);
    if (segment.messages !== count) return;
    this.#begun = true;
    const { ordinal, firstNumber } = segment;
    this.#parts.tell({ type: "opened", ordinal, firstNumber, previousEnd: this.#previousEnd });
  }

  #form(out: Buffer, at: number, bytes: Buffer, start: number, end: number, seed: number): void {
    bytes.copy(out, at + BLOCK_HEADER, start, end);
    writeBlockHeader(out, at, this.#fields, end - start, seed);
  }

  #publishRing(size: number, segment: number, offset: number): void {
    const { firstNumber, count, source, receivedAt } = this.#fields;
    this.#ring.publish(size, firstNumber, count, source, receivedAt, segment, offset);
  }

  #publish(): void {
    this.#next += this.#fields.count;
    this.#control.publish(this.#next, this.#headSegment, this.#headOffset);
    this.#ring.wakeReader();
    if (this.#control.wakesSync()) this.#parts.tell({ type: "syncWanted" });
  }

  /** False when there is enough after all; otherwise the other thread wakes this one when there is. */
  #waitFor(what: "bytes" | "numbers", needed: number): boolean {
    const first = this.#control.want();
    if (needed <= (what === "bytes" ? this.#control.limit : this.#control.reserved)) {
      // Not in place of another input's, which waits still.
      if (first) this.#control.notWanted();
      return false;
    }
    if (first) this.#parts.tell({ type: "full" });
    return true;
  }

  #rotateIfAsked(): void {
    const asked = this.#control.rotate;
    if (asked === 0 || this.#segment?.ordinal !== asked) return;
    this.#leave(true);
  }

  /** Nothing more is written to the segment. */
  #leave(seal: boolean): void {
    const segment = this.#segment;
    if (segment === undefined) return;
    this.#tellLate();
    this.#segment = undefined;
    const { files, tell } = this.#parts;
    const { ordinal, firstNumber, path } = segment;
    if (segment.messages === 0) {
      this.#count(-this.#counted);
      // Nobody was told of it.
      quietly(() => segment.close());
      quietly(() => files.remove(path));
      return;
    }
    let index: ReturnType<SegmentWriter["seal"]> | undefined;
    if (seal && !segment.broken) {
      try {
        index = segment.seal();
      } catch {
        // Its blocks are there all the same, and are counted when they are read.
      }
    }
    this.#recount(segment);
    quietly(() => segment.close());
    tell({ type: "closed", ordinal, firstNumber, end: segment.end, size: segment.fileBytes, index });
  }

  /** Begins the next segment, with what is in the ring alone. False, and "degraded", when the disk does not let it. */
  #open(): boolean {
    if (this.#state === "disk") return this.#create(this.#next);
    const { limit } = this.#control;
    if (this.#bytes + SEGMENT_HEADER + Math.min(ENOUGH, this.#parts.order.segment) > limit) {
      this.#fail(new Error(NO_ROOM));
      return false;
    }
    if (!this.#create(this.#firstAlone()) || !this.#probe() || !this.#writeLate()) return false;
    this.#ring.keepNone();
    this.#aloneTo = Math.max(this.#aloneFrom, Math.min(this.#aloneTo, this.#ring.missed + 1));
    this.#setState("disk", "");
    return true;
  }

  /** The first message that is to be written late; the next one if there is none. */
  #firstAlone(): number {
    const { settledTo } = this.#control;
    for (;;) {
      const block = this.#ring.oldestKept;
      if (block === undefined) return this.#next;
      if (block.firstNumber + block.count > settledTo) return block.firstNumber;
      this.#ring.dropOldestKept();
    }
  }

  #probe(): boolean {
    try {
      this.#segment?.probe(PROBE);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** Writes what is in the ring alone. What the disk has taken, it has, also when it refuses the rest. */
  #writeLate(): boolean {
    const { order } = this.#parts;
    const { bytes } = this.#ring;
    for (let block = this.#ring.oldestKept; block !== undefined; block = this.#ring.oldestKept) {
      const { firstNumber, count, start, end } = block;
      const size = end - start;
      let segment = this.#segment as unknown as SegmentWriter;
      if (segment.messages > 0 && segment.offset + size > order.segment) {
        this.#leave(true);
        if (!this.#create(firstNumber)) return false;
        segment = this.#segment as unknown as SegmentWriter;
      }
      if (this.#bytes + size > this.#control.limit) {
        this.#fail(new Error(NO_ROOM));
        return false;
      }
      sealBlock(bytes, start, size - BLOCK_HEADER, segment.seed);
      try {
        segment.append(bytes, start, end);
      } catch (error) {
        this.#fail(error);
        return false;
      }
      this.#wrote(segment, count);
      this.#late ??= { ordinal: segment.ordinal, from: firstNumber, to: firstNumber };
      this.#late.to = firstNumber + count;
      this.#ring.dropOldestKept();
      if (++this.#blocks % COLLECT_EVERY === 0) this.#parts.collect();
    }
    this.#tellLate();
    return true;
  }

  #tellLate(): void {
    const late = this.#late;
    if (late === undefined) return;
    this.#late = undefined;
    this.#lateFrom = this.#lateTo > this.#control.lateSeen ? Math.min(this.#lateFrom, late.from) : late.from;
    this.#lateTo = late.to;
    this.#headSegment = late.ordinal;
    this.#headOffset = (this.#segment as unknown as SegmentWriter).offset;
    this.#control.publish(this.#next, this.#headSegment, this.#headOffset);
    this.#parts.tell({ type: "late", ...late });
  }

  /** Begins a segment that message `firstNumber` is to be in first. False, and "degraded", when the disk does not let it. */
  #create(firstNumber: number): boolean {
    const { order, files } = this.#parts;
    const { directory, directoryId } = order;
    // What is missing before it was in memory alone, and must not pass for numbers that were never used. Before this run's first
    // segment there may be some that were not, maybe millions, and those weigh more.
    const unused = !this.#begun && order.previousEnd < order.firstNumber;
    this.#previousEnd = unused ? order.previousEnd : firstNumber;
    const start = { directory, firstNumber, previousEnd: this.#previousEnd, directoryId };
    if (this.#writeOver({ ...start, ordinal: this.#ordinal })) {
      this.#ordinal++;
      return true;
    }
    for (let tries = 1; ; tries++) {
      try {
        this.#segment = SegmentWriter.create(files, { ...start, ordinal: this.#ordinal });
        break;
      } catch (error) {
        if (codeOf(error) === "EEXIST" && tries < NAMES) {
          this.#ordinal++;
          continue;
        }
        this.#fail(error);
        return false;
      }
    }
    this.#ordinal++;
    this.#counted = 0;
    this.#recount(this.#segment);
    return true;
  }

  /** Begins a segment in a spare file, if there is one. Not where the disk has to show first that it takes anything. */
  #writeOver(start: SegmentStart): boolean {
    const spare = this.#state === "disk" ? this.#control.takeSpare() : 0;
    if (spare === 0) return false;
    const { files } = this.#parts;
    const path = `${start.directory}/${spareName(spare)}`;
    // The other thread has counted its bytes.
    let size: number | undefined;
    try {
      size = sizeAt(files, path);
      this.#segment = SegmentWriter.over(files, start, path);
      this.#counted = size;
    } catch {
      // What cannot be deleted stays counted.
      quietly(() => {
        const bytes = size ?? sizeAt(files, path);
        files.remove(path);
        this.#count(-bytes);
      });
      return false;
    }
    this.#recount(this.#segment);
    return true;
  }

  #fail(error: unknown): void {
    this.#leave(false);
    this.#retryAt = this.#parts.clock() + RETRY;
    this.#setState("degraded", error instanceof Error ? error.message : String(error));
  }

  #setState(state: Exclude<QueueState, "memory">, reason: string): void {
    if (this.#state === state && this.#reason === reason) return;
    if (state === "degraded" && this.#state === "disk") {
      this.#aloneFrom = this.#aloneTo = this.#next;
      this.#ring.keep();
    }
    this.#state = state;
    this.#reason = reason;
    this.#control.state = state;
    this.#parts.tell({ type: "state", state, reason });
  }

  /** Its file may have grown or shrunk. */
  #recount(segment: SegmentWriter): void {
    this.#count(segment.fileBytes - this.#counted);
    this.#counted = segment.fileBytes;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#control.bytes = this.#bytes;
  }

  #scratchOf(size: number): Buffer {
    if (this.#scratch.length >= size) return this.#scratch;
    const scratch = Buffer.allocUnsafeSlow(Math.max(size, 1 << 18));
    if (size <= KEEP_SCRATCH) this.#scratch = scratch;
    return scratch;
  }
}

/** The last number of both [from, to] and [begin, end); 0 when they have none in common. */
function lastCommon(from: number, to: number, begin: number, end: number): number {
  const last = Math.min(to, end - 1);
  return last >= Math.max(from, begin) ? last : 0;
}
