// Memory by which the input thread asks after the messages of its connections, and the main thread answers.
//
// What holds:
// - Requests are a ring of records that the input thread alone writes and the main thread alone takes. A request is
//   written before any later block of that connection is appended, so whoever has seen the block can see the request.
// - There is always room for the end of every open connection: other requests leave that much.
// - Each connection has a slot for answers, which the main thread alone writes, and which is the connection's from the
//   moment its OWNER is that connection: one that had the slot before may still be written to until then. ANSWERED is
//   stored last, so what is read after it is at least as new.

export const RequestKind = {
  /** A connection: `number` is the last message's number, `slot` where its answers go. */
  Opened: 1,
  /** The connection goes on with a session: `number` is the last message's number. */
  Resumed: 2,
  /** It wants to know when its messages up to `number` are settled. */
  Asked: 3,
  /** It is gone, and asks no more. */
  Closed: 4,
} as const;
export type RequestKind = (typeof RequestKind)[keyof typeof RequestKind];

// Indexes of the 32-bit words.
const WRITTEN = 0;
const WANTED = 1;
const CONNECTIONS = 2;
const TAKEN = 16;
const IDLE = 17;
const CHANGED = 18;
const CONTROL_BYTES = 128;

// A slot: OWNER and ANSWERED as words, then three doubles.
const SLOT_BYTES = 64;
const ANSWERED = 1;
const CLEAN = 1;
const DELIVERED = 2;
const DISCARDED = 3;
const SETTLED = 4;

// A record: kind, id, slot and a spare as words, a double, and 16 bytes of a session.
const RECORD_BYTES = 40;

/** `connections`: how many may be open at once. */
export function createReceiptMemory(connections: number): SharedArrayBuffer {
  const records = recordsFor(connections);
  const memory = new SharedArrayBuffer(CONTROL_BYTES + connections * SLOT_BYTES + records * RECORD_BYTES);
  const words = new Int32Array(memory);
  words[CONNECTIONS] = connections;
  words[IDLE] = 1;
  return memory;
}

/** A power of two, so that positions may wrap around. */
function recordsFor(connections: number): number {
  return 2 ** Math.ceil(Math.log2(connections * 4));
}

class Shared {
  protected readonly words: Int32Array;
  protected readonly doubles: Float64Array;
  protected readonly bytes: Buffer;
  protected readonly records: number;
  readonly connections: number;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    this.doubles = new Float64Array(memory);
    this.bytes = Buffer.from(memory as unknown as ArrayBuffer);
    this.connections = this.words[CONNECTIONS] as number;
    this.records = recordsFor(this.connections);
  }

  protected slotAt(slot: number): number {
    return CONTROL_BYTES + slot * SLOT_BYTES;
  }

  protected recordAt(position: number): number {
    return CONTROL_BYTES + this.connections * SLOT_BYTES + (position & (this.records - 1)) * RECORD_BYTES;
  }
}

/** The input thread's side. Allocates nothing. */
export class ReceiptAsker extends Shared {
  readonly #wake: () => void;

  /** `wake` is called when the other thread must be told that something was asked. */
  constructor(memory: SharedArrayBuffer, wake: () => void) {
    super(memory);
    this.#wake = wake;
  }

  /** How many records may be written beside the ends of connections. When there is no room, this thread is woken when there is. */
  get room(): number {
    const room = this.#free - this.connections;
    if (room > 0) return room;
    Atomics.store(this.words, WANTED, 1);
    this.#rouse();
    return Math.max(0, this.#free - this.connections);
  }

  /** `lastNumber`: of the last message appended by anyone. Like the other two, to be called only when there is room. */
  opened(id: number, slot: number, lastNumber: number): void {
    this.#write(RequestKind.Opened, id, slot, lastNumber);
  }

  /** `session`: 16 bytes. */
  resumed(id: number, lastNumber: number, session: Buffer): void {
    session.copy(this.bytes, this.recordAt(this.words[WRITTEN] as number) + 24);
    this.#write(RequestKind.Resumed, id, 0, lastNumber);
  }

  asked(id: number, upTo: number): void {
    this.#write(RequestKind.Asked, id, 0, upTo);
    this.#rouse();
  }

  /** There is always room for it. */
  closed(id: number): void {
    this.#write(RequestKind.Closed, id, 0, 0);
  }

  /** Whether there are new answers since it was asked the last time. */
  takeChanged(): boolean {
    return Atomics.load(this.words, CHANGED) !== 0 && Atomics.exchange(this.words, CHANGED, 0) !== 0;
  }

  /** How many of a connection's questions are answered. To be asked before the other four, which are then as new. */
  answered(slot: number, id: number): number {
    const word = this.slotAt(slot) / 4;
    return Atomics.load(this.words, word) === (id | 0) ? Atomics.load(this.words, word + ANSWERED) : 0;
  }

  /** How many of them, the first ones, found no message discarded. */
  clean(slot: number): number {
    return this.doubles[this.slotAt(slot) / 8 + CLEAN] as number;
  }

  /** Messages of the connection. */
  delivered(slot: number, id: number): number {
    return this.#count(slot, id, DELIVERED);
  }

  /** Messages of the connection that were discarded after they had been appended. */
  discarded(slot: number, id: number): number {
    return this.#count(slot, id, DISCARDED);
  }

  /** Messages of the connection, and of its session, up to this number are settled. */
  settledTo(slot: number, id: number): number {
    return this.#count(slot, id, SETTLED);
  }

  #count(slot: number, id: number, index: number): number {
    const at = this.slotAt(slot);
    return Atomics.load(this.words, at / 4) === (id | 0) ? (this.doubles[at / 8 + index] as number) : 0;
  }

  get #free(): number {
    return this.records - (((this.words[WRITTEN] as number) - Atomics.load(this.words, TAKEN)) >>> 0);
  }

  #write(kind: RequestKind, id: number, slot: number, number: number): void {
    const position = this.words[WRITTEN] as number;
    const at = this.recordAt(position);
    this.words[at / 4] = kind;
    this.words[at / 4 + 1] = id;
    this.words[at / 4 + 2] = slot;
    this.doubles[at / 8 + 2] = number;
    Atomics.store(this.words, WRITTEN, (position + 1) | 0);
    // Connections that come and go are told of in good time, at no hurry.
    if (this.#free < this.records / 2) this.#rouse();
  }

  #rouse(): void {
    if (Atomics.load(this.words, IDLE) !== 0 && Atomics.exchange(this.words, IDLE, 0) !== 0) this.#wake();
  }
}

/** The main thread's side. */
export class ReceiptAnswerer extends Shared {
  kind: RequestKind = RequestKind.Closed;
  id = 0;
  slot = 0;
  number = 0;
  /** 16 bytes, of Resumed only, until the next `take`. */
  session: Buffer = this.bytes.subarray(0, 0);
  #wake: () => void = () => {};

  /** `wake`: to be called when the input thread must be told that there is an answer, or room. */
  onAnswer(wake: () => void): void {
    this.#wake = wake;
  }

  /** Fills the fields with the next request. False when there is none. */
  take(): boolean {
    const position = this.words[TAKEN] as number;
    if (Atomics.load(this.words, WRITTEN) === position) return false;
    const at = this.recordAt(position);
    this.kind = this.words[at / 4] as RequestKind;
    this.id = (this.words[at / 4 + 1] as number) >>> 0;
    this.slot = this.words[at / 4 + 2] as number;
    this.number = this.doubles[at / 8 + 2] as number;
    if (this.kind === RequestKind.Resumed) this.session = Buffer.from(this.bytes.subarray(at + 24, at + 40));
    Atomics.store(this.words, TAKEN, (position + 1) | 0);
    if (Atomics.load(this.words, WANTED) !== 0 && Atomics.exchange(this.words, WANTED, 0) !== 0) this.#wake();
    return true;
  }

  /** Asks to be woken at the next request. False when there is one already. */
  sleep(): boolean {
    Atomics.store(this.words, IDLE, 1);
    return Atomics.load(this.words, WRITTEN) === (this.words[TAKEN] as number);
  }

  /** The slot belongs to the connection from now on. */
  own(slot: number, id: number, settledTo: number): void {
    const at = this.slotAt(slot);
    for (const index of [CLEAN, DELIVERED, DISCARDED]) this.doubles[at / 8 + index] = 0;
    this.doubles[at / 8 + SETTLED] = settledTo;
    Atomics.store(this.words, at / 4 + ANSWERED, 0);
    Atomics.store(this.words, at / 4, id | 0);
  }

  count(slot: number, delivered: number, discarded: number, settledTo: number): void {
    const at = this.slotAt(slot) / 8;
    this.doubles[at + DELIVERED] = delivered;
    this.doubles[at + DISCARDED] = discarded;
    this.doubles[at + SETTLED] = settledTo;
  }

  /** The first `answered` questions are answered, the first `clean` without a message discarded. */
  answer(slot: number, answered: number, clean: number): void {
    const at = this.slotAt(slot);
    this.doubles[at / 8 + CLEAN] = clean;
    Atomics.store(this.words, at / 4 + ANSWERED, answered);
    if (Atomics.exchange(this.words, CHANGED, 1) === 0) this.#wake();
  }
}
