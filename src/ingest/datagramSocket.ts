// Reads the datagram socket: as much as there is, in turns, without waiting.
import type { QueueWriter } from "../spool/queue.ts";
import type { DatagramGatherer, DatagramLimits } from "./datagrams.ts";
import type { Intake } from "./intake.ts";
import { EAGAIN, EINTR, errnoName, MSG_DONTWAIT, MSG_TRUNC, SHUT_RD } from "./libc.ts";
import type { UnixListener } from "./listeners.ts";
import { RETRY_PAUSE, type Shell, TURN_BYTES } from "./shell.ts";
import { removeSocketFile } from "./socketFile.ts";

export class DatagramSocket {
  readonly fd: number;
  readonly intake: Intake;
  readonly #shell: Shell;
  readonly #queue: Pick<QueueWriter, "gather" | "gathered">;
  readonly #listener: UnixListener;
  readonly #gatherer: DatagramGatherer;
  readonly #limits: Pick<DatagramLimits, "maxMessage">;
  #state: "open" | "draining" | "closed" = "open";
  #pausedUntil = 0;

  constructor(
    shell: Shell,
    listener: UnixListener,
    queue: Pick<QueueWriter, "gather" | "gathered">,
    intake: Intake,
    gatherer: DatagramGatherer,
    limits: Pick<DatagramLimits, "maxMessage">,
  ) {
    this.#shell = shell;
    this.#queue = queue;
    this.fd = listener.fd;
    this.intake = intake;
    this.#listener = listener;
    this.#gatherer = gatherer;
    this.#limits = limits;
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Whether it is to be polled. */
  wanted(now: number): boolean {
    return !this.closed && !this.intake.stalled && now >= this.#pausedUntil;
  }

  /** Reads until there is nothing more, the queue is full, or its turn is over. */
  read(now: number): void {
    // Its number may be somebody else's by now.
    if (this.closed) return;
    const { libc, memory } = this.#shell;
    const gatherer = this.#gatherer;
    const { fd } = this;
    const most = this.#limits.maxMessage;
    for (let read = 0; read < TURN_BYTES; ) {
      if (gatherer.full) {
        this.handOn();
        if (this.intake.stalled) return;
      }
      const length = libc.recv(fd, memory.address(gatherer.at), most, MSG_DONTWAIT | MSG_TRUNC);
      if (length >= 0) {
        gatherer.took(length);
        read += length + 1;
        continue;
      }
      const errno = libc.errno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN) this.#empty();
      else this.#failed(errno, now);
      return;
    }
  }

  /** Milliseconds until it may be read again after a failure; nothing when it may now. */
  pauseLeft(now: number): number | undefined {
    return !this.closed && this.#pausedUntil > now ? this.#pausedUntil - now : undefined;
  }

  /** No datagram is accepted any more; those that were are still read, then it closes by itself. */
  stop(): void {
    this.#state = "draining";
    removeSocketFile(this.#listener.file);
    this.#shell.libc.shutdown(this.fd, SHUT_RD);
  }

  /** What is not read by now is not read at all. */
  abandon(): void {
    if (this.closed) return;
    this.handOn();
    this.#state = "closed";
    this.#shell.libc.close(this.fd);
  }

  /** Puts what was gathered in the queue. */
  handOn(): void {
    this.#queue.gathered();
    this.#gatherer.handOn();
  }

  /**
   * There is nothing more for now. The kernel queues ten datagrams, and a block for each ten costs more than they do, above
   * all on disk. So what was gathered waits for more, if the reader of the queue has promised to ask for it in a moment. (A
   * timeout in poll would cost more than a small block does: 3.2 against 2.3 µs for each datagram, measured in C.)
   */
  #empty(): void {
    if (this.#state !== "draining" && this.#gatherer.count > 0 && this.#queue.gather()) return;
    this.handOn();
    if (this.#state !== "draining") return;
    this.#state = "closed";
    this.#shell.libc.close(this.fd);
  }

  /** The kernel is short of memory, or worse: nothing is lost by trying again later. */
  #failed(errno: number, now: number): void {
    this.#pausedUntil = now + RETRY_PAUSE;
    this.#shell.warn("the datagram socket could not be read; trying again", { error: errnoName(errno) });
  }
}
