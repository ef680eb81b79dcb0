// The stand-in for the daemon's stream input as a test sees it, and what reached it, decoded by other code than sent it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface ServerEvent {
  event: "listening" | "accepted" | "received" | "closed" | "stall" | "resume" | "drained" | "stopped";
  bytes?: number;
  port?: number;
}

/** One message as it stands on the wire. */
export interface Received {
  apiKey: number;
  partitionKey?: number;
  topic: string;
  timestamp: bigint;
  key: Buffer;
  value: Buffer;
}

export interface StreamServer {
  port: number;
  /** Bytes received so far. */
  bytes(): number;
  accepted(): number;
  /** Resolves when an event of that name has been seen `times` times, or received `bytes`. */
  seen(event: ServerEvent["event"], times?: number): Promise<void>;
  receivedBytes(bytes: number): Promise<void>;
  command(name: "stall" | "resume"): Promise<void>;
  /** Stops in good order. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export interface ServerOptions {
  /** Where connections are recorded. */
  directory: string;
  /** Names the runs of one test in their order. */
  run: number;
  /** A path, or TCP on any free port. */
  socket: string | "tcp";
  port?: number;
  /** A datagram socket at that path instead. */
  datagram?: boolean;
  stalled?: boolean;
}

export async function startStreamServer(options: ServerOptions): Promise<StreamServer> {
  const { directory, run, socket, port = 0, stalled, datagram } = options;
  const place = socket === "tcp" ? ["tcp", String(port)] : [datagram ? "datagram" : "unix", socket];
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "streamServer.ts"),
      ...[directory, String(run).padStart(4, "0"), ...place, ...(stalled ? ["stalled"] : [])],
    ],
    { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
  );
  const counts = new Map<string, number>();
  let bytes = 0;
  let listeningPort = 0;
  let waiting: { met: () => boolean; resolve: () => void }[] = [];
  const note = ({ event, bytes: total, port }: ServerEvent): void => {
    counts.set(event, (counts.get(event) ?? 0) + 1);
    bytes = total ?? bytes;
    listeningPort = port ?? listeningPort;
    for (const { met, resolve } of waiting) if (met()) resolve();
    waiting = waiting.filter(({ met }) => !met());
  };
  const until = (met: () => boolean): Promise<void> =>
    met() ? Promise.resolve() : new Promise((resolve) => waiting.push({ met, resolve }));
  const reading = (async () => {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) note(JSON.parse(line) as ServerEvent);
    }
  })();
  const tell = (command: string): void => {
    child.stdin.write(`${command}\n`);
    void child.stdin.flush();
  };
  const seen: StreamServer["seen"] = (event, times = 1) => until(() => (counts.get(event) ?? 0) >= times);
  const failed = child.exited.then((code) => {
    if (!counts.has("listening")) throw new Error(`the stand-in for the daemon ended with ${code}`);
  });
  await Promise.race([seen("listening"), failed]);
  return {
    port: listeningPort,
    seen,
    bytes: () => bytes,
    accepted: () => counts.get("accepted") ?? 0,
    receivedBytes: (wanted) => until(() => bytes >= wanted),
    async command(name) {
      const times = (counts.get(name) ?? 0) + 1;
      tell(name);
      await seen(name, times);
    },
    async stop() {
      tell("stop");
      await child.exited;
      await reading;
    },
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
      await reading;
    },
  };
}

/** What all runs received, connection by connection, in order. A frame cut off by the end of its connection is left out. */
export function receivedIn(directory: string): Received[] {
  // Zero-padded runs, then the number of the connection: fewer than ten of these in any test.
  const files = readdirSync(directory).filter((name) => /^\d{4}\.\d+$/.test(name));
  return files.sort().flatMap((name) => decodeFrames(readFileSync(join(directory, name))));
}

/** Decodes frames back to back, by the grammar in the documentation and nothing of bruce's own. */
export function decodeFrames(bytes: Buffer): Received[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: Received[] = [];
  for (let start = 0; start + 4 <= bytes.length; ) {
    const size = view.getInt32(start);
    if (size < 28) throw new Error(`a frame of ${size} bytes at ${start}`);
    if (start + size > bytes.length) break;
    let at = start + 4;
    const skip = (length: number): number => {
      at += length;
      return at - length;
    };
    const apiKey = view.getInt16(skip(2));
    if (view.getInt32(skip(4)) !== 0) throw new Error(`version or flags at ${start}`);
    const partitionKey = apiKey === 257 ? view.getInt32(skip(4)) : undefined;
    const take = (length: number): Buffer => bytes.subarray(skip(length), at);
    const topic = take(view.getInt16(skip(2))).toString();
    const timestamp = view.getBigInt64(skip(8));
    const key = take(view.getInt32(skip(4)));
    const value = take(view.getInt32(skip(4)));
    if (at !== start + size) throw new Error(`the lengths of the frame at ${start} do not add up`);
    messages.push({ apiKey, partitionKey, topic, timestamp, key, value });
    start = at;
  }
  return messages;
}
