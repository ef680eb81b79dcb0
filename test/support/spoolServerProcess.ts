// The stand-in for a daemon with a disk buffer, as a test sees it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Behaviour, DISK } from "./spoolModel.ts";
import type { SpoolEvent, SpoolOrder } from "./spoolServer.ts";
import { decodeFrames } from "./streamServerProcess.ts";

export interface SpoolServer {
  port: number;
  /** Messages that were spooled in all its lives so far, as last told. */
  messages(): number;
  /** Resolves when that many bytes came in this life; when that many messages were spooled in all; connections in this. */
  receivedBytes(bytes: number): Promise<void>;
  spooled(messages: number): Promise<void>;
  accepted(connections?: number): Promise<void>;
  /** Changes what it does. */
  behave(changes: Partial<Behaviour>): Promise<void>;
  stall(stalled: boolean): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export interface SpoolServerOptions {
  directory: string;
  /** A path, or a port of 127.0.0.1; 0: any free one. */
  socket: string | number;
  behaviour?: Partial<Behaviour>;
}

export async function startSpoolServer(options: SpoolServerOptions): Promise<SpoolServer> {
  const { directory, socket } = options;
  let behaviour = { ...DISK, ...options.behaviour };
  const seen = { port: -1, accepted: 0, obeyed: 0, messages: 0, bytes: 0 };
  let waiting: { met: () => boolean; resolve: () => void }[] = [];
  const note = (event: SpoolEvent): void => {
    if (event.event === "accepted") seen.accepted++;
    if (event.event === "obeyed") seen.obeyed++;
    if (event.event === "listening") seen.port = event.port;
    if (event.event === "received") Object.assign(seen, { messages: event.messages, bytes: event.bytes });
    for (const { met, resolve } of waiting) if (met()) resolve();
    waiting = waiting.filter(({ met }) => !met());
  };
  const until = (met: () => boolean): Promise<void> =>
    met() ? Promise.resolve() : new Promise((resolve) => waiting.push({ met, resolve }));
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "spoolServer.ts"),
      ...[directory, String(socket), JSON.stringify(behaviour)],
    ],
    { ipc: note, stdio: ["ignore", "inherit", "inherit"] },
  );
  const failed = child.exited.then((code) => {
    if (seen.port < 0) throw new Error(`the stand-in for the daemon ended with ${code}`);
  });
  await Promise.race([until(() => seen.port >= 0), failed]);
  const order = async (what: SpoolOrder): Promise<void> => {
    const before = seen.obeyed;
    child.send(what);
    await until(() => seen.obeyed > before);
  };
  return {
    port: seen.port,
    messages: () => seen.messages,
    receivedBytes: (bytes) => until(() => seen.bytes >= bytes),
    spooled: (messages) => until(() => seen.messages >= messages),
    accepted: (connections = 1) => until(() => seen.accepted >= connections),
    async behave(changes) {
      behaviour = { ...behaviour, ...changes };
      await order({ behaviour });
    },
    stall: (stalled) => order({ stalled }),
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** The values of all messages that were spooled, in order, and the names of their sessions. */
export function spooledIn(directory: string): { values: string[]; sessions: Set<string> } {
  const path = join(directory, "spool");
  const all = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  const values: string[] = [];
  const sessions = new Set<string>();
  for (let at = 0; at + 20 <= all.length; ) {
    const end = at + 16 + all.readInt32BE(at + 16);
    if (end > all.length) break;
    sessions.add(all.toString("hex", at, at + 16));
    for (const { value } of decodeFrames(all.subarray(at + 16, end))) values.push(value.toString());
    at = end;
  }
  return { values, sessions };
}
