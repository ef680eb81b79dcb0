// All open connections: which of them are polled, reading from them, answering them, and their ends.
import { type KnownSession, SessionTable } from "../spool/sessions.ts";
import type { SplitterLimits } from "../wire/splitter.ts";
import { HEADROOM } from "../wire/splitter.ts";
import { Connection, type ConnectionSurroundings } from "./connection.ts";
import { InputSession } from "./inputSession.ts";
import type { Intake } from "./intake.ts";
import { EAGAIN, EINTR, MSG_DONTWAIT, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, SHUT_RD } from "./libc.ts";
import { Partials } from "./partials.ts";
import type { PollSet } from "./pollSet.ts";
import type { IngestLimits } from "./report.ts";
import type { Reporter } from "./reporter.ts";
import { type Shell, TURN_BYTES } from "./shell.ts";
import type { SyncSurroundings } from "./syncs.ts";

/** Read at a time from one that holds nothing while the memory for incomplete messages is used up. */
const CROWDED_BYTES = 4096;
/**
 * Bytes read from connections that have too many Syncs outstanding, kept until some are answered. With half of it used,
 * those that ask are read in small pieces; beyond it, who has too many is closed.
 */
const REST_BYTES = 16_777_216;
const GONE = POLLHUP | POLLERR | POLLNVAL;
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
  readonly #around: ConnectionSurroundings;
  readonly #sessions: SessionTable<InputSession>;
  /** Slots for answers that no connection has. */
  readonly #slots: number[];
  /** Those that wait for an answer, or for the client to read one. */
  readonly #asking = new Set<Connection>();
  /** Those with a rest. */
  readonly #paused = new Set<Connection>();
  #restBytes = 0;
  #doomed: Connection[] = [];
  #lastId = 0;

  constructor(
    shell: Shell,
    poll: PollSet,
    firstSlot: number,
    limits: IngestLimits,
    reporter: Reporter,
    around: SyncSurroundings,
    sessions: readonly KnownSession[],
  ) {
    this.#shell = shell;
    this.#poll = poll;
    this.#firstSlot = firstSlot;
    this.#limits = limits;
    this.#reporter = reporter;
    this.#partials = new Partials(limits.partials, limits.turn);
    this.#staging = shell.memory.allocate(HEADROOM + TURN_BYTES) + HEADROOM;
    this.#slots = Array.from({ length: limits.connections }, (_, index) => index);
    const { lastNumber } = around.queue;
    this.#sessions = new SessionTable(
      (hex) => new InputSession(hex, 0),
      () => {},
    );
    this.#sessions.restore(sessions, Date.now());
    for (const session of this.#sessions.values()) {
      session.lastNumber = lastNumber;
      session.unsyncedFrom = lastNumber;
    }
    this.#around = Object.assign(around, {
      takeOver: (idHex: string) => this.#takeOver(idHex),
      touch: (session: InputSession, at: number) => this.#sessions.touch(session, at),
    });
  }

  get count(): number {
    return this.#all.length;
  }

  /** How many more may be opened. */
  get room(): number {
    const places = this.#limits.connections - this.#all.length;
    return Math.min(places, this.#around.asker?.room ?? places);
  }

  get allDrained(): boolean {
    return this.#all.every(({ state }) => state === "drained" || state === "ended");
  }

  /** Some wait for an answer. */
  get asking(): boolean {
    return this.#asking.size > 0;
  }

  add(fd: number, intake: Intake, limits: SplitterLimits): void {
    const slot = this.#slots.pop() as number;
    const connection = new Connection(fd, ++this.#lastId, slot, intake, limits, this.#around);
    this.#around.asker?.opened(connection.id, slot, this.#around.queue.lastNumber);
    intake.counters.accepted++;
    intake.counters.open++;
    this.#reporter.touch();
    connection.index = this.#all.push(connection) - 1;
    this.#watch(connection);
  }

  /** Polls each or not, as it may be read now. */
  refresh(): void {
    for (let index = 0; index < this.#all.length; index++) this.#watch(this.#all[index] as Connection);
  }

  /** Answers those that can be answered now. */
  answer(now: number): void {
    this.#asking.forEach((connection) => {
      connection.syncs?.flush();
      this.#answered(connection, now);
    });
  }

  /** Reads from those that poll has named. */
  read(now: number): void {
    // Downwards, because a connection that ends gives its slot to the last one, which had its turn then.
    for (let index = this.#all.length - 1; index >= 0; index--) {
      const events = this.#poll.events(this.#firstSlot + index);
      if (events !== 0) this.#serve(this.#all[index] as Connection, events, now);
    }
  }

  /** Milliseconds until `turn` has something to do, or nothing. */
  timeLeft(now: number): number | undefined {
    if (this.#paused.size > 0) {
      // One that was passed over in the last turn may go on by what another did since.
      for (const connection of this.#paused) if (connection.mayGoOn) return 0;
    }
    return this.#partials.timeLeft(now);
  }

  /** Goes on with those that had to wait, and ends those that must. */
  turn(now: number): void {
    if (this.#paused.size > 0) for (const connection of [...this.#paused]) this.#goOn(connection, now);
    this.#closeDoomed(now);
    const late = this.#partials.overdue(now);
    if (late === undefined) return;
    if (late.stalled) {
      this.#partials.excuse(now);
      return;
    }
    this.#shell.warn("a connection was closed: others waited for it to complete a long message", {
      input: late.intake.kind,
    });
    this.#endUnclean(late, now);
  }

  /** Takes nothing more from the clients; what they have sent is still read. */
  stop(): void {
    this.#around.phase = "stopping";
    for (const connection of this.#all) {
      this.#shell.libc.shutdown(connection.fd, SHUT_RD);
      if (connection.intake.kind === "tcp") connection.left = TCP_FAREWELL_BYTES;
    }
  }

  /** Ends those that are not drained. Answers how many those were. */
  abandon(now: number): number {
    const rest = this.#all.filter(({ state }) => state === "open" || state === "doomed");
    for (const connection of rest) this.#close(connection, now);
    return rest.length;
  }

  /** Nothing more will be delivered: tells those that wait for it. */
  flushed(now: number): void {
    this.#around.phase = "flushed";
    this.answer(now);
  }

  closeAll(now: number): void {
    while (this.#all.length > 0) this.#close(this.#all.at(-1) as Connection, now);
  }

  #watch(connection: Connection): void {
    const slot = this.#firstSlot + connection.index;
    const { fd, state, rest } = connection;
    const out = connection.syncs?.blocked === true ? POLLOUT : 0;
    const waits = state === "drained" || state === "ended" || (rest !== undefined && !connection.stalled);
    if (state === "doomed") this.#poll.ignore(slot);
    else if (waits) this.#poll.watch(slot, fd, out);
    else if (rest === undefined && this.#mayRead(connection)) this.#poll.watch(slot, fd, POLLIN | out);
    else if (out !== 0) this.#poll.watch(slot, fd, out);
    // Not even for its end: poll would tell of it again and again, and it cannot be looked at now.
    else this.#poll.ignore(slot);
  }

  #mayRead(connection: Connection): boolean {
    return (!connection.stalled && this.#partials.mayRead(connection)) || connection.greeting > 0;
  }

  /** How many bytes may be read from it now. */
  #most(connection: Connection): number {
    if (connection.stalled) return connection.greeting;
    const small =
      (this.#partials.crowded && connection.held === 0) ||
      (this.#restBytes > REST_BYTES / 2 && connection.syncs !== undefined);
    return small ? CROWDED_BYTES : TURN_BYTES;
  }

  /** Does what poll has named. */
  #serve(connection: Connection, events: number, now: number): void {
    if (connection.state === "doomed") return;
    if (connection.state !== "open") {
      if ((events & GONE) !== 0) this.#close(connection, now);
      else this.#flush(connection, now);
      return;
    }
    if ((events & POLLOUT) !== 0) this.#flush(connection, now);
    if (connection.rest !== undefined) {
      // Nobody is left who could read a reply: what was sent before is taken all the same.
      if ((events & GONE) !== 0) connection.syncs?.die();
      return;
    }
    // Another connection may have filled the queue, or the memory, in this very turn.
    if (this.#mayRead(connection)) this.#read(connection, now);
  }

  #read(connection: Connection, now: number): void {
    const { libc, memory } = this.#shell;
    const most = this.#most(connection);
    const length =
      connection.left <= 0 ? 0 : libc.recv(connection.fd, memory.address(this.#staging), most, MSG_DONTWAIT);
    if (length < 0) {
      const errno = libc.errno();
      if (errno !== EAGAIN && errno !== EINTR) this.#endUnclean(connection, now);
      return;
    }
    if (length === 0) {
      this.#ended(connection, now);
      return;
    }
    connection.left -= length;
    connection.greeting = Math.max(0, connection.greeting - length);
    this.#take(connection, this.#staging + length, now);
  }

  /** What was read is at #staging. */
  #take(connection: Connection, end: number, now: number): void {
    const { bytes } = this.#shell.memory;
    const { splitter } = connection;
    let state = splitter.push(bytes, this.#staging, end);
    for (;;) {
      // Not once more after the look: what is sent then would let it go on, and nobody would notice.
      connection.syncs?.flush();
      if (state !== "paused" || connection.state === "doomed" || !connection.mayGoOn) break;
      state = splitter.push(bytes, splitter.pausedAt, end);
    }
    if (state === "broken" || connection.state === "doomed") {
      this.#close(connection, now);
      return;
    }
    if (state === "paused" && !this.#keep(connection, bytes.subarray(splitter.pausedAt, end))) {
      this.#shell.warn("a connection was closed: it has too many Syncs outstanding", { input: connection.intake.kind });
      this.#close(connection, now);
      return;
    }
    this.#answered(connection, now);
    if (this.#partials.note(connection, now) || connection.intake.stalled) this.refresh();
  }

  /** Keeps what cannot be taken yet. False when there is too much of it. */
  #keep(connection: Connection, rest: Buffer): boolean {
    if (!connection.stalled && this.#restBytes + rest.length > REST_BYTES) return false;
    connection.rest = Buffer.from(rest);
    this.#restBytes += rest.length;
    this.#paused.add(connection);
    return true;
  }

  #goOn(connection: Connection, now: number): void {
    const { rest } = connection;
    if (rest === undefined || connection.state === "doomed" || !connection.mayGoOn) return;
    this.#forgetRest(connection);
    rest.copy(this.#shell.memory.bytes, this.#staging);
    this.#take(connection, this.#staging + rest.length, now);
  }

  #forgetRest(connection: Connection): void {
    this.#restBytes -= connection.rest?.length ?? 0;
    connection.rest = undefined;
    this.#paused.delete(connection);
  }

  #flush(connection: Connection, now: number): void {
    connection.syncs?.flush();
    this.#answered(connection, now);
  }

  /** Some may have been answered: notes who waits for what now. */
  #answered(connection: Connection, now: number): void {
    if (connection.syncs?.idle === false) {
      this.#asking.add(connection);
    } else {
      this.#asking.delete(connection);
      if (connection.state === "ended") {
        this.#close(connection, now);
        return;
      }
    }
    this.#watch(connection);
  }

  /** The client will send nothing more, or, on a stop, nothing more is taken. */
  #ended(connection: Connection, now: number): void {
    const { rest } = connection.splitter;
    const waits = connection.syncs?.idle === false;
    if (this.#around.phase === "running" && !waits) {
      if (rest === undefined) this.#close(connection, now);
      else this.#endUnclean(connection, now);
      return;
    }
    if (rest !== undefined) this.#reporter.unclean(connection.intake, rest);
    connection.state = this.#around.phase === "running" ? "ended" : "drained";
    if (this.#partials.forget(connection, now)) this.refresh();
    this.#watch(connection);
  }

  /** The session of that name; a connection that went on with it before is given up, with all that is not appended. */
  #takeOver(idHex: string): InputSession {
    const session = this.#sessions.of(idHex, Date.now());
    const { owner } = session;
    if (owner !== undefined) {
      owner.intake.forget(owner);
      if (owner.state !== "closed") {
        owner.state = "doomed";
        this.#doomed.push(owner);
      }
    }
    return session;
  }

  #closeDoomed(now: number): void {
    if (this.#doomed.length === 0) return;
    for (const connection of this.#doomed) this.#close(connection, now);
    this.#doomed = [];
    this.refresh();
  }

  #endUnclean(connection: Connection, now: number): void {
    this.#reporter.unclean(connection.intake, connection.splitter.rest);
    this.#close(connection, now);
  }

  #close(connection: Connection, now: number): void {
    if (connection.state === "closed") return;
    connection.state = "closed";
    this.#shell.libc.close(connection.fd);
    connection.intake.counters.open--;
    this.#reporter.touch();
    const last = this.#all.pop() as Connection;
    if (last !== connection) {
      last.index = connection.index;
      this.#all[last.index] = last;
      this.#watch(last);
    }
    this.#around.asker?.closed(connection.id);
    this.#slots.push(connection.slot);
    this.#asking.delete(connection);
    this.#forgetRest(connection);
    const { session } = connection;
    if (session?.owner === connection && session.position === 0 && !session.inUse) this.#sessions.delete(session);
    if (this.#partials.forget(connection, now)) this.refresh();
  }
}
