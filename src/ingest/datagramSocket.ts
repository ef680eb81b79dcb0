// Reads the datagram socket: as much as there is, in turns, without waiting.
import type { DatagramGatherer } from "./datagrams.ts";
import type { Intake } from "./intake.ts";
import { EAGAIN, EINTR, errnoName, MSG_DONTWAIT, MSG_TRUNC, SHUT_RD } from "./libc.ts";
import type { UnixListener } from "./listeners.ts";
import { RETRY_PAUSE, type Shell, TURN_BYTES } from "./shell.ts";
import { removeSocketFile } from "./socketFile.ts";

/** Milliseconds for which messages are gathered before they are handed on, while more keep coming. */
const GATHER = 1;

export class DatagramSocket {
  readonly fd: number;
  readonly intake: Intake;
  readonly #shell: Shell;
  readonly #listener: UnixListener;
  readonly #gatherer: DatagramGatherer;
  readonly #maxMessage: number;
  #state: "open" | "draining" | "closed" = "open";
  #handedOn = Number.NEGATIVE_INFINITY;
  #pausedUntil = 0;

  constructor(shell: Shell, listener: UnixListener, intake: Intake, gatherer: DatagramGatherer, maxMessage: number) {
    this.#shell = shell;
    this.fd = listener.fd;
    this.intake = intake;
    this.#listener = listener;
    this.#gatherer = gatherer;
    this.#maxMessage = maxMessage;
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
    const { libc, memory } = this.#shell;
    const gatherer = this.#gatherer;
    const { fd } = this;
    const most = this.#maxMessage;
    for (let read = 0; read < TURN_BYTES; ) {
      if (gatherer.full) {
        this.#handOn(now);
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
      if (errno === EAGAIN) this.#empty(now);
      else this.#failed(errno, now);
      return;
    }
  }

  /** Milliseconds until `turn` has something to do, or nothing. */
  timeLeft(now: number): number | undefined {
    if (this.closed) return undefined;
    if (this.#pausedUntil > now) return this.#pausedUntil - now;
    return this.#gatherer.count > 0 ? Math.max(0, this.#handedOn + GATHER - now) : undefined;
  }

  /** Hands on what was gathered long enough. */
  turn(now: number): void {
    if (this.#gatherer.count > 0 && now - this.#handedOn >= GATHER) this.#handOn(now);
  }

  /** No datagram is accepted any more; those that were are still read, then it closes by itself. */
  stop(): void {
    this.#state = "draining";
    removeSocketFile(this.#listener.file);
    this.#shell.libc.shutdown(this.fd, SHUT_RD);
  }

  #handOn(now: number): void {
    this.#gatherer.handOn();
    this.#handedOn = now;
  }

  #empty(now: number): void {
    if (this.#state !== "draining") return;
    this.#handOn(now);
    this.#state = "closed";
    this.#shell.libc.close(this.fd);
  }

  /** The kernel is short of memory, or worse: nothing is lost by trying again later. */
  #failed(errno: number, now: number): void {
    this.#pausedUntil = now + RETRY_PAUSE;
    this.#shell.warn("the datagram socket could not be read; trying again", { error: errnoName(errno) });
  }
}
