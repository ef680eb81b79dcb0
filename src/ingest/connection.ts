// One client's stream: its descriptor, its parser, and what becomes of what the parser finds.
import type { Session } from "../spool/sessions.ts";
import { FrameFault, readInt16 } from "../wire/frame.ts";
import {
  encodeResumeReply,
  isQuestion,
  RESUME,
  RESUME_SIZE,
  ReceiptStatus,
  SESSION_AT,
  SESSION_BYTES,
} from "../wire/receipts.ts";
import { Splitter, type SplitterLimits, type SplitterSink } from "../wire/splitter.ts";
import type { InputSession } from "./inputSession.ts";
import type { Intake } from "./intake.ts";
import type { Holder } from "./partials.ts";
import { NOBODY, type Source } from "./source.ts";
import { type Asking, type SyncSurroundings, Syncs } from "./syncs.ts";

/** What a connection needs of all the others. */
export interface ConnectionSurroundings extends SyncSurroundings {
  /** The session of that name, from which no other connection goes on any more. */
  takeOver(idHex: string): InputSession;
  /** Messages of it have come. `at`: milliseconds since the epoch. */
  touch(session: Session, at: number): void;
}

export class Connection implements SplitterSink, Holder, Source, Asking {
  readonly fd: number;
  /** Never 0, never used again. */
  readonly id: number;
  readonly slot: number;
  readonly intake: Intake;
  readonly splitter: Splitter;
  /** Its place among all connections. */
  index = 0;
  /**
   * "ended": the client sends nothing more, but waits for replies. "drained": on a stop, when everything it sent was
   * taken; it stays open for a while. "doomed": to be closed, and nothing more of it is looked at.
   */
  state: "open" | "ended" | "drained" | "doomed" | "closed" = "open";
  /** Bytes that may still be read from it. */
  left = Number.POSITIVE_INFINITY;
  /**
   * Of the bytes with which it begins, how many are not read: enough for a Resume, and for no message. They are read whether
   * or not the queue has room, since a client that hears nothing would take bruce for one that knows no sessions.
   */
  greeting = RESUME_SIZE;
  /** What was read and cannot be taken yet. */
  rest: Buffer | undefined;
  /** What it asked, once it has asked anything. */
  syncs: Syncs | undefined;
  session: InputSession | undefined;
  /** Messages appended or turned away. */
  received = 0;
  rejected = 0;
  readonly #around: ConnectionSurroundings;
  /** Something has come. */
  #begun = false;
  #lastNumber = 0;
  #unsyncedFrom = 0;
  #unspooledTo = 0;

  constructor(
    fd: number,
    id: number,
    slot: number,
    intake: Intake,
    limits: SplitterLimits,
    around: ConnectionSurroundings,
  ) {
    this.fd = fd;
    this.id = id;
    this.slot = slot;
    this.intake = intake;
    this.splitter = new Splitter(limits, this);
    this.#around = around;
  }

  get held(): number {
    return this.splitter.held;
  }

  /** Nothing may be read from it until the queue has room. */
  get stalled(): boolean {
    return this.intake.stalls(this);
  }

  /** What its splitter stopped at may be tried again. */
  get mayGoOn(): boolean {
    return !this.stalled && this.syncs?.mayAsk !== false && this.#around.asker?.room !== 0;
  }

  frames(bytes: Buffer, start: number, end: number, count: number): void {
    this.#begun = true;
    this.intake.accept(this, bytes, start, end, count);
  }

  mayReject(): boolean {
    return !this.stalled;
  }

  reject(fault: FrameFault, bytes: Buffer, start: number, end: number, size: number): void {
    this.#begun = true;
    // Of a frame that breaks the stream, what is at hand is what was received: its Size cannot be believed.
    const breaks = fault === FrameFault.Malformed || fault === FrameFault.TooLong;
    const length = breaks ? end - start : size;
    if (end - start >= 6 && isQuestion(readInt16(bytes, start + 4)))
      this.#rejectQuestion(fault, bytes, start, end, length);
    else this.intake.reject(this, fault, bytes, start, end, length);
  }

  question(bytes: Buffer, at: number): boolean {
    if (this.state === "doomed" || this.#around.asker?.room === 0) return false;
    const resumes = readInt16(bytes, at + 4) === RESUME;
    if (resumes && !this.#begun) {
      this.#resume(bytes, at + SESSION_AT);
      return true;
    }
    if (!this.mayGoOn) return false;
    if (!resumes) {
      this.#begun = true;
      this.syncs ??= new Syncs(this.#around, this);
      this.syncs.ask(bytes, at);
      return true;
    }
    // Which messages would be the session's cannot be said: what comes behind it is not what the client means.
    this.#rejectQuestion(FrameFault.Malformed, bytes, at, at + RESUME_SIZE, RESUME_SIZE);
    this.state = "doomed";
    return false;
  }

  appended(firstNumber: number, count: number, at: number): void {
    const lastNumber = firstNumber + count - 1;
    this.received += count;
    this.#lastNumber = lastNumber;
    if (this.unsyncedFrom === 0) this.unsyncedFrom = firstNumber;
    if (this.#around.queue.state !== "disk") this.unspooledTo = lastNumber;
    const { session } = this;
    if (session === undefined) return;
    session.position += count;
    session.lastNumber = lastNumber;
    this.#around.touch(session, at);
  }

  discarded(count: number): void {
    this.received += count;
    this.rejected += count;
    if (this.session === undefined) return;
    this.session.position += count;
    this.session.soiled = true;
  }

  get soiled(): boolean {
    return this.session === undefined ? this.rejected > 0 : this.session.soiled;
  }

  get lastNumber(): number {
    return this.session === undefined ? this.#lastNumber : this.session.lastNumber;
  }

  get unsyncedFrom(): number {
    return this.session === undefined ? this.#unsyncedFrom : this.session.unsyncedFrom;
  }

  set unsyncedFrom(number: number) {
    if (this.session === undefined) this.#unsyncedFrom = number;
    else this.session.unsyncedFrom = number;
  }

  get unspooledTo(): number {
    return this.session === undefined ? this.#unspooledTo : this.session.unspooledTo;
  }

  set unspooledTo(number: number) {
    if (this.session === undefined) this.#unspooledTo = number;
    else this.session.unspooledTo = number;
  }

  #resume(bytes: Buffer, at: number): void {
    const { queue, asker } = this.#around;
    this.#begun = true;
    const id = Buffer.from(bytes.subarray(at, at + SESSION_BYTES));
    let status: ReceiptStatus = ReceiptStatus.Unavailable;
    if (queue.state !== "memory") {
      this.session = this.#around.takeOver(id.toString("hex"));
      this.session.owner = this;
      // What is turned away counts in the position, so nothing may overtake what came before it.
      this.splitter.ordered = true;
      asker?.resumed(this.id, queue.lastNumber, id);
      status = ReceiptStatus.Reached;
    }
    this.syncs = new Syncs(this.#around, this);
    this.syncs.tell(encodeResumeReply({ session: id, position: this.session?.position ?? 0, status }));
  }

  /** A Sync or Resume that is none: a message that came, but none of the session's. */
  #rejectQuestion(fault: FrameFault, bytes: Buffer, start: number, end: number, size: number): void {
    this.intake.reject(NOBODY, fault, bytes, start, end, size);
    this.received++;
    this.rejected++;
    if (this.session !== undefined) this.session.soiled = true;
  }
}
