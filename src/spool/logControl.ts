// Shared memory by which the log's writer (the input thread) and its reader (the main thread) know of each other.
//
// What holds:
// - How far the writer is: two copies by turns, and a word that counts them. The reader takes the copy that the word names,
//   and takes it again when the word has moved meanwhile; so neither side ever waits for the other, not even for one that
//   was stopped in between.
// - The writer publishes a place only when all below it is written, so what is below it never changes.
// - The other doubles have one writer each. What a word says comes after the doubles that belong to it.
import type { LogPosition } from "./checkpoint.ts";
import type { QueueState } from "./queue.ts";

// Words: the writer's and the reader's are in cache lines of their own.
const TURN = 0;
const STATE = 1;
/** The writer waits: for bytes on disk or for numbers. Cleared by the reader when it wakes it. */
const WANTED = 2;
/** The writer's thread wants an fdatasync, and to be woken after it. */
const SYNC_WANTED = 3;
/** The ordinal of a segment that nothing more must be written to; 0 for none. */
const ROTATE = 16;
/** The reader's thread is to be told of the next append: it syncs always, and all is synced. */
const SYNC_IDLE = 17;
/** The ordinal of a segment whose file may be written over; 0 for none. Whoever takes it out has it. */
const SPARE = 18;

// Doubles.
const COPIES = 16;
const COPY = 4;
const BYTES = 24;
const LIMIT = 32;
const RESERVED = 33;
const SYNCED = 34;
const FAILED_FROM = 35;
const FAILED_TO = 36;
/** All messages below it are settled, as the reader's thread last said while the disk refused. */
const SETTLED_TO = 37;
/** Of those written late, the ones below it are safe only as far as SYNCED says so. */
const LATE_SEEN = 38;
/** There is no room on disk for this message, which comes next, although nothing waits there. */
const NO_ROOM_FOR = 39;
const SIZE = 320;

const STATES: readonly QueueState[] = ["disk", "degraded", "memory"];

/** `head`: see LogPosition. `reserved`: numbers below it may be given. `limit`: bytes that may be written in all. */
export interface LogControlStart {
  head: LogPosition;
  reserved: number;
  limit: number;
}

export function createLogControl({ head, reserved, limit }: LogControlStart): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(SIZE);
  const control = new LogControl(memory);
  control.publish(head.number, head.segment, head.offset);
  control.reserved = reserved;
  control.limit = limit;
  control.synced = head.number - 1;
  return memory;
}

export class LogControl {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  #turn: number;
  readonly #head: LogPosition = { number: 0, segment: 0, offset: 0 };

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.#turn = Atomics.load(this.#words, TURN);
  }

  // By the writer.

  /** `number` is to be written next; blocks end at `offset` of the segment. */
  publish(number: number, segment: number, offset: number): void {
    this.#turn = (this.#turn + 1) | 0;
    const at = COPIES + (this.#turn & 1) * COPY;
    this.#doubles[at] = number;
    this.#doubles[at + 1] = segment;
    this.#doubles[at + 2] = offset;
    Atomics.store(this.#words, TURN, this.#turn);
  }

  set bytes(bytes: number) {
    this.#doubles[BYTES] = bytes;
  }

  set state(state: QueueState) {
    Atomics.store(this.#words, STATE, STATES.indexOf(state));
  }

  /** The writer waits for `limit` or `reserved` to grow. False when it did so already. */
  want(): boolean {
    return Atomics.exchange(this.#words, WANTED, 1) === 0;
  }

  notWanted(): void {
    Atomics.store(this.#words, WANTED, 0);
  }

  /** True when the reader's thread has to be told, because it was not already. */
  wantSync(): boolean {
    return Atomics.exchange(this.#words, SYNC_WANTED, 1) === 0;
  }

  /** Something was appended. True when the reader's thread wants to be told of that. */
  wakesSync(): boolean {
    return Atomics.load(this.#words, SYNC_IDLE) !== 0 && Atomics.exchange(this.#words, SYNC_IDLE, 0) !== 0;
  }

  get rotate(): number {
    return Atomics.load(this.#words, ROTATE);
  }

  // By the reader.

  /** How far the writer is. The object is reused. */
  head(): LogPosition {
    const head = this.#head;
    for (;;) {
      const turn = Atomics.load(this.#words, TURN);
      const at = COPIES + (turn & 1) * COPY;
      head.number = this.#doubles[at] as number;
      head.segment = this.#doubles[at + 1] as number;
      head.offset = this.#doubles[at + 2] as number;
      if (Atomics.load(this.#words, TURN) === turn) return head;
    }
  }

  set rotate(ordinal: number) {
    Atomics.store(this.#words, ROTATE, ordinal);
  }

  set limit(bytes: number) {
    this.#doubles[LIMIT] = bytes;
  }

  set reserved(number: number) {
    this.#doubles[RESERVED] = number;
  }

  set synced(number: number) {
    this.#doubles[SYNCED] = number;
  }

  /**
   * Messages [from, to) cannot be made safe. To be set before `synced` passes them. With those of an earlier failure, all between
   * count as failed: better than that one counts as safe which is not.
   */
  failSync(from: number, to: number): void {
    const { failedFrom, failedTo } = this;
    this.#doubles[FAILED_FROM] = failedTo === 0 ? from : Math.min(from, failedFrom);
    this.#doubles[FAILED_TO] = Math.max(to, failedTo);
  }

  set settledTo(number: number) {
    this.#doubles[SETTLED_TO] = number;
  }

  set noRoomFor(number: number) {
    this.#doubles[NO_ROOM_FOR] = number;
  }

  /** To be set after `synced` was lowered for them. */
  set lateSeen(number: number) {
    this.#doubles[LATE_SEEN] = number;
  }

  /**
   * True when the writer waits; it counts as woken then. To be called after `limit` or `reserved` was set. Not a mere load at
   * first: that could come before the other is seen by the writer, which would then wait for a limit that is there.
   */
  takeWanted(): boolean {
    return Atomics.exchange(this.#words, WANTED, 0) !== 0;
  }

  /** The writer waits for bytes or numbers. */
  get wanted(): boolean {
    return Atomics.load(this.#words, WANTED) !== 0;
  }

  takeSyncWanted(): boolean {
    return Atomics.exchange(this.#words, SYNC_WANTED, 0) !== 0;
  }

  /** The next append is to be told. False when there was one meanwhile: `next` is the number that was not written yet. */
  sleepSync(next: number): boolean {
    Atomics.store(this.#words, SYNC_IDLE, 1);
    if (this.head().number === next) return true;
    Atomics.store(this.#words, SYNC_IDLE, 0);
    return false;
  }

  // By both.

  /** To be set by the reader, and only when none is offered. */
  set spare(ordinal: number) {
    Atomics.store(this.#words, SPARE, ordinal);
  }

  get spare(): number {
    return Atomics.load(this.#words, SPARE);
  }

  /** Takes the one that is offered; 0 for none. */
  takeSpare(): number {
    return Atomics.load(this.#words, SPARE) === 0 ? 0 : Atomics.exchange(this.#words, SPARE, 0);
  }

  /** Written since the start, in all segments. */
  get bytes(): number {
    return this.#doubles[BYTES] as number;
  }

  get state(): QueueState {
    return STATES[Atomics.load(this.#words, STATE)] as QueueState;
  }

  get limit(): number {
    return this.#doubles[LIMIT] as number;
  }

  get reserved(): number {
    return this.#doubles[RESERVED] as number;
  }

  get synced(): number {
    return this.#doubles[SYNCED] as number;
  }

  get settledTo(): number {
    return this.#doubles[SETTLED_TO] as number;
  }

  get noRoomFor(): number {
    return this.#doubles[NO_ROOM_FOR] as number;
  }

  get lateSeen(): number {
    return this.#doubles[LATE_SEEN] as number;
  }

  /** Some of the messages [failedFrom, failedTo) could not be made safe; both are 0 when all could. */
  get failedFrom(): number {
    return this.#doubles[FAILED_FROM] as number;
  }

  get failedTo(): number {
    return this.#doubles[FAILED_TO] as number;
  }
}
