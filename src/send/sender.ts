// The client: reads lines, sends their frames, and knows at any moment which of them the daemon was given.
import { randomBytes } from "node:crypto";
import { SESSION_BYTES } from "../wire/receipts.ts";
import { Conversation, type Inability, type Out } from "./conversation.ts";
import { type Dialed, dial, type Target } from "./dial.ts";
import { type Fate, farewell, fateOf } from "./ending.ts";
import { Framer, type LineFormat } from "./framer.ts";
import type { Input } from "./inputs.ts";
import { levelOf, type Wait } from "./level.ts";
import { errno } from "./libc.ts";
import { Outbox } from "./outbox.ts";
import { POLLIN, POLLOUT, ready, waitFor } from "./poll.ts";
import type { StreamSocket } from "./socket.ts";
import { Source } from "./source.ts";
import type { Stop } from "./stop.ts";
import { SLICE, turn, turnIsDue } from "./turn.ts";

export interface SendOptions {
  target: Target;
  /** How long to wait for a daemon that is not there, ms. */
  retry: number;
  /** How long to wait, once there is nothing more to read, ms; Infinity: as long as it takes. */
  timeout: number;
  /** How far lines must come. */
  wait: Wait;
  /** Whether less will not do. */
  strict: boolean;
  inputs: Input[];
  format: LineFormat;
  stop: Stop;
  events: SendEvents;
}

/** What is worth saying while it happens. */
export interface SendEvents {
  /** The daemon is not there, for `reason`; it is waited for. */
  waiting(reason: string): void;
  /** Nobody can say what became of `count` lines that were sent. */
  lost(count: number): void;
  /** The daemon gives no receipts such as were asked for, and it goes on without. */
  unable(why: Inability): void;
  tooLong(input: string, line: number): void;
  /** Called often. */
  progress(tally: () => Tally): void;
}

/** Counts of lines and of their bytes. */
export interface Tally {
  /** Lines that were made into messages, and their bytes without what ended them. */
  lines: number;
  bytes: number;
  /** Of these, lines that were never given to a daemon. */
  unsent: number;
  /** Of these, lines of which nobody can say whether the daemon has them. */
  uncertain: number;
  /** Of these, lines that the daemon has, but that are not known to have come as far as they must. */
  short: number;
  /** Of these, lines that the daemon discarded, as far as it said; `someDiscarded`: it did not say how many. */
  discarded: number;
  someDiscarded: boolean;
  /** Lines that fit into no message, besides. */
  tooLong: number;
  /** Of these, lines that are waited for, when nothing more is read and all was sent. */
  out: Out | undefined;
}

/** How it ended. "done": all inputs were read to the end, and what was read came as far as it must. */
export type SendEnd =
  | { kind: "done" }
  | { kind: "stopped" }
  | { kind: "late" }
  | { kind: "refused"; why: Inability }
  | { kind: "away" | "wrong"; reason: string }
  | { kind: "unreadable"; problem: string };

/** A connection that ends sooner (ms), and was of no use, is followed by a pause: the next may do the same. */
const STEADY = 1000;

/** One run of the client; memory is bounded whatever the input, since what cannot be sent stops the reading. */
export class Sender {
  readonly #options: SendOptions;
  readonly #framer: Framer;
  readonly #outbox = new Outbox();
  readonly #conversation: Conversation;
  readonly #source: Source;
  /** No whole line waits in the framer. */
  #framed = true;
  /** When it is late, on the clock of performance.now(). */
  #deadline = Number.POSITIVE_INFINITY;
  #socket: StreamSocket | undefined;
  #connectedAt = 0;
  /** Since when there was no connection that lasted, and how many came and went since. */
  #awaySince = performance.now();
  #flaps = 0;
  #probed = 0;
  #tooLong = 0;

  constructor(options: SendOptions) {
    const { wait, strict, events } = options;
    this.#options = options;
    this.#source = new Source(options.inputs);
    this.#framer = new Framer(options.format);
    this.#framer.onTooLong = (line) => {
      this.#tooLong++;
      events.tooLong(this.#source.name, line);
    };
    const name = (): Buffer => randomBytes(SESSION_BYTES);
    // What is left when it gives up is in the last word.
    const lost = (count: number): void => {
      if (!this.#hurries()) events.lost(count);
    };
    const told = { lost, unable: (why: Inability) => events.unable(why) };
    this.#conversation = new Conversation({ outbox: this.#outbox, level: levelOf(wait), strict, name, events: told });
  }

  get tally(): Tally {
    const lines = this.#outbox.written;
    const { unknown, account } = this.#conversation;
    return {
      lines,
      bytes: this.#framer.framedBytes,
      unsent: lines - this.#outbox.sent(),
      uncertain: unknown,
      short: account.short,
      discarded: account.discarded,
      someDiscarded: account.someDiscarded,
      tooLong: this.#tooLong,
      out: this.#socket === undefined ? undefined : this.#conversation.out,
    };
  }

  /** Sends everything; comes back when all came as far as it must, or it could not go on. */
  async run(): Promise<SendEnd> {
    const { stop, events } = this.#options;
    const conversation = this.#conversation;
    try {
      for (;;) {
        if (stop.count > 0) this.#stopReading();
        if (stop.count > 1) return { kind: "stopped" };
        if (conversation.refusal !== undefined) return { kind: "refused", why: conversation.refusal };
        const ending = this.#source.done && this.#framed;
        // What was read before a signal may have to wait for room as well.
        if ((ending || stop.count > 0) && this.#isLate()) return { kind: stop.count > 0 ? "stopped" : "late" };
        if (ending) conversation.finish(stop.count > 0);
        if (this.#socket === undefined) {
          if (ending && conversation.settled) break;
          const dialed = await this.#connect();
          if (dialed.kind === "away" && this.#hurries()) continue;
          if (dialed.kind === "away" || dialed.kind === "wrong") return dialed;
        } else if (ending && conversation.parts(performance.now())) {
          await this.#settle(farewell(this.#socket, () => this.#hurries()));
        } else if (ending && conversation.settled) break;
        else await this.#step(this.#socket);
        if (turnIsDue()) await turn();
        events.progress(() => this.tally);
      }
    } finally {
      this.#source.close();
      this.#socket?.close();
    }
    if (stop.count > 0) return { kind: "stopped" };
    const { problem } = this.#source;
    return problem === undefined ? { kind: "done" } : { kind: "unreadable", problem };
  }

  /** Nothing more is to be read: whether the time for the rest is over. */
  #isLate(): boolean {
    const now = performance.now();
    this.#deadline = Math.min(this.#deadline, now + this.#options.timeout);
    return now >= this.#deadline;
  }

  #hurries(): boolean {
    return this.#options.stop.count > 1 || performance.now() >= this.#deadline;
  }

  async #connect(): Promise<Dialed> {
    const { target, stop, events } = this.#options;
    const eager = this.#outbox.empty && this.#framed && this.#outbox.base === this.#outbox.written;
    const since = this.#awaySince;
    const retry = Math.min(this.#options.retry, Math.max(0, this.#deadline - since));
    const outage = { retry, since, flaps: this.#flaps };
    const dialed = await dial({ target, stop, eager, ...outage, onWaiting: (reason) => events.waiting(reason) });
    if (dialed.kind === "connected") {
      const now = performance.now();
      this.#socket = dialed.socket;
      this.#socket.onBytes = (bytes, start, end) => this.#conversation.hear(bytes, start, end);
      this.#connectedAt = this.#probed = now;
      this.#conversation.opened(now);
    }
    return dialed;
  }

  /** One round: frame what was read, send what is framed, wait for what comes first, read. */
  async #step(socket: StreamSocket): Promise<void> {
    const conversation = this.#conversation;
    const now = performance.now();
    this.#framed = this.#frame();
    const failed = this.#push(socket, now);
    if (failed !== undefined) return await this.#settle(this.#fate(socket, failed));
    if (!this.#framed && this.#outbox.empty) {
      this.#framed = this.#frame();
      if (!this.#outbox.empty) return;
    }
    conversation.watch(now, () => socket.allRead(), !this.#framed && socket.kind === "unix");
    const reading = this.#framed && this.#source.reading;
    if (!reading && this.#source.done && this.#framed && (conversation.settled || conversation.parts(now))) return;
    const timeout = Math.max(0, Math.min(SLICE, Math.ceil(conversation.due(now))));
    const events = conversation.next(now) ? POLLIN | POLLOUT : POLLIN;
    waitFor(reading ? this.#source.fd : -1, socket.fd, events, timeout);
    const { input, socket: said } = ready;
    if ((said & ~POLLOUT) !== 0 && socket.ending() !== "open") return await this.#settle(this.#fate(socket, 0));
    if (input !== 0) this.#source.read(this.#framer);
    else if (said === 0) await turn();
  }

  /** Frames whole lines, and goes on to the next input when one has ended. False: the outbox is full. */
  #frame(): boolean {
    const now = Date.now();
    for (;;) {
      if (!this.#framer.encode(this.#outbox, now)) return false;
      if (this.#source.reading) return true;
      if (!this.#framer.finish(this.#outbox)) return false;
      if (!this.#source.next()) return true;
    }
  }

  /** Sends what the kernel takes. An error number when the connection is over. */
  #push(socket: StreamSocket, now: number): number | undefined {
    const conversation = this.#conversation;
    if (!conversation.next(now)) return this.#probe(socket, now);
    do {
      const count = socket.send(conversation.bytes, conversation.start, conversation.stop);
      if (count < 0) return -count === errno.EAGAIN ? undefined : -count;
      conversation.took(count, now);
    } while (conversation.next(now));
    return undefined;
  }

  /** An idle client would not notice that the daemon stops, and would take its end for a death: ask now and then. */
  #probe(socket: StreamSocket, now: number): number | undefined {
    if (socket.kind !== "unix" || now - this.#probed < SLICE) return undefined;
    this.#probed = now;
    const outcome = socket.send(this.#outbox.bytes, 0, 0);
    return outcome < 0 && -outcome !== errno.EAGAIN ? -outcome : undefined;
  }

  #fate(socket: StreamSocket, error: number): Promise<Fate> {
    return fateOf(socket, error, () => this.#hurries());
  }

  /** Closes the connection, and settles what was sent on it. A frame that the kernel took in part is sent again. */
  async #settle(fate: Promise<Fate>): Promise<void> {
    const over = performance.now();
    const outcome = await fate;
    this.#conversation.closed(outcome, over, this.#socket?.kind === "unix");
    this.#socket?.close();
    this.#socket = undefined;
    const now = performance.now();
    const useful = this.#conversation.gained || (outcome === "taken" && this.#conversation.gave);
    if (now - this.#connectedAt >= STEADY || useful) {
      this.#awaySince = now;
      this.#flaps = 0;
    } else this.#flaps++;
  }

  #stopReading(): void {
    if (this.#source.done) return;
    this.#framed = this.#framer.encode(this.#outbox, Date.now());
    if (!this.#framed) return;
    // A line whose end was not read is no line.
    this.#framer.abandon();
    this.#source.drop();
  }
}
