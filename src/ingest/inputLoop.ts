// The input thread's loop: polls all sockets, reads what there is, and returns only when it was told to stop.
import type { WhenFull } from "../config/settings.ts";
import type { QueueState, QueueWriter } from "../spool/queue.ts";
import { ReceiptAsker } from "../spool/receiptMemory.ts";
import type { SplitterLimits } from "../wire/splitter.ts";
import { Acceptor } from "./acceptor.ts";
import { Connections } from "./connections.ts";
import { ABANDON, controlWords, FLUSHED, SharedCounters, STOP, takeSettings } from "./control.ts";
import { DatagramSocket } from "./datagramSocket.ts";
import { DatagramGatherer } from "./datagrams.ts";
import { DiscardTally } from "./discardTally.ts";
import { Intake } from "./intake.ts";
import { EINTR, ENOMEM, errnoName, POLLIN } from "./libc.ts";
import { PollSet } from "./pollSet.ts";
import type { InputKind, InputMessage, InputSettings, StartOrder } from "./report.ts";
import { Reporter } from "./reporter.ts";
import { type Shell, TURN_BYTES } from "./shell.ts";
import type { Sockets } from "./sockets.ts";
import { REPLY_BYTES, type SyncSurroundings } from "./syncs.ts";

// Slots of the poll set.
const EVENTS = 0;
const DATAGRAM = 1;
const STREAM = 2;
const TCP = 3;
const FIRST_CONNECTION = 4;

/** Bytes of a frame that are neither key nor value, at most: its fixed fields and the longest topic. */
const LARGEST_OVERHEAD = 32 + 249;
/** Connections accepted in one turn. */
const ACCEPT = 64;
/** The longest datagram that `input.datagram.max_message` may allow. */
const LARGEST_DATAGRAM = 262_144;

export interface LoopParts {
  shell: Shell;
  queue: QueueWriter;
  order: StartOrder;
  sockets: Sockets;
  post: (message: InputMessage) => void;
  /** Milliseconds, monotonic. */
  clock: () => number;
}

/** The memory for C that the loop needs, in bytes. */
export function memoryNeeded(order: StartOrder): number {
  return (
    TURN_BYTES * 3 +
    REPLY_BYTES +
    (order.datagram === undefined ? 0 : LARGEST_DATAGRAM) +
    order.limits.connections * 8 +
    65_536
  );
}

/** A listening socket, its place in the poll set, and what holds for its connections. */
interface Port {
  slot: number;
  acceptor: Acceptor;
  limits: SplitterLimits;
}

export class InputLoop {
  readonly #parts: LoopParts;
  readonly #control: Int32Array;
  readonly #poll: PollSet;
  readonly #intakes: Intake[] = [];
  readonly #discards = new DiscardTally();
  readonly #reporter: Reporter;
  readonly #connections: Connections;
  readonly #asker: ReceiptAsker | undefined;
  #queueState: QueueState;
  readonly #datagrams: DatagramSocket | undefined;
  readonly #ports: Port[] = [];
  /** Of each input; its connections have the same object. */
  readonly #limits = new Map<InputKind, SplitterLimits>();
  readonly #around: SyncSurroundings;
  /** Offset of the eight bytes read from the eventfd. */
  readonly #event: number;
  #phase: "running" | "draining" | "farewell" | "over" = "running";
  #farewellEnds = 0;
  #flushed = false;

  constructor(parts: LoopParts) {
    this.#parts = parts;
    const { order, shell, sockets: opened, queue, post } = parts;
    this.#control = controlWords(order.control);
    this.#poll = new PollSet(shell.memory, FIRST_CONNECTION + order.limits.connections);
    this.#event = shell.memory.allocate(8);
    this.#reporter = new Reporter(this.#control, this.#discards, (news) => post({ type: "report", news }));
    const { memory, acknowledged, syncAlways, sessions } = order.receipts;
    this.#asker = memory === undefined ? undefined : new ReceiptAsker(memory, () => post({ type: "asked" }));
    this.#queueState = queue.state;
    this.#around = {
      ...{ shell, queue, acknowledged, syncAlways },
      out: shell.memory.allocate(REPLY_BYTES),
      asker: this.#asker,
      phase: "running",
    };
    this.#connections = new Connections(
      shell,
      this.#poll,
      FIRST_CONNECTION,
      order.limits,
      this.#reporter,
      this.#around,
      sessions,
    );
    const { datagram, stream, tcp } = opened;
    if (datagram !== undefined && order.datagram !== undefined) {
      const limits = { maxMessage: order.datagram.maxMessage, maxPayload: this.#maxPayload(order.maxRecord) };
      const intake = this.#intake("datagram", order.datagram.whenFull);
      const size = TURN_BYTES + LARGEST_DATAGRAM;
      const start = shell.memory.allocate(size);
      const gatherer = new DatagramGatherer(shell.memory.bytes, start, start + size, limits, intake);
      this.#datagrams = new DatagramSocket(shell, datagram, queue, intake, gatherer, limits);
      this.#limits.set("datagram", limits);
    }
    if (stream !== undefined && order.stream !== undefined) {
      const intake = this.#intake("stream", order.stream.whenFull);
      this.#accept(STREAM, new Acceptor(shell, stream.fd, stream.file, intake), order.stream.maxMessage);
    }
    if (tcp !== undefined && order.tcp !== undefined) {
      const intake = this.#intake("tcp", order.tcp.whenFull);
      this.#accept(TCP, new Acceptor(shell, tcp.fd, undefined, intake), order.tcp.maxMessage);
    }
  }

  /** Runs until everything is closed after a stop. Throws when poll itself fails. */
  run(): void {
    const { shell, clock } = this.#parts;
    const { libc, memory } = shell;
    const slots = memory.address(this.#poll.offset);
    this.#poll.watch(EVENTS, this.#parts.order.eventFd, POLLIN);
    this.#watchPorts(clock());
    while (this.#phase !== "over") {
      const ready = libc.poll(slots, FIRST_CONNECTION + this.#connections.count, this.#timeout(clock()));
      const now = clock();
      if (ready > 0) {
        this.#serve(now);
      } else if (ready < 0) {
        const errno = libc.errno();
        if (errno !== EINTR && errno !== ENOMEM) throw new Error(`poll failed: ${errnoName(errno)}`);
      }
      if (this.#parts.queue.state !== this.#queueState) this.#changed(now);
      this.#connections.turn(now);
      this.#reporter.turn(now);
      this.#advance(now);
      this.#watchPorts(now);
    }
  }

  #intake(kind: InputKind, whenFull: WhenFull): Intake {
    const { queue, order, post } = this.#parts;
    const intake = new Intake({
      ...{ kind, whenFull, queue },
      discards: this.#discards,
      counters: new SharedCounters(order.control, kind),
      wallClock: Date.now,
      onFull: (bytes) => post({ type: "full", bytes }),
    });
    this.#intakes.push(intake);
    return intake;
  }

  #accept(slot: number, acceptor: Acceptor, maxMessage: number): void {
    const limits = { maxMessage, maxPayload: this.#maxPayload(this.#parts.order.maxRecord) };
    this.#ports.push({ slot, acceptor, limits });
    this.#limits.set(acceptor.intake.kind, limits);
  }

  #maxPayload(maxRecord: number): number {
    return Math.min(maxRecord, this.#parts.queue.largest - LARGEST_OVERHEAD);
  }

  /** Takes over other settings: for every frame that is not begun yet, and all that finds no room from now on. */
  #adopt({ maxRecord, syncAlways, ...inputs }: InputSettings): void {
    this.#around.syncAlways = syncAlways;
    for (const [kind, limits] of this.#limits) {
      limits.maxMessage = inputs[kind].maxMessage;
      limits.maxPayload = this.#maxPayload(maxRecord);
    }
    for (const intake of this.#intakes) intake.whenFull = inputs[intake.kind].whenFull;
    // Some that waited for room may be read now, and the other way round.
    this.#connections.refresh();
  }

  /** Does what poll has named. */
  #serve(now: number): void {
    if (this.#poll.events(EVENTS) !== 0) this.#wakened(now);
    if (this.#poll.events(DATAGRAM) !== 0) this.#datagrams?.read(now);
    this.#connections.read(now);
    for (let at = 0; at < this.#ports.length; at++) {
      const port = this.#ports[at] as Port;
      if (this.#poll.events(port.slot) !== 0) this.#acceptAt(port, now);
    }
  }

  #acceptAt({ acceptor, limits }: Port, now: number): void {
    const most = Math.min(ACCEPT, this.#connections.room);
    acceptor.accept(most, now, (fd) => this.#connections.add(fd, acceptor.intake, limits));
  }

  /** The disk has begun to refuse, or no longer does. */
  #changed(now: number): void {
    this.#queueState = this.#parts.queue.state;
    // What waits for memory may have room on the disk, and nobody would say so.
    this.#retry();
    this.#connections.answer(now);
  }

  /** Tries again what found no room. */
  #retry(): void {
    const stalled = this.#intakes.filter((intake) => intake.stalled);
    for (const intake of stalled) intake.retry();
    if (stalled.length > 0) this.#connections.refresh();
  }

  /** The main thread has something: room in the queue, an answer, or the stop. */
  #wakened(now: number): void {
    const { libc, memory } = this.#parts.shell;
    libc.read(this.#parts.order.eventFd, memory.address(this.#event), 8);
    this.#parts.queue.tend();
    const settings = takeSettings(this.#control);
    if (settings !== undefined) this.#adopt(settings);
    this.#datagrams?.handOn();
    this.#retry();
    this.#asker?.takeChanged();
    this.#connections.answer(now);
    if (Atomics.load(this.#control, STOP) !== 0 && this.#phase === "running") this.#stop(now);
    if (Atomics.load(this.#control, ABANDON) !== 0 && this.#phase === "draining") this.#abandon(now);
    if (Atomics.load(this.#control, FLUSHED) !== 0 && !this.#flushed) {
      this.#flushed = true;
      this.#connections.flushed(now);
    }
  }

  #stop(now: number): void {
    this.#phase = "draining";
    this.#datagrams?.stop();
    for (const { slot, acceptor, limits } of this.#ports) {
      this.#poll.ignore(slot);
      acceptor.stop(this.#connections.room, now, (fd) => this.#connections.add(fd, acceptor.intake, limits));
    }
    this.#ports.length = 0;
    this.#connections.stop();
  }

  /** The queue had no room for everything in time. */
  #abandon(now: number): void {
    for (const intake of this.#intakes) intake.abandon();
    this.#datagrams?.abandon();
    const connections = this.#connections.abandon(now);
    this.#parts.shell.warn("the buffer had no room for everything that was sent before the stop", { connections });
  }

  /** Goes on to the next phase of a stop, when this one is done. */
  #advance(now: number): void {
    const { post, order } = this.#parts;
    if (this.#phase === "draining") {
      if (this.#datagrams?.closed === false || !this.#connections.allDrained) return;
      if (this.#intakes.some((intake) => intake.stalled)) return;
      this.#reporter.turn(now, true);
      post({ type: "drained" });
      this.#phase = "farewell";
      this.#farewellEnds = now + order.limits.farewell;
    }
    // Those who wait to hear what was delivered are told as long as something is.
    const waits = this.#connections.asking && !this.#flushed;
    if (this.#phase === "farewell" && (this.#connections.count === 0 || (now >= this.#farewellEnds && !waits))) {
      this.#connections.closeAll(now);
      this.#reporter.turn(now, true);
      this.#phase = "over";
      post({ type: "closed" });
    }
  }

  // These two run once for every ten datagrams or so, and are written to leave no garbage behind: this thread's collector
  // counts the queue's shared memory as its own and runs rarely (12 MB more for each million datagrams, measured).

  #watchPorts(now: number): void {
    if (this.#datagrams?.wanted(now) === true) this.#poll.watch(DATAGRAM, this.#datagrams.fd, POLLIN);
    else this.#poll.ignore(DATAGRAM);
    this.#poll.ignore(STREAM);
    this.#poll.ignore(TCP);
    for (let at = 0; at < this.#ports.length; at++) {
      const port = this.#ports[at] as Port;
      const paused = this.#connections.room <= 0 || port.acceptor.pauseLeft(now) !== undefined;
      if (!paused) this.#poll.watch(port.slot, port.acceptor.fd, POLLIN);
    }
  }

  /** Milliseconds that poll may wait, -1 for as long as it takes. */
  #timeout(now: number): number {
    let least = sooner(Number.POSITIVE_INFINITY, this.#datagrams?.pauseLeft(now));
    least = sooner(least, this.#connections.timeLeft(now));
    least = sooner(least, this.#reporter.timeLeft(now));
    for (let at = 0; at < this.#ports.length; at++)
      least = sooner(least, (this.#ports[at] as Port).acceptor.pauseLeft(now));
    // When that time is over and it is still open, it waits for the main thread.
    if (this.#phase === "farewell" && now < this.#farewellEnds) least = sooner(least, this.#farewellEnds - now);
    return least === Number.POSITIVE_INFINITY ? -1 : Math.ceil(least);
  }
}

function sooner(least: number, left: number | undefined): number {
  return left !== undefined && left < least ? left : least;
}
