// What is said to the daemon, and what it answers: a pure core that knows no sockets and no clock.
import {
  encodeResume,
  ReceiptStatus,
  type Reply,
  type ResumeReply,
  SyncLevel,
  type SyncReply,
} from "../wire/receipts.ts";
import { Account } from "./account.ts";
import type { Fate } from "./ending.ts";
import type { Outbox } from "./outbox.ts";
import { type Asked, Receipts } from "./receipts.ts";
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

/** How long (ms) a daemon has for its first answer once it read the question: it knows none, being older. */
const ANSWER_WITHIN = 10_000;
/** When it took a whole window full, or everything there was. */
const ANSWER_WITHIN_FULL = 1000;
const ANSWER_WITHIN_LAST = 250;
/** One that died so long after it had read the question, without an answer, knew none: a session's is given at once. */
const ANSWER_BEFORE_DEATH = 1000;
/** A daemon that took more than the kernel keeps for it has read the question. */
const KERNEL_KEEPS = 4 * 1024 * 1024;

/** How many lines have not come as far as they must; `atLeast`: of those that went over earlier connections nobody knows now. */
export interface Out {
  lines: number;
  atLeast: boolean;
}

/** Lines are the frames of the outbox, and counted as it does. */
export class Conversation {
  /** What to give the kernel: bytes[start, stop), when `next` says so. */
  bytes: Buffer;
  start = 0;
  stop = 0;
  readonly account: Account;
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
  /** A daemon that ended in good order took every line before this one. */
  #sure = 0;
  /** Nothing more comes; "now": what was sent need not get further than it is safe. */
  #ending: "not yet" | "soon" | "now" = "not yet";

  // Of the present connection, or the last:
  #replies = new ReplyReader();
  #receipts: Receipts;
  #sentBefore = 0;
  #baseBefore = 0;
  /** It answers. */
  #answers = false;
  /** When it had read the question, when it last took lines, and how many bytes. */
  #readAt = Number.POSITIVE_INFINITY;
  #tookAt = 0;
  #taken = 0;
  #tookLines = false;
  /** What the last receipt said of the lines of this connection. */
  #counts: SyncReply | undefined;

  constructor(options: ConversationOptions) {
    const { outbox, strict, events, name } = options;
    this.#options = options;
    this.#outbox = outbox;
    this.bytes = this.#question;
    this.account = new Account(strict, (count) => events.lost(count));
    this.#session = new Session(name(), 0);
    this.#receipts = new Receipts(outbox, 0);
  }

  /** A connection stands. */
  opened(now: number): void {
    const { level } = this.#options;
    this.#sentBefore = this.#outbox.sent();
    this.#baseBefore = this.#outbox.base;
    this.#replies = new ReplyReader();
    this.#receipts = new Receipts(this.#outbox, this.#sentBefore);
    this.account.opened();
    this.#answers = this.#tookLines = false;
    this.#counts = undefined;
    this.#readAt = Number.POSITIVE_INFINITY;
    this.#tookAt = now;
    this.#taken = this.#questionStart = this.#questionEnd = 0;
    this.#outbox.keeping = level !== 0;
    this.#standing = level === 0 ? "plain" : "asking";
    if (level !== 0) this.#ask(encodeResume(this.#session.id));
  }

  /** What to give the kernel next; false: nothing now. */
  next(now: number): boolean {
    if (this.#questionStart === this.#questionEnd) {
      if ((this.#standing === "asking" && !this.#speaks) || this.refusal !== undefined) return false;
      const question = this.#receipts.question(this.#asked, this.#ending !== "not yet", now);
      if (question !== undefined) this.#ask(question);
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
    this.#tookAt = now;
    this.#tookLines = true;
    this.#receipts.sent(count, now);
    this.#outbox.took(count);
  }

  /** Takes what the daemon wrote. */
  hear(bytes: Buffer, start: number, end: number): void {
    this.#replies.push(bytes, start, end, (reply) => this.#understand(reply));
  }

  /**
   * While it is asked and has not answered. `hasRead`: whether it read all that was sent; `full`: it has to have read the
   * question if it took all there is, since nothing more is read before it answers.
   */
  watch(now: number, hasRead: () => boolean, full: boolean): void {
    if (this.#standing !== "asking") return;
    if (this.#readAt > now && (this.#taken > KERNEL_KEEPS || hasRead())) this.#readAt = now;
    const fullSince = full && this.#outbox.empty ? this.#tookAt : Number.POSITIVE_INFINITY;
    if (now - this.#readAt < ANSWER_WITHIN && now - fullSince < ANSWER_WITHIN_FULL) return;
    this.#goOnWithout("mute");
  }

  /** How long (ms) until something is to be done that nobody outside asks for. */
  due(now: number): number {
    return this.#standing === "asking" ? this.#partsAt - now : this.#receipts.due(this.#asked, now);
  }

  /** Nothing more will be written. `hurry`: it was told to stop. */
  finish(hurry: boolean): void {
    this.#ending = hurry ? "now" : "soon";
  }

  /** Everything written is where it should be, or counted as what it is. */
  get settled(): boolean {
    const { empty, written, base } = this.#outbox;
    const kept = this.#options.strict || this.#sure < written ? base : written;
    return empty && kept === written && (this.#isEnough || this.account.settled >= written);
  }

  /** After `finish`: the way to learn more is to say goodbye. */
  parts(now: number): boolean {
    if (this.#standing === "asking") return this.#outbox.empty && now >= this.#partsAt;
    return this.#standing === "plain" && this.settled;
  }

  /** The connection is over, and so it ended. `certain`: what `watch` was told that the daemon had read, it had. */
  closed(fate: Fate, now: number, certain: boolean): void {
    const standing = this.#standing;
    const isTaken = fate === "taken";
    const isMute = !isTaken && certain && now - this.#readAt >= ANSWER_BEFORE_DEATH;
    this.#standing = "closed";
    this.#outbox.rewind();
    const sent = this.#outbox.sent();
    // A daemon that was asked, and waited for, had nothing of what came before it.
    const waited = standing === "asking" && this.#outbox.base < this.#sentBefore;
    if (isTaken && !waited) this.#sure = sent;
    // A session that nobody has answered for is not needed when all of it was taken, and does not help when the daemon keeps
    // none: the next one, which may, would be given again what this one may have delivered.
    if (standing !== "plain" && (standing !== "asking" || !(isTaken || isMute) || sent === this.#sentBefore)) return;
    if (isTaken) this.account.settle(sent, false);
    else this.account.forget(sent);
    // The next connection is of a new session: no line of this one may be needed again.
    this.#outbox.release(sent);
    this.#session = new Session(this.#options.name(), sent);
  }

  /** On this connection, or the last: whether lines were given to the daemon, and whether it said that it has some. */
  get gave(): boolean {
    return this.#tookLines;
  }
  get gained(): boolean {
    return this.#outbox.keeping && this.#outbox.base > this.#baseBefore;
  }

  /** Lines of which nobody could say what became of them, if it ended now. */
  get unknown(): number {
    const { keeping, base } = this.#outbox;
    const open = keeping ? this.#outbox.sent() - Math.max(base, this.#sure) : 0;
    return this.account.uncertain + Math.max(0, open);
  }

  /** After `finish`, while all is sent: the lines that receipts are waited for. */
  get out(): Out | undefined {
    const { empty, written } = this.#outbox;
    if (this.#ending === "not yet" || !empty || this.#asked.level === 0) return undefined;
    let lines = written - (this.#isEnough ? this.#outbox.base : this.account.settled);
    const atLeast = !this.#isEnough && this.#counts !== undefined && this.#sentBefore > 0;
    if (!this.#isEnough && this.#counts !== undefined) {
      const { received, delivered, discarded } = this.#counts;
      // What has no receipt is not all there.
      lines = Math.min(lines, Math.max(1, received - delivered - discarded));
    }
    return lines > 0 ? { lines, atLeast } : undefined;
  }

  /** Lines may be sent before the daemon has answered: its position is known, and less than a session will do. */
  get #speaks(): boolean {
    return !this.#options.strict && this.#outbox.base >= this.#sentBefore;
  }

  /** What receipts are to be had, and are of use. */
  get #asked(): Asked {
    const { level } = this.#options;
    if (this.#standing === "plain") return this.#answers && level === SyncLevel.Delivered ? DELIVERED : NOTHING;
    if (this.#standing !== "session") return NOTHING;
    if (level === SyncLevel.Synced) return SYNCED;
    return this.#isEnough ? SPOOLED : SPOOLED_FIRST;
  }

  /** A line that is let go of has come as far as it must. */
  get #isEnough(): boolean {
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
    const { level } = this.#options;
    const { base } = this.#outbox;
    const { next, lost, forgot } = this.#session.resume(reply.position, base, this.#sentBefore, this.#sure);
    // No receipt of its will speak of them.
    if (forgot && level === SyncLevel.Delivered) this.account.settle(next - lost, false);
    // The position does not say what is synced: what is kept for that is kept on.
    if (level !== SyncLevel.Synced || lost > 0) this.#outbox.release(next);
    if (level === SyncLevel.Spooled || lost > 0) this.account.settle(next, true);
    this.#receipts.from(this.#outbox.base);
    if (!speaks) this.#outbox.rewind(next);
    this.account.lose(lost);
  }

  #receipt(reply: SyncReply): void {
    const to = Number(reply.token);
    const ofLevel = reply.level === this.#asked.level;
    if (!this.#receipts.answered(to, ofLevel)) return;
    this.account.hear(reply);
    this.#counts = reply;
    // It stops: the next daemon is asked again.
    if (reply.status === ReceiptStatus.Stopping) return;
    const reached = reply.status !== ReceiptStatus.Unavailable;
    if (reply.level === this.#options.level) this.account.settle(to, reached);
    if (this.#standing !== "session" || !ofLevel) return;
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
    this.account.settle(Math.min(this.#sentBefore, Math.max(this.#outbox.base, this.#sure)), false);
    this.account.forget(this.#sentBefore);
    this.#outbox.keeping = false;
    this.#outbox.release(this.#outbox.sent());
    if (!enough || why === "mute") events.unable(why);
  }
}

const NOTHING: Asked = { level: 0, last: 0 };
const SPOOLED: Asked = { level: SyncLevel.Spooled, last: 0 };
/** Lines are let go of when they are spooled, but that is not enough. */
const SPOOLED_FIRST: Asked = { level: SyncLevel.Spooled, last: SyncLevel.Delivered };
const SYNCED: Asked = { level: SyncLevel.Synced, last: 0 };
const DELIVERED: Asked = { level: SyncLevel.Delivered, last: 0 };
