// One input's way into the queue: what is good is appended, what is not is counted, and a full queue stalls or drops.
import type { WhenFull } from "../config/settings.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { QueueWriter } from "../spool/queue.ts";
import { FAULT_REASONS, FrameFault, PARTITION_KEY, readInt16, readInt32 } from "../wire/frame.ts";
import type { DiscardTally } from "./discardTally.ts";
import type { InputCounters, InputKind } from "./report.ts";
import type { Source } from "./source.ts";

/** Frames that found no room in the queue. */
interface Pending {
  source: Source;
  bytes: Buffer;
  count: number;
}

export interface IntakeParts {
  kind: InputKind;
  /** To begin with. */
  whenFull: WhenFull;
  queue: QueueWriter;
  discards: DiscardTally;
  counters: InputCounters;
  /** Milliseconds since the epoch. */
  wallClock: () => number;
  /** With drop_oldest: room for `bytes` is to be made, by giving up the oldest. */
  onFull: (bytes: number) => void;
}

/**
 * What holds: every message is counted in `counters.messages` at the moment it is appended or discarded, so their sum
 * over the inputs is always what the queue has been given plus what was discarded. Messages of a session are never
 * dropped: they wait.
 */
export class Intake {
  readonly kind: InputKind;
  readonly counters: InputCounters;
  readonly #parts: IntakeParts;
  #whenFull: WhenFull;
  /** In the order received. At most what one recv gave, and what was gathered before it. */
  #pending: Pending[] = [];

  constructor(parts: IntakeParts) {
    this.kind = parts.kind;
    this.counters = parts.counters;
    this.#parts = parts;
    this.#whenFull = parts.whenFull;
  }

  /** For what finds no room from now on. What waits already goes on waiting, since its turn was promised to it. */
  set whenFull(whenFull: WhenFull) {
    this.#whenFull = whenFull;
    if (this.stalled) this.#full();
  }

  /** The queue is full and something waits for it, until `retry`. */
  get stalled(): boolean {
    return this.#pending.length > 0;
  }

  /** Nothing more must be read from that source until `retry`. */
  stalls(source: Source): boolean {
    if (this.#pending.length === 0) return false;
    // Under drop_newest only sessions wait, and what waited before that held.
    return this.#whenFull !== "drop_newest" || source.session !== undefined || this.holds(source);
  }

  /** Takes `count` good frames, back to back in bytes[start, end), which may be used again afterwards. */
  accept(source: Source, bytes: Buffer, start: number, end: number, count: number): void {
    if (end - start > this.#parts.queue.largest) {
      this.#acceptInParts(source, bytes, start, end);
    } else if (this.stalls(source) || !this.#append(source, bytes, start, end, count)) {
      if (this.#whenFull === "drop_newest" && source.session === undefined)
        this.#drop("queue_full", source, bytes, start, end);
      else this.#wait(source, bytes, start, end, count);
    }
  }

  /** Tries again what found no room. True when nothing is left of it. */
  retry(): boolean {
    let done = 0;
    for (const { source, bytes, count } of this.#pending) {
      if (!this.#append(source, bytes, 0, bytes.length, count)) break;
      done++;
    }
    this.#pending.splice(0, done);
    if (this.stalled) this.#full();
    return !this.stalled;
  }

  /** Whether something of that source waits. */
  holds(source: Source): boolean {
    return this.#pending.some((pending) => pending.source === source);
  }

  /** What waits of that source is not taken: nobody was told that it would be, and it is sent again. */
  forget(source: Source): void {
    this.#pending = this.#pending.filter((pending) => pending.source !== source);
  }

  /** Gives up what waits. That of sessions is not counted: it is sent again. */
  abandon(): void {
    for (const { source, bytes } of this.#pending) {
      if (source.session === undefined) this.#drop("shutdown", source, bytes, 0, bytes.length);
    }
    this.#pending = [];
  }

  /** Discards one message of `size` bytes that is not acceptable; bytes[start, end) is its beginning. */
  reject(source: Source, fault: FrameFault, bytes: Buffer, start: number, end: number, size: number): void {
    if (fault === FrameFault.Ok) throw new RangeError("a good frame is no discard");
    const topic = fault === FrameFault.TooLarge ? topicAt(bytes, start) : null;
    this.#parts.discards.add(this.kind, FAULT_REASONS[fault], topic, bytes, start, end, size);
    this.counters.messages++;
    this.counters.bytes += size;
    source.discarded(1);
  }

  #append(source: Source, bytes: Buffer, start: number, end: number, count: number): boolean {
    const now = this.#parts.wallClock();
    const first = this.#parts.queue.append(source.id, now, bytes, start, end, count, source.session);
    if (first === 0) return false;
    this.counters.messages += count;
    this.counters.bytes += end - start;
    source.appended(first, count, now);
    return true;
  }

  #wait(source: Source, bytes: Buffer, start: number, end: number, count: number): void {
    const first = !this.stalled;
    this.#pending.push({ source, bytes: Buffer.from(bytes.subarray(start, end)), count });
    if (first) this.#full();
  }

  #full(): void {
    if (this.#whenFull !== "drop_oldest") return;
    this.#parts.onFull(this.#pending.reduce((sum, { bytes }) => sum + bytes.length, 0));
  }

  /** More than the whole queue can hold at once: as many frames at a time as it can. */
  #acceptInParts(source: Source, bytes: Buffer, start: number, end: number): void {
    const { largest } = this.#parts.queue;
    let from = start;
    let at = start;
    let count = 0;
    while (at < end) {
      const next = at + readInt32(bytes, at);
      if (next - from > largest) {
        this.accept(source, bytes, from, at, count);
        from = at;
        count = 0;
      }
      at = next;
      count++;
    }
    this.accept(source, bytes, from, end, count);
  }

  #drop(reason: DiscardReason, source: Source, bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const size = readInt32(bytes, at);
      this.#parts.discards.add(this.kind, reason, topicAt(bytes, at), bytes, at, at + size, size);
      this.counters.messages++;
      this.counters.bytes += size;
      source.discarded(1);
      at += size;
    }
  }
}

/** The topic of a frame that is good as far as its topic. */
function topicAt(bytes: Buffer, frame: number): string {
  const at = frame + (readInt16(bytes, frame + 4) === PARTITION_KEY ? 14 : 10);
  return bytes.toString("latin1", at + 2, at + 2 + readInt16(bytes, at));
}
