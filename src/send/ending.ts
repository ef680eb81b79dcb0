// What became of the messages on a connection that ended.
import { errno } from "./libc.ts";
import type { StreamSocket } from "./socket.ts";
import { SLICE, turn } from "./turn.ts";

/** "taken": the daemon has every message that the kernel took whole. "unknown": some of them, nobody can say which. */
export type Fate = "taken" | "unknown";

/**
 * Tells a daemon that stopped in good order from one that died, after `send` failed with `error` (0: no send failed,
 * the reading side just ended). Comes back when the connection is over, or `hurry` says so.
 *
 * A daemon that stops shuts down its reading side first, reads all that was accepted until then, and closes a moment
 * later. On a UNIX socket the shutdown makes our writes fail with EPIPE while our reading side is still open; the death
 * of a process ends both sides in one step, and says ECONNRESET when it left bytes unread. TCP tells none of this.
 */
export async function fateOf(socket: StreamSocket, error: number, hurry: () => boolean): Promise<Fate> {
  if (socket.kind !== "unix" || error !== errno.EPIPE || socket.ending() !== "open") return "unknown";
  // While a process dies the kernel marks its socket an instant before ours: look again.
  if (socket.awaitEnding(1) !== "open") return "unknown";
  for (;;) {
    // It reads on; should it die of that, the kernel says so.
    const ending = socket.awaitEnding(SLICE);
    if (ending !== "open") return ending === "eof" ? "taken" : "unknown";
    if (hurry()) return "unknown";
    await turn();
  }
}

/**
 * Says that nothing more comes and waits until the daemon, having read everything, closes: as long as it takes, or
 * until `hurry` says so.
 */
export async function farewell(socket: StreamSocket, hurry: () => boolean): Promise<Fate> {
  socket.endWriting();
  for (;;) {
    const ending = socket.awaitEnding(SLICE);
    if (ending !== "open") return ending === "eof" ? "taken" : "unknown";
    if (hurry()) return "unknown";
    await turn();
  }
}
