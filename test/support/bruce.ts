// The compiled executable as a user runs it: `bruce serve` in a directory of its own, ended when the test ends.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BRUCE } from "../../scripts/executable.ts";
import type { DaemonStatus } from "../../src/observe/status.ts";

export interface BruceOptions {
  /** "host:port,host:port" of the brokers; left out: those of its configuration file. */
  bootstrap?: string;
  /** KEY=VALUE as of --set, besides those that put all sockets into the directory. */
  set?: string[];
  /** To start again where another was: its directory, which then is not removed by this one. */
  directory?: string;
  /** Started with, say, another user's rights. */
  prefix?: string[];
  /** Where it logs (log.file), instead of its stderr. */
  logFile?: string;
  /** What its configuration file says; `set` goes over it. The file is bruce.toml in its directory. */
  config?: string;
  env?: Record<string, string>;
}

export interface Bruce {
  readonly pid: number;
  readonly directory: string;
  readonly sockets: { datagram: string; stream: string; tcp: { host: string; port: number } };
  readonly url: string;
  status(): Promise<DaemonStatus>;
  /** Resolves with the first status that passes; looks again a few times a second, for as long as the process lives. */
  until(passes: (status: DaemonStatus) => boolean): Promise<DaemonStatus>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>;
  kill(signal: NodeJS.Signals): Promise<number>;
  /** What it wrote on stderr, and into its log file as it is now. */
  log(): string;
  /** Resolves when it logged that; rejects when it ends without. */
  untilLogged(text: string): Promise<void>;
  /** Ends it if it still runs, removes the directory. */
  close(): Promise<void>;
}

/** Starts it and waits for its line "ready". Throws with its log when it ends before that. */
export async function startBruce(options: BruceOptions): Promise<Bruce> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "bruce-test-"));
  const stderr = join(directory, `log-${crypto.randomUUID()}`);
  const settings = [
    ...(options.bootstrap === undefined ? [] : [`kafka.brokers=${JSON.stringify(options.bootstrap.split(","))}`]),
    `input.datagram.path="${directory}/d"`,
    `input.stream.path="${directory}/s"`,
    "input.tcp.enabled=true",
    'input.tcp.listen="127.0.0.1:0"',
    'http.listen="127.0.0.1:0"',
    `buffer.path="${directory}/state"`,
    ...(options.logFile === undefined ? [] : [`log.file="${options.logFile}"`]),
    ...(options.set ?? []),
  ];
  const file = join(directory, "bruce.toml");
  if (options.config !== undefined) writeFileSync(file, options.config);
  const config = options.config === undefined ? [] : ["-c", file];
  const set = settings.flatMap((setting) => ["--set", setting]);
  const command = [...(options.prefix ?? []), BRUCE, "serve", ...config, ...set];
  const env = { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory, ...options.env };
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "ignore",
    stderr: Bun.file(stderr),
    env,
    cwd: directory,
  });
  const log = () => readFileSync(stderr, "utf8") + logged(options.logFile);
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  const ready = await untilReady(log, ended);
  const url = `http://${ready.http.host}:${ready.http.port}`;
  const status = async () => (await (await fetch(`${url}/api/v1/status`)).json()) as DaemonStatus;
  return {
    pid: child.pid,
    directory,
    sockets: { datagram: `${directory}/d`, stream: `${directory}/s`, tcp: ready.tcp },
    url,
    status,
    async until(passes) {
      for (;;) {
        const now = await status().catch((error) => {
          throw new Error(`bruce does not answer: ${error}\n${log()}`);
        });
        if (passes(now)) return now;
        await Bun.sleep(20);
      }
    },
    async stop() {
      child.kill("SIGTERM");
      return await child.exited;
    },
    async kill(signal) {
      child.kill(signal);
      return await child.exited;
    },
    log,
    async untilLogged(text) {
      for (;;) {
        const over = ended();
        if (log().includes(text)) return;
        if (over) throw new Error(`bruce ended without a word of "${text}":\n${log()}`);
        await Bun.sleep(10);
      }
    },
    async close() {
      child.kill("SIGKILL");
      await child.exited;
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}

function logged(file: string | undefined): string {
  return file !== undefined && existsSync(file) ? readFileSync(file, "utf8") : "";
}

interface Ready {
  http: { host: string; port: number };
  tcp: { host: string; port: number };
}

async function untilReady(log: () => string, ended: () => boolean): Promise<Ready> {
  for (;;) {
    const over = ended();
    for (const line of log().split("\n")) {
      if (line.includes('"msg":"ready"')) return JSON.parse(line);
    }
    if (over) throw new Error(`bruce ended before it was ready:\n${log()}`);
    await Bun.sleep(10);
  }
}
