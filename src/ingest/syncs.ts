// What one connection has asked and not been told: its Syncs, by level, and when and how they are answered.
import type { QueueWriter } from "../spool/queue.ts";
import type { ReceiptAsker } from "../spool/receiptMemory.ts";
import { readInt32 } from "../wire/frame.ts";
import {
  LEVEL_AT,
  ReceiptStatus,
  SYNC_REPLY_SIZE,
  SyncLevel,
  TOKEN_AT,
  writeCounts,
  writeSyncReply,
} from "../wire/receipts.ts";
import { EAGAIN, EINTR, ENOBUFS, ENOMEM, MSG_DONTWAIT, MSG_NOSIGNAL } from "./libc.ts";
import type { Shell } from "./shell.ts";
import { SyncQueue } from "./syncQueue.ts";

/** The most that one connection may have outstanding; with more, it is not read until some are answered. */
const MOST_SYNCS = 256;
/** Bytes for replies on their way to the system, which all connections share. */
export const REPLY_BYTES = MOST_SYNCS * SYNC_REPLY_SIZE;

/** What the Syncs of all connections have in common. */
export interface SyncSurroundings {
  shell: Shell;
  /** Where REPLY_BYTES are set aside. */
  out: number;
  queue: QueueWriter;
  /** Missing: nobody tells what was delivered. */
  asker: ReceiptAsker | undefined;
  /** Kafka acknowledges what it takes. */
  acknowledged: boolean;
  /** A message counts as spooled only when it is synced. */
  syncAlways: boolean;
  /** "stopping": the connections are read to their ends. "flushed": nothing more will be delivered. */
  phase: "running" | "stopping" | "flushed";
}

/** What there is to know of the connection. */
export interface Asking {
  readonly fd: number;
  readonly id: number;
  /** Where its answers are. */
  readonly slot: number;
  readonly received: number;
  /** Messages turned away at the input. */
  readonly rejected: number;
  /** Some of what came before was turned away, on it or on an earlier connection of its session. */
  readonly soiled: boolean;
  /** The number that the last message before has; 0 when there is none. */
  readonly lastNumber: number;
  /** The first of its messages that is not known to be synced; 0 when there is none. */
  unsyncedFrom: number;
  /** Some of its messages up to this number are in memory alone; 0 when there are none. */
  unspooledTo: number;
}

/** Not yet. */
const PENDING = -1;

/** Allocates nothing for a Sync, but for the memory in which up to MOST_SYNCS of them wait. */
export class Syncs {
  readonly #around: SyncSurroundings;
  readonly #of: Asking;
  readonly #spooled = new SyncQueue();
  readonly #synced = new SyncQueue();
  readonly #delivered = new SyncQueue();
  /** Questions after what was delivered, ever. */
  #asked = 0;
  /** The end of a reply of which the system took only a part. */
  #owed: Buffer | undefined;
  /** The system takes no more replies until the client has read some. */
  blocked = false;
  /** The client is gone: nothing is asked or answered any more. */
  #dead = false;

  constructor(around: SyncSurroundings, of: Asking) {
    this.#around = around;
    this.#of = of;
  }

  /** Nothing is to be answered. */
  get idle(): boolean {
    return this.#count === 0 && this.#owed === undefined;
  }

  /** Whether `ask` may be called. */
  get mayAsk(): boolean {
    return this.#count < MOST_SYNCS || this.#around.phase !== "running";
  }

  /** The Sync at bytes[at]. It is answered by `flush`, sooner or later. */
  ask(bytes: Buffer, at: number): void {
    // On a stop nobody waits for a client that does not read.
    if (this.#dead || this.#count >= MOST_SYNCS) return;
    const { queue, asker, syncAlways } = this.#around;
    const { lastNumber, soiled, id } = this.#of;
    const level = bytes.readInt8(at + LEVEL_AT);
    const high = readInt32(bytes, at + TOKEN_AT);
    const low = readInt32(bytes, at + TOKEN_AT + 4);
    if (level === SyncLevel.Delivered) {
      if (asker !== undefined && this.#around.acknowledged) asker.asked(id, lastNumber);
      this.#delivered.push(++this.#asked, high, low, level, soiled);
      return;
    }
    // A level that does not exist can be refused at once, and waits with the first.
    (level === SyncLevel.Synced ? this.#synced : this.#spooled).push(lastNumber, high, low, level, soiled);
    const sync = level === SyncLevel.Synced || (level === SyncLevel.Spooled && syncAlways);
    if (sync && queue.state === "disk" && queue.synced < lastNumber) queue.syncSoon();
  }

  /** Tells the client that which is encoded in `reply`, before anything else. To be called first of all. */
  tell(reply: Buffer): void {
    this.#owed = reply;
    this.flush();
  }

  /** Answers what can be answered now, as far as the system takes it. */
  flush(): void {
    const { shell, out } = this.#around;
    this.blocked = false;
    while (!this.#dead && !this.blocked) {
      if (this.#owed !== undefined) {
        this.#owed.copy(shell.memory.bytes, out);
        const { length } = this.#owed;
        const sent = this.#send(length);
        if (sent === length) this.#owed = undefined;
        else this.#owed = this.#owed?.subarray(sent);
        continue;
      }
      const spooled = this.#write(this.#spooled, 0);
      const synced = this.#write(this.#synced, spooled);
      const delivered = this.#write(this.#delivered, spooled + synced);
      const count = spooled + synced + delivered;
      if (count === 0) return;
      this.#total(count);
      const sent = this.#send(count * SYNC_REPLY_SIZE);
      // What was sent in part is answered too, and its end is owed.
      const answered = Math.ceil(sent / SYNC_REPLY_SIZE);
      this.#spooled.drop(Math.min(answered, spooled));
      this.#synced.drop(Math.min(Math.max(0, answered - spooled), synced));
      this.#delivered.drop(Math.max(0, answered - spooled - synced));
      const whole = answered * SYNC_REPLY_SIZE;
      if (sent < whole) this.#owed = Buffer.from(shell.memory.bytes.subarray(out + sent, out + whole));
    }
  }

  /** The client is gone. */
  die(): void {
    this.#dead = true;
    this.blocked = false;
    this.#owed = undefined;
    for (const queue of [this.#spooled, this.#synced, this.#delivered]) queue.drop(queue.count);
  }

  get #count(): number {
    return this.#spooled.count + this.#synced.count + this.#delivered.count;
  }

  /** Writes the replies that are due of one level behind `before` others; returns how many. */
  #write(queue: SyncQueue, before: number): number {
    const { shell, out } = this.#around;
    for (let index = 0; index < queue.count; index++) {
      const status = this.#status(queue, index);
      if (status === PENDING) return index;
      const at = out + (before + index) * SYNC_REPLY_SIZE;
      const high = queue.tokenHigh(index);
      writeSyncReply(shell.memory.bytes, at, queue.level(index), high, queue.tokenLow(index), status);
    }
    return queue.count;
  }

  /** The counts come after the statuses, so that they are at least as new. */
  #total(count: number): void {
    const { shell, out, asker } = this.#around;
    const { received, rejected, slot, id } = this.#of;
    const delivered = asker?.delivered(slot, id) ?? 0;
    const discarded = rejected + (asker?.discarded(slot, id) ?? 0);
    for (let index = 0; index < count; index++) {
      writeCounts(shell.memory.bytes, out + index * SYNC_REPLY_SIZE, received, delivered, discarded);
    }
  }

  #status(queue: SyncQueue, index: number): number {
    switch (queue.level(index)) {
      case SyncLevel.Spooled:
        return this.#statusOfSpooled(queue.goal(index), queue.soiled(index));
      case SyncLevel.Synced:
        return this.#statusOfSynced(queue.goal(index), queue.soiled(index));
      case SyncLevel.Delivered:
        return this.#statusOfDelivered(queue.goal(index), queue.soiled(index));
      default:
        return ReceiptStatus.Unavailable;
    }
  }

  #statusOfSpooled(number: number, soiled: boolean): number {
    const { queue, syncAlways } = this.#around;
    if (syncAlways) return this.#statusOfSynced(number, soiled);
    if (queue.state !== "disk" || this.#unspooled) return ReceiptStatus.Unavailable;
    return reached(soiled);
  }

  #statusOfSynced(number: number, soiled: boolean): number {
    const { queue, phase } = this.#around;
    if (queue.state !== "disk" || this.#unspooled) return ReceiptStatus.Unavailable;
    const { unsyncedFrom } = this.#of;
    if (unsyncedFrom > 0 && unsyncedFrom <= number) {
      // In this order: what could not be made safe is known before it is passed over.
      const safe = queue.synced >= number;
      const refused = queue.refusedSync(unsyncedFrom, number);
      if (refused > 0 && this.#settledTo < refused) return ReceiptStatus.Unavailable;
      if (!safe) {
        if (phase === "flushed") return ReceiptStatus.Stopping;
        // Whatever it was that woke this thread: when this is safe, something will again.
        queue.syncSoon();
        return PENDING;
      }
      this.#of.unsyncedFrom = number < this.#of.lastNumber ? number + 1 : 0;
    }
    return reached(soiled);
  }

  #statusOfDelivered(question: number, soiled: boolean): number {
    const { asker, acknowledged, phase } = this.#around;
    if (asker === undefined || !acknowledged) return ReceiptStatus.Unavailable;
    const { slot, id } = this.#of;
    if (asker.answered(slot, id) < question) return phase === "flushed" ? ReceiptStatus.Stopping : PENDING;
    return reached(soiled || asker.clean(slot) < question);
  }

  /** Of its messages, all up to this number need nothing more, as far as is known. */
  get #settledTo(): number {
    const { slot, id } = this.#of;
    return this.#around.asker?.settledTo(slot, id) ?? 0;
  }

  /** While the disk takes messages: whether some are in memory alone that are not settled either, as far as is known. */
  get #unspooled(): boolean {
    const { queue } = this.#around;
    const { unsyncedFrom, lastNumber } = this.#of;
    // Those above it were written down since.
    this.#of.unspooledTo = Math.min(this.#of.unspooledTo, queue.aloneTo);
    if (this.#of.unspooledTo === 0) return false;
    const settledTo = this.#settledTo;
    if (settledTo < this.#of.unspooledTo) return true;
    this.#of.unspooledTo = 0;
    // Neither has what is settled to be made safe any more.
    if (unsyncedFrom > 0 && unsyncedFrom <= settledTo)
      this.#of.unsyncedFrom = settledTo < lastNumber ? settledTo + 1 : 0;
    return false;
  }

  /** Sends `length` bytes from `out`; returns how many were taken. */
  #send(length: number): number {
    const { shell, out } = this.#around;
    const { libc, memory } = shell;
    const sent = libc.send(this.#of.fd, memory.address(out), length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      this.blocked = sent < length;
      return sent;
    }
    const errno = libc.errno();
    if (errno === EINTR) return 0;
    if (errno === EAGAIN || errno === ENOBUFS || errno === ENOMEM) this.blocked = true;
    else this.die();
    return 0;
  }
}

function reached(soiled: boolean): number {
  return soiled ? ReceiptStatus.SomeDiscarded : ReceiptStatus.Reached;
}
