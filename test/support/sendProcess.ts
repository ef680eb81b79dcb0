// `bruce send` as a process with a pipe to its standard input.
import { join } from "node:path";
import { BRUCE } from "../../scripts/executable.ts";
import type { SendCommandOptions } from "../../src/commands/send.ts";
import { listenTo } from "./listenTo.ts";

/** The command line of one run. */
export type CommandLine = (options: SendCommandOptions) => string[];

/** Without receipts, which the stand-in for the daemon's stream input does not give. */
const WITHOUT_RECEIPTS = { topic: "lines", retry: "20s", wait: "none" } as const;

/** How it is run from source. */
export const FROM_SOURCE: CommandLine = (options) => [
  process.execPath,
  join(import.meta.dir, "sendMain.ts"),
  JSON.stringify(options),
];

/** How it is run as a user would. */
export const COMPILED: CommandLine = ({ topic, files = [], ...options }) => [
  ...[BRUCE, "send", topic],
  // With "=", or a value that begins with "-" would look like an option.
  ...Object.entries(options).map(
    ([name, value]) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}=${value}`,
  ),
  ...files,
];

export interface SendProcess {
  pid: number;
  /** Writes to its standard input; resolves when the pipe took it. */
  write(bytes: string | Uint8Array): Promise<void>;
  end(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Its exit code and all it said on stderr. */
  finished: Promise<{ code: number | null; stderr: string }>;
  /** Resolves when stderr has that in it, with all of it so far; rejects when it ends without. */
  said(text: string): Promise<string>;
}

export interface SendProcessOptions {
  command?: CommandLine;
  env?: Record<string, string>;
  /** A file for standard input instead of a pipe. */
  stdin?: ReturnType<typeof Bun.file>;
  cwd?: string;
}

export function startSend(options: Partial<SendCommandOptions>, given: SendProcessOptions = {}): SendProcess {
  const { command = FROM_SOURCE, env = {}, stdin = "pipe", cwd } = given;
  const child = Bun.spawn(command({ ...WITHOUT_RECEIPTS, ...options }), {
    stdin,
    stdout: "inherit",
    stderr: "pipe",
    cwd,
    env: { ...process.env, ...env },
  });
  const stderr = listenTo(child.stderr as ReadableStream<Uint8Array>);
  const sink = child.stdin as import("bun").FileSink | undefined;
  return {
    pid: child.pid,
    async write(bytes) {
      sink?.write(bytes);
      await sink?.flush();
    },
    async end() {
      await sink?.end();
    },
    signal: (name) => child.kill(name),
    finished: (async () => {
      const code = await child.exited;
      return { code, stderr: await stderr.all };
    })(),
    said: stderr.has,
  };
}
