// The client: reads lines, sends their frames, and knows at any moment which of them the daemon was given.
import { type Dialed, dial, type Target } from "./dial.ts";
import { type Fate, farewell, fateOf } from "./ending.ts";
import { Framer, type LineFormat } from "./framer.ts";
import type { Input } from "./inputs.ts";
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
  inputs: Input[];
  format: LineFormat;
  stop: Stop;
  events: SendEvents;
}

/** What is worth saying while it happens. */
export interface SendEvents {
  /** The daemon is not there, for `reason`; it is waited for. */
  waiting(reason: string): void;
  /** A connection was lost; nobody can say what became of `count` lines sent on it. */
  lost(count: number): void;
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
  /** Lines that fit into no message, besides. */
  tooLong: number;
}

/** How it ended. "done": all inputs were read to the end. */
export type SendEnd =
  | { kind: "done" }
  | { kind: "stopped" }
  | { kind: "away" | "wrong"; reason: string }
  | { kind: "unreadable"; problem: string };

const OUTBOX_SIZE = 1024 * 1024;

/** A connection that ends sooner (ms), and not in good order, is followed by a pause: the next may do the same. */
const STEADY = 1000;

/** One run of the client; memory is bounded whatever the input, since what cannot be sent stops the reading. */
export class Sender {
  readonly #options: SendOptions;
  readonly #framer: Framer;
  readonly #outbox = new Outbox(OUTBOX_SIZE);
  readonly #source: Source;
  /** No whole line waits in the framer. */
  #framed = true;
  #socket: StreamSocket | undefined;
  /** Lines sent before the present connection. */
  #sentBefore = 0;
  #connectedAt = 0;
  /** Since when there was no connection that lasted, and how many came and went since. */
  #awaySince = performance.now();
  #flaps = 0;
  #probed = 0;
  #uncertain = 0;
  #tooLong = 0;

  constructor(options: SendOptions) {
    this.#options = options;
    this.#source = new Source(options.inputs);
    this.#framer = new Framer(options.format);
    this.#framer.onTooLong = (line) => {
      this.#tooLong++;
      options.events.tooLong(this.#source.name, line);
    };
  }

  get tally(): Tally {
    const lines = this.#outbox.written;
    return {
      lines,
      bytes: this.#framer.framedBytes,
      unsent: lines - this.#outbox.sent(),
      uncertain: this.#uncertain,
      tooLong: this.#tooLong,
    };
  }

  /** Sends everything; comes back when all was handed over, or it could not go on. */
  async run(): Promise<SendEnd> {
    const { stop, events } = this.#options;
    try {
      for (;;) {
        if (stop.count > 0) this.#stopReading();
        if (stop.count > 1) return { kind: "stopped" };
        if (this.#finished) break;
        if (this.#socket === undefined) {
          const dialed = await this.#connect();
          if (dialed.kind === "away" || dialed.kind === "wrong") return dialed;
        } else await this.#step(this.#socket);
        if (turnIsDue()) await turn();
        events.progress(() => this.tally);
      }
      if (this.#socket !== undefined) await this.#settle(farewell(this.#socket, () => stop.count > 1));
    } finally {
      this.#source.close();
      this.#socket?.close();
    }
    if (stop.count > 0) return { kind: "stopped" };
    const { problem } = this.#source;
    return problem === undefined ? { kind: "done" } : { kind: "unreadable", problem };
  }

  /** All that will ever be read is sent. */
  get #finished(): boolean {
    return this.#source.done && this.#framed && this.#outbox.empty;
  }

  async #connect(): Promise<Dialed> {
    const { target, retry, stop, events } = this.#options;
    const eager = this.#outbox.empty && this.#framed;
    const outage = { since: this.#awaySince, flaps: this.#flaps };
    const dialed = await dial({ target, retry, stop, eager, ...outage, onWaiting: (reason) => events.waiting(reason) });
    if (dialed.kind === "connected") {
      this.#socket = dialed.socket;
      this.#sentBefore = this.#outbox.sent();
      this.#connectedAt = this.#probed = performance.now();
    }
    return dialed;
  }

  /** One round: frame what was read, send what is framed, wait for what comes first, read. */
  async #step(socket: StreamSocket): Promise<void> {
    this.#framed = this.#frame();
    const failed = this.#push(socket);
    if (failed !== undefined) return await this.#settle(this.#fate(socket, failed));
    const reading = this.#framed && this.#source.reading;
    if (!reading && this.#outbox.empty) return;
    waitFor(reading ? this.#source.fd : -1, socket.fd, this.#outbox.empty ? POLLIN : POLLIN | POLLOUT, SLICE);
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
  #push(socket: StreamSocket): number | undefined {
    const outbox = this.#outbox;
    if (outbox.empty) return this.#probe(socket);
    while (!outbox.empty) {
      const count = socket.send(outbox.bytes, outbox.start, outbox.end);
      if (count < 0) return -count === errno.EAGAIN ? undefined : -count;
      outbox.took(count);
    }
    return undefined;
  }

  /** An idle client would not notice that the daemon stops, and would take its end for a death: ask now and then. */
  #probe(socket: StreamSocket): number | undefined {
    const now = performance.now();
    if (socket.kind !== "unix" || now - this.#probed < SLICE) return undefined;
    this.#probed = now;
    const outcome = socket.send(this.#outbox.bytes, 0, 0);
    return outcome < 0 && -outcome !== errno.EAGAIN ? -outcome : undefined;
  }

  #fate(socket: StreamSocket, error: number): Promise<Fate> {
    return fateOf(socket, error, () => this.#options.stop.count > 1);
  }

  /** Closes the connection, and settles what was sent on it. A frame that the kernel took in part is sent again. */
  async #settle(fate: Promise<Fate>): Promise<void> {
    const outcome = await fate;
    const sent = this.#outbox.sent() - this.#sentBefore;
    this.#outbox.rewind();
    this.#socket?.close();
    this.#socket = undefined;
    const now = performance.now();
    if (now - this.#connectedAt >= STEADY || (outcome === "taken" && sent > 0)) {
      this.#awaySince = now;
      this.#flaps = 0;
    } else this.#flaps++;
    if (outcome === "taken" || sent === 0) return;
    this.#uncertain += sent;
    this.#options.events.lost(sent);
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
