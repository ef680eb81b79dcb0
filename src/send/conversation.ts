// What is said to the daemon, and what it answers: a pure core that knows no sockets and no clock.
import {
  encodeResume,
  encodeSync,
  ReceiptStatus,
  type Reply,
  type ResumeReply,
  SyncLevel,
  type SyncReply,
} from "../wire/receipts.ts";
import type { Fate } from "./ending.ts";
import type { Outbox } from "./outbox.ts";
import { ReplyReader } from "./replies.ts";
import { Session } from "./session.ts";

export interface ConversationOptions {
  outbox: Outbox;
  /** How far the lines must come; 0: no receipts are asked for. */
  level: SyncLevel | 0;
  /** The user asked for the level: no line is given to a daemon that cannot. Else less will do where there is no more. */
  strict: boolean;
  /** A new name of a session, at random. */
  name: () => Buffer;
  events: ConversationEvents;
}

export interface ConversationEvents {
  /** Nobody can say what became of `count` lines that were sent: the connection is gone, or the daemon forgot them. */
  lost(count: number): void;
  /** The daemon gives no receipts such as were asked for. Lines were sent already, or it was not a must: it goes on. */
  unable(why: Inability): void;
}

/** Why a level cannot be had: the daemon knows no receipts, or says no. */
export type Inability = "mute" | "refused";

/**
 * Of the connection. "asking": for a session, without an answer so far; "session": the daemon keeps one; "plain": it does
 * not, or was not asked to.
 */
type Standing = "closed" | "asking" | "session" | "plain";

/** A receipt is asked for after so many bytes (when a chunk ends), or when all is sent and this long (ms) passed. */
const RECEIPT_BYTES = 512 * 1024;
const RECEIPT_AFTER = 50;
/** Receipts on their way. Those that cost a write to disk, or a wait for Kafka, are asked for one by one. */
const MOST_RECEIPTS = 32;
/** How long (ms) a daemon has for its first answer once it read the question: it knows none, being older. */
const ANSWER_WITHIN = 10_000;
/** When it took a whole window full, or everything there was. */
const ANSWER_WITHIN_FULL = 1000;
const ANSWER_WITHIN_LAST = 250;
/** A daemon that took more than the kernel keeps for it has read the question. */
const KERNEL_KEEPS = 4 * 1024 * 1024;

/** Lines are the frames of the outbox, and counted as it does. */
export class Conversation {
  /** What to give the kernel: bytes[start, stop), when `next` says so. */
  bytes: Buffer;
  start = 0;
  stop = 0;
  /** Lines of which nobody can say what became of them. */
  uncertain = 0;
  /** Lines that a daemon took, but that are not known to have reached the level. */
  short = 0;
  /** Lines that receipts said were discarded; `someDiscarded` although no receipt had a number. */
  discarded = 0;
  someDiscarded = false;
  /** The level cannot be had, and nothing was sent. */
  refusal: Inability | undefined;

  readonly #options: ConversationOptions;
  readonly #outbox: Outbox;
  /** Long-lived memory that the C library may see, for what is not a message. */
  readonly #question = Buffer.from(new ArrayBuffer(64 * 1024));
  #questionStart = 0;
  #questionEnd = 0;
  #standing: Standing = "closed";
  #session: Session;
  #replies = new ReplyReader();
  /** A daemon that ended in good order took every line before this one. */
  #sure = 0;
  /** Lines before this one reached the level, or are counted in `uncertain` or `short`. */
  #settled = 0;

  // Of the present connection:
  #sentBefore = 0;
  #baseBefore = 0;
  /** It answers Syncs. */
  #answers = false;
  #readAt = Number.POSITIVE_INFINITY;
  #tookAt = 0;
  #taken = 0;
  #tookLines = false;
  /** Bytes and since when, of what no receipt was asked for; and before which line it was. */
  #unasked = 0;
  #unaskedSince = 0;
  #askedTo = 0;
  #askedLast = -1;
  #outstanding = 0;
  #discardedHere = 0;

  /** Nothing more comes; "now": what was sent need not get further than it is safe. */
  #ending: "not yet" | "soon" | "now" = "not yet";

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#outbox = options.outbox;
    this.bytes = this.#question;
    this.#session = new Session(options.name(), 0);
  }

  /** A connection stands. */
  opened(now: number): void {
    const { level } = this.#options;
    this.#sentBefore = this.#askedTo = this.#outbox.sent();
    this.#replies = new ReplyReader();
    this.#answers = this.#tookLines = false;
    this.#baseBefore = this.#outbox.base;
    this.#tookAt = now;
    this.#readAt = Number.POSITIVE_INFINITY;
    this.#questionStart = this.#questionEnd = 0;
    this.#taken = this.#unasked = this.#outstanding = this.#discardedHere = 0;
    this.#askedLast = -1;
    this.#outbox.keeping = level !== 0;
    this.#standing = level === 0 ? "plain" : "asking";
    if (level !== 0) this.#ask(encodeResume(this.#session.id));
  }

  /** What to give the kernel next; false: nothing now. */
  next(now: number): boolean {
    if (this.#questionStart === this.#questionEnd) {
      if ((this.#standing === "asking" && !this.#speaks) || this.refusal !== undefined) return false;
      this.#askForReceipts(now);
    }
    if (this.#questionStart < this.#questionEnd) {
      this.bytes = this.#question;
      this.start = this.#questionStart;
      this.stop = this.#questionEnd;
      return true;
    }
    if (this.#outbox.empty) return false;
    this.bytes = this.#outbox.sending;
    this.start = this.#outbox.start;
    this.stop = this.#outbox.stop;
    return true;
  }

  /** Notes that the kernel took `count` bytes of what `next` gave. */
  took(count: number, now: number): void {
    this.#taken += count;
    if (this.#questionStart < this.#questionEnd) {
      this.#questionStart += count;
      return;
    }
    if (this.#unasked === 0) this.#unaskedSince = now;
    this.#unasked += count;
    this.#tookAt = now;
    this.#tookLines = true;
    this.#outbox.took(count);
  }

  /** Takes what the daemon wrote. */
  hear(bytes: Buffer, start: number, end: number): void {
    this.#replies.push(bytes, start, end, (reply) => this.#understand(reply));
  }

  /** It is being asked and has not answered: whether it `hasRead` all we sent, and whether it makes the reading wait. */
  watch(now: number, hasRead: () => boolean, full: boolean): void {
    if (this.#standing !== "asking") return;
    if (this.#readAt > now && (this.#taken > KERNEL_KEEPS || hasRead())) this.#readAt = now;
    const fullSince = full && this.#outbox.empty ? this.#tookAt : Number.POSITIVE_INFINITY;
    if (now - this.#readAt < ANSWER_WITHIN && now - fullSince < ANSWER_WITHIN_FULL) return;
    this.#goOnWithout("mute");
  }

  /** How long (ms) until something is to be done that nobody outside asks for. */
  due(now: number): number {
    if (this.#standing === "asking") return this.#partsAt - now;
    const asks = this.#level !== 0 && this.#outstanding < this.#mostReceipts;
    if (!asks || !this.#outbox.empty || this.#outbox.written <= this.#askedTo) return Number.POSITIVE_INFINITY;
    return this.#unaskedSince + RECEIPT_AFTER - now;
  }

  /** Nothing more will be written. `hurry`: it was told to stop. */
  finish(hurry: boolean): void {
    this.#ending = hurry ? "now" : "soon";
  }

  /** Everything written is where it should be, or counted as what it is. */
  get settled(): boolean {
    const { empty, written, base } = this.#outbox;
    const kept = this.#options.strict || this.#sure < written ? base : written;
    return empty && kept === written && (this.#hasEnough || this.#settled >= written);
  }

  /** After `finish`: the way to learn more is to say goodbye. */
  parts(now: number): boolean {
    if (this.#standing === "asking") return this.#outbox.empty && now >= this.#partsAt;
    return this.#standing === "plain" && this.settled;
  }

  /** The connection is over, and so it ended. */
  closed(fate: Fate): void {
    const standing = this.#standing;
    this.#standing = "closed";
    this.#outbox.rewind();
    const sent = this.#outbox.sent();
    const sentHere = sent - this.#sentBefore;
    this.#discardedHere = 0;
    // A daemon that was asked, and waited for, had nothing of what came before it.
    const waited = standing === "asking" && this.#outbox.base < this.#sentBefore;
    if (fate === "taken" && !waited) this.#sure = sent;
    if (standing === "plain") {
      this.#writeOff(sent, fate === "taken");
      this.#begin();
    } else if (standing === "asking" && fate === "taken" && sentHere > 0) {
      // It may know no sessions, and none is needed: all of it was taken.
      this.#writeOff(sent, true);
      this.#begin();
    }
  }

  /** On this connection, or the last: whether lines were given to the daemon, and whether it said that it has some. */
  get gave(): boolean {
    return this.#tookLines;
  }
  get gained(): boolean {
    return this.#outbox.base > this.#baseBefore && this.#outbox.keeping;
  }

  /** Lines of which nobody could say what became of them, if it ended now. */
  get unknown(): number {
    if (!this.#outbox.keeping) return this.uncertain;
    return this.uncertain + Math.max(0, this.#outbox.sent() - Math.max(this.#outbox.base, this.#sure));
  }

  /** Lines may be sent before the daemon has answered: its position is known, and less than a session will do. */
  get #speaks(): boolean {
    return !this.#options.strict && this.#outbox.base >= this.#sentBefore;
  }

  /** The level of the receipts that let go of lines; 0: none are to be had. */
  get #level(): SyncLevel | 0 {
    const { level } = this.#options;
    if (this.#standing === "session") return level === SyncLevel.Synced ? level : SyncLevel.Spooled;
    return this.#standing === "plain" && this.#answers && level === SyncLevel.Delivered ? level : 0;
  }

  get #mostReceipts(): number {
    return this.#level === SyncLevel.Spooled ? MOST_RECEIPTS : 1;
  }

  /** A line that is let go of has come as far as it must. */
  get #hasEnough(): boolean {
    return this.#options.level !== SyncLevel.Delivered || this.#ending === "now";
  }

  get #partsAt(): number {
    const waits = this.#speaks && this.#ending !== "not yet" && this.#outbox.empty;
    return waits ? this.#tookAt + ANSWER_WITHIN_LAST : Number.POSITIVE_INFINITY;
  }

  #ask(frame: Buffer): void {
    this.#question.set(frame);
    this.#questionStart = 0;
    this.#questionEnd = frame.length;
  }

  #askForReceipts(now: number): void {
    const level = this.#level;
    const edge = level === 0 ? -1 : this.#outbox.edge;
    if (edge < 0) return;
    const last = this.#ending !== "not yet" && this.#outbox.empty;
    if (edge > this.#askedTo) {
      const isTime = last || (this.#outbox.empty && now - this.#unaskedSince >= RECEIPT_AFTER);
      if ((!isTime && this.#unasked < RECEIPT_BYTES) || this.#outstanding >= this.#mostReceipts) return;
      this.#askedTo = edge;
      this.#unasked = 0;
      this.#outstanding++;
      this.#ask(encodeSync(level, edge));
    } else if (last && level === SyncLevel.Spooled && !this.#hasEnough && this.#askedLast !== edge) {
      this.#askedLast = edge;
      this.#ask(encodeSync(SyncLevel.Delivered, edge));
    }
  }

  #understand(reply: Reply): void {
    if (reply.kind === "sync") this.#receipt(reply);
    else this.#resumed(reply);
  }

  #resumed(reply: ResumeReply): void {
    if (this.#standing !== "asking" || !reply.session.equals(this.#session.id)) return;
    this.#answers = true;
    if (reply.status !== ReceiptStatus.Reached) {
      this.#goOnWithout("refused");
      return;
    }
    const speaks = this.#speaks;
    this.#standing = "session";
    const { next, lost } = this.#session.resume(reply.position, this.#outbox.base, this.#sentBefore, this.#sure);
    // The position does not say what is synced: what is kept for that is kept on.
    const { level } = this.#options;
    if (level !== SyncLevel.Synced || lost > 0) this.#outbox.release(next);
    if (level === SyncLevel.Spooled || lost > 0) this.#settled = Math.max(this.#settled, next);
    this.#askedTo = this.#outbox.base;
    if (!speaks) this.#outbox.rewind(next);
    this.#lose(lost);
  }

  #receipt({ level, token, status, discarded }: SyncReply): void {
    const to = Number(token);
    if (to > this.#askedTo) return;
    this.discarded += Math.max(0, discarded - this.#discardedHere);
    this.#discardedHere = Math.max(discarded, this.#discardedHere);
    if (status === ReceiptStatus.SomeDiscarded) this.someDiscarded = true;
    if (level === this.#level) this.#outstanding--;
    // It stops: it is asked again when it is back, or the next one is.
    if (status === ReceiptStatus.Stopping) return;
    const reached = status !== ReceiptStatus.Unavailable;
    if (level === this.#options.level && to > this.#settled) {
      if (!reached && this.#options.strict) this.short += to - this.#settled;
      this.#settled = to;
    }
    if (this.#standing !== "session" || level !== this.#level) return;
    if (reached) this.#session.vouch(to);
    this.#outbox.release(to);
  }

  /** The daemon keeps no session. */
  #goOnWithout(why: Inability): void {
    const { strict, level, events } = this.#options;
    this.#standing = "plain";
    const enough = !strict || (level === SyncLevel.Delivered && this.#answers);
    if (!enough && this.#outbox.sent() === 0) {
      this.refusal = why;
      return;
    }
    this.#writeOff(Math.min(this.#sentBefore, Math.max(this.#outbox.base, this.#sure)), true);
    this.#writeOff(this.#sentBefore, false);
    this.#outbox.keeping = false;
    this.#outbox.release(this.#outbox.sent());
    if (!enough || why === "mute") events.unable(why);
  }

  /** Of the lines before `to`, those that have not come as far as they must will never be known to have. */
  #writeOff(to: number, taken: boolean): void {
    const count = to - Math.min(to, this.#settled);
    if (!taken) this.#lose(count);
    else if (this.#options.strict) this.short += count;
    this.#settled = Math.max(this.#settled, to);
  }

  #lose(count: number): void {
    if (count <= 0) return;
    this.uncertain += count;
    this.#options.events.lost(count);
  }

  /** The next connection is of a new session: no line of this one may be needed again. */
  #begin(): void {
    const sent = this.#outbox.sent();
    this.#outbox.release(sent);
    this.#session = new Session(this.#options.name(), sent);
  }
}
