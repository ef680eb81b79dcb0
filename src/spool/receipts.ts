// Receipts on the main thread: which messages of a connection, or of a session, are settled, for those who asked.
import type { FrameMark } from "./heldFrame.ts";
import type { QueueHooks, SettledHow } from "./queue.ts";
import { ReceiptAccount } from "./receiptAccount.ts";
import { createReceiptMemory, ReceiptAnswerer, RequestKind } from "./receiptMemory.ts";
import { type KnownSession, type Session, SessionTable } from "./sessions.ts";

/** How often it is looked whether the reader is past what was asked, when nothing else would tell. Milliseconds. */
const LOOK_AGAIN = 20;

/** How many connections may be open at once. */
export const MOST_CONNECTIONS = 4096;

export interface ReceiptsOptions {
  /** How many connections may be open at once. */
  connections?: number;
  /** Sessions of an earlier run. */
  sessions?: readonly KnownSession[];
  /** The number of the message that the main log's reader takes next: all below are taken, or never will be. */
  next: () => number;
  /** Milliseconds since the epoch. */
  wallClock?: () => number;
}

/** The account of a session over all its connections. */
class SessionAccount extends ReceiptAccount implements Session {
  readonly hex: string;
  position = 0;
  lastAt = 0;

  constructor(key: number, hex: string) {
    super(key);
    this.hex = hex;
  }

  get inUse(): boolean {
    return this.connection !== 0 || this.waits > 0;
  }
}

/**
 * What the queue must keep to: in one run, `onTaken` once for each message of an account, before `onSettled` for it; one
 * that is put back and taken again is not told of twice. A held log tells of `onTaken` only for what it had at the start.
 */
export class Receipts implements QueueHooks {
  /** For the input thread, which asks. */
  readonly memory: SharedArrayBuffer;
  readonly connections: number;
  readonly #answerer: ReceiptAnswerer;
  readonly #next: () => number;
  readonly #wallClock: () => number;
  /** By the key that blocks carry: a connection's id, or that of a session. */
  readonly #accounts = new Map<number, ReceiptAccount>();
  /** By connection. */
  readonly #open = new Map<number, ReceiptAccount>();
  readonly #sessions: SessionTable<SessionAccount>;
  /** Those with a question that nobody has looked at. */
  readonly #due = new Set<ReceiptAccount>();
  /** Those with a question that only the reader can answer. */
  readonly #behind = new Set<ReceiptAccount>();
  #timer: Timer | undefined;
  /** Beyond every connection's id, which is a uint32. */
  #lastSession = 2 ** 32;
  #over = false;

  constructor({ connections = MOST_CONNECTIONS, sessions = [], next, wallClock = Date.now }: ReceiptsOptions) {
    this.connections = connections;
    this.memory = createReceiptMemory(connections);
    this.#answerer = new ReceiptAnswerer(this.memory);
    this.#next = next;
    this.#wallClock = wallClock;
    this.#sessions = new SessionTable(
      (hex) => this.#newSession(hex),
      (account) => this.#drop(account),
    );
    this.#sessions.restore(sessions, this.#wallClock());
  }

  /** `wake` is called when the input thread must be told to look. */
  onAnswer(wake: () => void): void {
    this.#answerer.onAnswer(wake);
  }

  /** The input thread says that it has asked something. */
  wake(): void {
    do this.#pump();
    while (!this.#answerer.sleep());
    for (const account of this.#due) this.#answer(account);
    this.#due.clear();
  }

  accountOf(source: number, session: Buffer | undefined): number {
    // What was asked before the block was appended must be known before the block is counted; but it is not looked at before
    // `wake`: the reader may say that it is past the block, which is not counted yet.
    this.#pump();
    if (session !== undefined) return this.#session(session.toString("hex")).key;
    return this.#accounts.has(source) ? source : 0;
  }

  onTaken(key: number, firstNumber: number, count: number, endsAt: number): void {
    const account = this.#accounts.get(key);
    if (account === undefined) return;
    // Numbers of another run may have come by a connection with the same id.
    const strange = key < 2 ** 32 ? Math.max(0, account.from + 1 - firstNumber) : 0;
    if (count > strange) account.taken(firstNumber + strange, count - strange);
    if (account instanceof SessionAccount) {
      account.position = Math.max(account.position, endsAt);
      this.#sessions.touch(account, this.#wallClock());
    }
    this.#answer(account);
  }

  onSettled(key: number, number: number, count: number, how: SettledHow): void {
    // It is in another log now, and counts as unsettled until that log settles it.
    if (how === "moved") return;
    const account = this.#accounts.get(key);
    if (account === undefined) return;
    const strange = key < 2 ** 32 ? Math.max(0, account.from + 1 - number) : 0;
    if (count <= strange) return;
    account.settled(number + strange, count - strange, how === "discarded");
    this.#answer(account);
  }

  onLost(key: number, from: number, to: number, count: number): void {
    const account = this.#accounts.get(key);
    if (account === undefined) return;
    account.lost(from, to, count);
    this.#answer(account);
  }

  /**
   * Messages of these sessions (hex) were found in a log from before the start that is not read yet: their connections
   * wait for them too. Call what is returned when all that was found there was taken.
   */
  waitFor(sessions: Iterable<string>): () => void {
    const accounts = [...sessions].map((hex) => this.#session(hex));
    for (const account of accounts) account.waits++;
    return () => {
      for (const account of accounts.splice(0)) {
        account.waits--;
        this.#answer(account);
      }
    };
  }

  /** By what a message of that account (0: of nobody), received then, can be told in a held log. */
  markOf(key: number, receivedAt: number): FrameMark {
    if (key === 0) return { source: 0, receivedAt, session: undefined };
    const account = this.#accounts.get(key);
    if (account instanceof SessionAccount) return { source: 0, receivedAt, session: Buffer.from(account.hex, "hex") };
    return { source: account === undefined ? 0 : key, receivedAt, session: undefined };
  }

  /** For the checkpoint: as far as their messages were taken. */
  sessions(): KnownSession[] {
    return this.#sessions.known(this.#wallClock());
  }

  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #pump(): void {
    const answerer = this.#answerer;
    while (answerer.take()) {
      const { kind, id, slot, number } = answerer;
      switch (kind) {
        case RequestKind.Opened: {
          const account = new ReceiptAccount(id);
          account.begin(id, slot, number);
          this.#accounts.set(id, account);
          this.#open.set(id, account);
          answerer.own(slot, id, 0);
          break;
        }
        case RequestKind.Resumed:
          this.#resume(id, number, answerer.session.toString("hex"));
          break;
        case RequestKind.Asked: {
          const account = this.#open.get(id);
          account?.ask(number);
          if (account !== undefined) this.#due.add(account);
          break;
        }
        case RequestKind.Closed:
          this.#close(id);
          break;
        default:
          kind satisfies never;
      }
    }
  }

  #resume(id: number, from: number, hex: string): void {
    const own = this.#open.get(id);
    if (own === undefined) return;
    const { slot } = own;
    this.#drop(own);
    const account = this.#session(hex);
    this.#open.delete(account.connection);
    account.begin(id, slot, from);
    this.#open.set(id, account);
    this.#due.add(account);
  }

  #close(id: number): void {
    const account = this.#open.get(id);
    if (account === undefined) return;
    this.#open.delete(id);
    account.end();
    // Nobody will ask after its messages; those of a session may be asked after by the next connection.
    if (!(account instanceof SessionAccount)) this.#drop(account);
  }

  #session(hex: string): SessionAccount {
    return this.#sessions.of(hex, this.#wallClock());
  }

  #newSession(hex: string): SessionAccount {
    const account = new SessionAccount(++this.#lastSession, hex);
    this.#accounts.set(account.key, account);
    return account;
  }

  #drop(account: ReceiptAccount): void {
    this.#accounts.delete(account.key);
    this.#behind.delete(account);
    this.#due.delete(account);
  }

  #answer(account: ReceiptAccount): void {
    const answered = account.answer(this.#next);
    const { slot, delivered, discarded, settledTo } = account;
    if (slot < 0) return;
    this.#answerer.count(slot, delivered, discarded, settledTo);
    if (answered) this.#answerer.answer(slot, account.answered, account.clean);
    if (account.behind === 0) return;
    this.#behind.add(account);
    if (this.#timer === undefined && !this.#over) this.#timer = setTimeout(() => this.#look(), LOOK_AGAIN);
  }

  #look(): void {
    this.#timer = undefined;
    const accounts = [...this.#behind];
    this.#behind.clear();
    for (const account of accounts) this.#answer(account);
  }
}
