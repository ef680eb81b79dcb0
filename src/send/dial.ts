// Reaching the daemon: tries again, with growing pauses, while it is not there.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { errno, errorName } from "./libc.ts";
import { type Endpoint, StreamSocket } from "./socket.ts";
import type { Stop } from "./stop.ts";
import { SLICE, turn } from "./turn.ts";

/** Where the daemon is looked for. */
export type Target = { kind: "unix"; path: string } | { kind: "tcp"; host: string; port: number };

/** The connection, or why there is none; "wrong": waiting would not help. */
export type Dialed =
  | { kind: "connected"; socket: StreamSocket }
  | { kind: "away" | "wrong"; reason: string }
  | { kind: "stopped" };

export interface DialOptions {
  target: Target;
  /** How long to try, ms; 0: once. */
  retry: number;
  /** Since when there was no connection that lasted, on the clock of performance.now(). */
  since: number;
  /** How many connections came and went since then. */
  flaps: number;
  stop: Stop;
  /** Whether a first signal to stop ends it (nothing waits to be sent), or only a second. */
  eager: boolean;
  /** Told once, when it takes longer than a moment. */
  onWaiting: (reason: string) => void;
}

const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 500;
/** Longer than this is worth a word. */
const MOMENT = 1000;
/** A daemon that starts makes its socket first and then sets who may write to it. */
const FORBIDDEN_FOR = 1000;

type Failure = { reason: string; fatal: boolean; forbidden?: boolean };

/** Connects, trying again as long as `retry` says. */
export async function dial(options: DialOptions): Promise<Dialed> {
  const { target, retry, since, flaps, stop, eager, onWaiting } = options;
  const stopped = (): boolean => stop.count > (eager ? 0 : 1);
  let pause = Math.min(FIRST_PAUSE * 2 ** flaps, LONGEST_PAUSE);
  let told = false;
  if (flaps > 0) {
    if (performance.now() - since >= retry) return { kind: "away", reason: "it closes every connection" };
    await sleep(pause * (0.5 + Math.random() / 2));
  }
  for (;;) {
    const outcome = await attempt(target, stopped);
    if (outcome instanceof StreamSocket) return { kind: "connected", socket: outcome };
    if (stopped()) return { kind: "stopped" };
    const waited = performance.now() - since;
    if (outcome.fatal || (outcome.forbidden && waited >= Math.min(retry, FORBIDDEN_FOR))) {
      return { kind: "wrong", reason: outcome.reason };
    }
    if (waited >= retry) return { kind: "away", reason: outcome.reason };
    if (!told && waited >= MOMENT) {
      told = true;
      onWaiting(outcome.reason);
    }
    // Half of the pause is chance, so that many clients do not come back all at once.
    await sleep(Math.min(pause * (0.5 + Math.random() / 2), retry - waited));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

async function attempt(target: Target, stopped: () => boolean): Promise<StreamSocket | Failure> {
  const endpoint = await resolve(target);
  if ("reason" in endpoint) return endpoint;
  const socket = StreamSocket.open(endpoint);
  if (typeof socket === "number") return explain(-socket, target);
  if (target.kind === "unix") return socket;
  const began = performance.now();
  for (;;) {
    const connected = socket.connected(SLICE);
    if (connected === 1) return socket;
    const late = performance.now() - began > CONNECT_TIMEOUT;
    if (connected < 0 || late || stopped()) {
      socket.close();
      return explain(connected < 0 ? -connected : errno.ETIMEDOUT, target);
    }
    await turn();
  }
}

/** How long one attempt over TCP may take, ms. */
const CONNECT_TIMEOUT = 5000;

async function resolve(target: Target): Promise<Endpoint | Failure> {
  if (target.kind === "unix") return target;
  const { host, port } = target;
  const family = isIP(host);
  if (family !== 0) return { kind: "tcp", address: host, family: family === 4 ? 4 : 6, port };
  try {
    const found = await lookup(host);
    return { kind: "tcp", address: found.address, family: found.family === 6 ? 6 : 4, port };
  } catch (error) {
    return { reason: `the host ${host} has no address (${(error as NodeJS.ErrnoException).code})`, fatal: false };
  }
}

function explain(error: number, target: Target): Failure {
  const unix = target.kind === "unix";
  switch (error) {
    case errno.ENOENT:
      return { reason: "there is no such socket", fatal: false };
    case errno.ECONNREFUSED:
      return { reason: "nothing listens there", fatal: false };
    case errno.EAGAIN:
      return { reason: "too many clients are waiting for it", fatal: false };
    case errno.EACCES:
    case errno.EPERM:
      return { reason: "you may not write to it: ask for input.stream.mode", fatal: !unix, forbidden: true };
    case errno.EPROTOTYPE:
      return { reason: "that is not a stream socket: name input.stream.path, not input.datagram.path", fatal: true };
    case errno.ETIMEDOUT:
      return { reason: "it does not answer", fatal: false };
    default:
      return { reason: `cannot connect (${errorName(error)})`, fatal: false };
  }
}
