// Any command of the executable as a user types it, watched by what it says.
import { BRUCE } from "../../scripts/executable.ts";
import { listenTo } from "../support/listenTo.ts";

export interface CommandOptions {
  /** Also its home: no configuration of whoever runs the tests is found. */
  cwd: string;
  /** "pipe": what `write` is given. */
  stdin?: "pipe" | "ignore" | ReturnType<typeof Bun.file>;
  /** Started with, say, another user's rights. */
  prefix?: string[];
  executable?: string;
}

export interface CommandEnd {
  /** null when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Command extends AsyncDisposable {
  readonly pid: number;
  readonly running: boolean;
  /** Resolves when the pipe took it. */
  write(bytes: string | Uint8Array): Promise<void>;
  end(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Resolves when stderr has it, with all of stderr so far; rejects when the command ends without. */
  said(text: string): Promise<string>;
  /** The same of stdout. */
  printed(text: string): Promise<string>;
  readonly finished: Promise<CommandEnd>;
}

export function runBruce(args: string[], options: CommandOptions): Command {
  const { cwd, stdin = "ignore", prefix = [], executable = BRUCE } = options;
  const child = Bun.spawn([...prefix, executable, ...args], {
    stdin,
    stdout: "pipe",
    stderr: "pipe",
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: cwd, TMPDIR: cwd },
  });
  const sink = child.stdin as import("bun").FileSink | undefined;
  const stdout = listenTo(child.stdout);
  const stderr = listenTo(child.stderr);
  return {
    pid: child.pid,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    async write(bytes) {
      sink?.write(bytes);
      await sink?.flush();
    },
    async end() {
      await sink?.end();
    },
    signal: (name) => child.kill(name),
    said: stderr.has,
    printed: stdout.has,
    finished: (async () => {
      await child.exited;
      return { code: child.exitCode, stdout: await stdout.all, stderr: await stderr.all };
    })(),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
