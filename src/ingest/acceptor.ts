// Accepts connections on one listening socket.
import type { Intake } from "./intake.ts";
import {
  EAGAIN,
  ECONNABORTED,
  EINTR,
  EINVAL,
  EMFILE,
  ENFILE,
  EPERM,
  EPROTO,
  errnoName,
  IPPROTO_TCP,
  SHUT_RD,
  SO_KEEPALIVE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  TCP_NODELAY,
} from "./libc.ts";
import { RETRY_PAUSE, type Shell } from "./shell.ts";
import { removeSocketFile, type SocketFile } from "./socketFile.ts";

export class Acceptor {
  readonly fd: number;
  readonly intake: Intake;
  readonly #shell: Shell;
  readonly #file: SocketFile | undefined;
  /** Offset of an int that is 1. */
  readonly #one: number;
  #pausedUntil = 0;

  /** `file`: of a UNIX socket; a TCP socket has none. */
  constructor(shell: Shell, fd: number, file: SocketFile | undefined, intake: Intake) {
    this.#shell = shell;
    this.fd = fd;
    this.#file = file;
    this.intake = intake;
    this.#one = shell.memory.allocate(4);
    shell.memory.bytes.writeInt32LE(1, this.#one);
  }

  /** Milliseconds until it may be polled again; nothing when it may now. */
  pauseLeft(now: number): number | undefined {
    return this.#pausedUntil > now ? this.#pausedUntil - now : undefined;
  }

  /** Accepts what waits, at most `most` connections; `add` takes their descriptors. */
  accept(most: number, now: number, add: (fd: number) => void): void {
    const { libc, memory, warn } = this.#shell;
    for (let accepted = 0; accepted < most; ) {
      const fd = libc.accept4(this.fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        accepted++;
        if (this.#file === undefined) {
          // A peer that vanished without a word would otherwise hold its descriptor for ever.
          libc.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, memory.address(this.#one), 4);
          // A reply would otherwise wait until the one before was acknowledged.
          libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, memory.address(this.#one), 4);
        }
        add(fd);
        continue;
      }
      const errno = libc.errno();
      switch (errno) {
        case EAGAIN:
        case EINVAL: // after the shutdown of a stop
          return;
        // The connection that waited is gone, or a firewall forbids it: on to the next.
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case EPERM:
          continue;
        default: {
          this.#pausedUntil = now + RETRY_PAUSE;
          const files = errno === EMFILE || errno === ENFILE;
          const hint = files ? "raise the limit of open files (LimitNOFILE=, ulimit -n)" : "trying again";
          warn(`a connection could not be accepted: ${hint}`, { input: this.intake.kind, error: errnoName(errno) });
          return;
        }
      }
    }
  }

  /** Takes the last connections and closes. */
  stop(most: number, now: number, add: (fd: number) => void): void {
    const { libc } = this.#shell;
    if (this.#file !== undefined) {
      removeSocketFile(this.#file);
      // From here on connecting is refused, and those that wait already are still accepted. (A TCP socket would drop
      // them instead: it is closed right after they were taken.) EINVAL then says that there are no more.
      libc.shutdown(this.fd, SHUT_RD);
    }
    this.accept(most, now, add);
    libc.close(this.fd);
  }
}
