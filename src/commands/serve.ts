// `bruce serve`: the forwarder, from its configuration to its last message.
import { formatConfigErrors, loadSettings } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { type Daemon, startDaemon } from "../daemon.ts";
import { codecObjections } from "../kafka/codecs.ts";
import { kafkaObjections } from "../kafka/objections.ts";
import { openSecurity } from "../kafka/security.ts";
import { createLogger, type Log } from "../observe/log.ts";
import { Reloader } from "../reload.ts";
import { VERSION } from "./cliVersion.ts";
import type { DevSurroundings } from "./serveDev.ts";

export interface ServeOptions {
  /** The configuration file; without it the one at the default place, if there is one. */
  config?: string;
  /** KEY=VALUE, each over the file's. */
  set: string[];
  /** With an embedded broker instead of Kafka. */
  dev: boolean;
}

const FAILED = 1;
const BAD_USAGE = 2;

/** Serves until it is told to stop. Returns the exit code: 1 when messages had to be given up at the end. */
export async function serveCommand(options: ServeOptions): Promise<number> {
  // First of all: a signal that comes while things start must not end them halfway.
  const signals = catchSignals();
  const dev = options.dev ? await (await import("./serveDev.ts")).startDev() : undefined;
  try {
    return await serve(options, signals, dev);
  } finally {
    await dev?.stop();
  }
}

async function serve(options: ServeOptions, signals: Signals, dev: DevSurroundings | undefined): Promise<number> {
  const set = [...(dev?.set ?? []), ...options.set];
  const env = { ...process.env };
  const load = () => {
    const objections = dev === undefined ? kafkaObjections : codecObjections;
    const loaded = loadSettings({ file: options.config, set, env, objections });
    // The embedded broker speaks neither, whatever a configuration for other brokers says.
    if (dev !== undefined && "settings" in loaded)
      Object.assign(loaded.settings.kafka, { tls: { enabled: false, verify: true }, sasl: {} });
    return loaded;
  };
  const loaded = load();
  if ("errors" in loaded) {
    process.stderr.write(`${formatConfigErrors(loaded.errors)}\n`);
    return BAD_USAGE;
  }
  const { settings, file } = loaded;
  const opened = openSecurity(settings.kafka);
  if ("problem" in opened) {
    process.stderr.write(`${opened.problem}\n`);
    return BAD_USAGE;
  }
  let log: Log;
  try {
    log = createLogger(settings.log);
  } catch (error) {
    process.stderr.write(`bruce: the log cannot be opened: ${(error as Error).message}\n`);
    return FAILED;
  }
  const security = { current: opened.security };
  const reloader = new Reloader({ settings, file, load, openSecurity, security, log });
  signals.follow(log, reloader);
  log.info("starting", { version: VERSION, config: file ?? "defaults", kafka: brokerList(settings) });
  for (const warning of [...opened.warnings, ...(loaded.warnings ?? [])]) log.warn(warning);
  let daemon: Daemon;
  try {
    daemon = await startDaemon({ settings, security, log, version: VERSION, config: () => reloader.status });
  } catch (error) {
    log.error("cannot start", { why: (error as Error).message });
    return FAILED;
  }
  log.info("ready", { ...daemon.addresses });
  dev?.ready(daemon.addresses);
  reloader.start(daemon);
  const signal = await signals.next();
  reloader.stop();
  return await stop(signal, { daemon, settings, log, signals });
}

interface Serving {
  daemon: Daemon;
  settings: Settings;
  log: Log;
  signals: Signals;
}

/** Stops gracefully; at once on another TERM or INT. */
async function stop(signal: string, { daemon, settings, log, signals }: Serving): Promise<number> {
  log.info("stopping: inputs first, then what was taken is delivered", {
    signal,
    held: daemon.status().ledger.held,
    at_most_ms: settings.delivery.shutdownTimeout,
  });
  const second = signals.next().then(() => "at once" as const);
  const end = await Promise.race([daemon.stop(), second]);
  const { ledger, buffer } = daemon.status();
  if (end === "at once") {
    const held = buffer.mode === "disk" ? { left_in_buffer: ledger.held } : { lost: ledger.held };
    log.error("stopped at once, on a second signal", held);
    return FAILED;
  }
  const { lost, left } = end;
  const { delivered, discarded } = ledger;
  if (lost > 0) log.error("stopped; messages were lost: Kafka did not take them in time", { lost, delivered, left });
  else if (left > 0)
    log.info("stopped; what is left is delivered after the next start", { left_in_buffer: left, delivered });
  else log.info("stopped", { delivered, discarded });
  return lost > 0 ? FAILED : 0;
}

interface Signals {
  /** Resolves with the next TERM or INT, also one that came before. */
  next(): Promise<string>;
  /** USR1 opens the log anew from now on; HUP asks for a reload, also one that came before. */
  follow(log: Log, reloader: Reloader): void;
}

function catchSignals(): Signals {
  const arrived: string[] = [];
  let waiting: ((signal: string) => void) | undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (waiting === undefined) arrived.push(signal);
      else waiting(signal);
      waiting = undefined;
    });
  }
  let reopen = () => {};
  let isWanted = false;
  let reload = () => {
    isWanted = true;
  };
  process.on("SIGUSR1", () => reopen());
  process.on("SIGHUP", () => reload());
  return {
    next: () =>
      new Promise((resolve) => {
        const first = arrived.shift();
        if (first === undefined) waiting = resolve;
        else resolve(first);
      }),
    follow(log, reloader) {
      reopen = () => log.reopen();
      reload = () => reloader.request();
      if (isWanted) reload();
    },
  };
}

function brokerList(settings: Settings): string {
  return settings.kafka.brokers.map(({ host, port }) => `${host}:${port}`).join(",");
}
