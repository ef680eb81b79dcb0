// All open connections: which of them are polled, reading from them, and their ends.
import type { SplitterLimits } from "../wire/splitter.ts";
import { HEADROOM } from "../wire/splitter.ts";
import { Connection } from "./connection.ts";
import type { Intake } from "./intake.ts";
import { EAGAIN, EINTR, MSG_DONTWAIT, POLLERR, POLLHUP, POLLIN, POLLNVAL, SHUT_RD } from "./libc.ts";
import { Partials } from "./partials.ts";
import type { PollSet } from "./pollSet.ts";
import type { IngestLimits } from "./report.ts";
import type { Reporter } from "./reporter.ts";
import { type Shell, TURN_BYTES } from "./shell.ts";

/** Read at a time from one that holds nothing while the memory for incomplete messages is used up. */
const CROWDED_BYTES = 4096;
/**
 * On a stop, the most that is still read from a TCP connection. A UNIX socket takes nothing more after shutdown(), so
 * reading it ends; TCP goes on taking what a busy client sends. This is more than its receive buffer can hold.
 */
const TCP_FAREWELL_BYTES = 33_554_432;

export class Connections {
  readonly #shell: Shell;
  readonly #poll: PollSet;
  readonly #firstSlot: number;
  readonly #limits: IngestLimits;
  readonly #reporter: Reporter;
  readonly #partials: Partials<Connection>;
  /** The connection at index i has the poll slot #firstSlot + i. */
  readonly #all: Connection[] = [];
  readonly #staging: number;
  #lastId = 0;
  #stopping = false;

  constructor(shell: Shell, poll: PollSet, firstSlot: number, limits: IngestLimits, reporter: Reporter) {
    this.#shell = shell;
    this.#poll = poll;
    this.#firstSlot = firstSlot;
    this.#limits = limits;
    this.#reporter = reporter;
    this.#partials = new Partials(limits.partials, limits.turn);
    this.#staging = shell.memory.allocate(HEADROOM + TURN_BYTES) + HEADROOM;
  }

  get count(): number {
    return this.#all.length;
  }

  /** How many more may be opened. */
  get room(): number {
    return this.#limits.connections - this.#all.length;
  }

  get allDrained(): boolean {
    return this.#all.every(({ state }) => state === "drained");
  }

  add(fd: number, intake: Intake, limits: SplitterLimits): void {
    const connection = new Connection(fd, ++this.#lastId, intake, limits);
    intake.counters.accepted++;
    intake.counters.open++;
    this.#reporter.touch();
    this.#all.push(connection);
    this.#watch(this.#all.length - 1);
  }

  /** Polls each or not, as it may be read now. */
  refresh(): void {
    for (let index = 0; index < this.#all.length; index++) this.#watch(index);
  }

  /** Reads from those that poll has named. */
  read(now: number): void {
    // Downwards, because a connection that ends gives its slot to the last one, which had its turn then.
    for (let index = this.#all.length - 1; index >= 0; index--) {
      const events = this.#poll.events(this.#firstSlot + index);
      if (events !== 0) this.#readOne(index, events, now);
    }
  }

  /** Milliseconds until `turn` has something to do, or nothing. */
  timeLeft(now: number): number | undefined {
    return this.#partials.timeLeft(now);
  }

  /** Ends a connection that takes too long over an incomplete message while others wait for its memory. */
  turn(now: number): void {
    const late = this.#partials.overdue(now);
    if (late === undefined) return;
    if (late.intake.stalled) {
      this.#partials.excuse(now);
      return;
    }
    this.#shell.warn("a connection was closed: others waited for it to complete a long message", {
      input: late.intake.kind,
    });
    this.#endUnclean(this.#all.indexOf(late), now);
  }

  /** Takes nothing more from the clients; what they have sent is still read. */
  stop(): void {
    this.#stopping = true;
    for (const connection of this.#all) {
      this.#shell.libc.shutdown(connection.fd, SHUT_RD);
      if (connection.intake.kind === "tcp") connection.left = TCP_FAREWELL_BYTES;
    }
  }

  closeAll(now: number): void {
    while (this.#all.length > 0) this.#close(this.#all.length - 1, now);
  }

  #watch(index: number): void {
    const connection = this.#all[index] as Connection;
    const slot = this.#firstSlot + index;
    if (connection.state === "drained") this.#poll.watch(slot, connection.fd, 0);
    else if (connection.intake.stalled || !this.#partials.mayRead(connection)) this.#poll.ignore(slot);
    else this.#poll.watch(slot, connection.fd, POLLIN);
  }

  #readOne(index: number, events: number, now: number): void {
    const { libc, memory } = this.#shell;
    const connection = this.#all[index] as Connection;
    if (connection.state === "drained") {
      if ((events & (POLLHUP | POLLERR | POLLNVAL)) !== 0) this.#close(index, now);
      return;
    }
    // Another connection may have filled the queue, or the memory, in this very turn.
    if (connection.intake.stalled || !this.#partials.mayRead(connection)) return;
    const most = this.#partials.crowded && connection.held === 0 ? CROWDED_BYTES : TURN_BYTES;
    const length =
      connection.left <= 0 ? 0 : libc.recv(connection.fd, memory.address(this.#staging), most, MSG_DONTWAIT);
    if (length < 0) {
      const errno = libc.errno();
      if (errno !== EAGAIN && errno !== EINTR) this.#endUnclean(index, now);
      return;
    }
    if (length === 0) {
      this.#ended(index, now);
      return;
    }
    connection.left -= length;
    const state = connection.splitter.push(memory.bytes, this.#staging, this.#staging + length);
    const changed = this.#partials.note(connection, now);
    if (state === "broken") this.#close(index, now);
    if (changed || connection.intake.stalled) this.refresh();
  }

  /** The client will send nothing more, or, on a stop, nothing more is taken. */
  #ended(index: number, now: number): void {
    const connection = this.#all[index] as Connection;
    const { rest } = connection.splitter;
    if (this.#stopping) {
      if (rest !== undefined) this.#reporter.unclean(connection.intake, rest);
      connection.state = "drained";
      if (this.#partials.forget(connection, now)) this.refresh();
      this.#watch(index);
    } else if (rest !== undefined) {
      this.#endUnclean(index, now);
    } else {
      this.#close(index, now);
    }
  }

  #endUnclean(index: number, now: number): void {
    const connection = this.#all[index] as Connection;
    this.#reporter.unclean(connection.intake, connection.splitter.rest);
    this.#close(index, now);
  }

  #close(index: number, now: number): void {
    const connection = this.#all[index] as Connection;
    this.#shell.libc.close(connection.fd);
    connection.intake.counters.open--;
    this.#reporter.touch();
    const last = this.#all.pop() as Connection;
    if (last !== connection) {
      this.#all[index] = last;
      this.#watch(index);
    }
    if (this.#partials.forget(connection, now)) this.refresh();
  }
}
