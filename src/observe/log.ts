// The log: one line per event, on stderr or in a file, in the form its reader wants, with no secret in it.
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import pino from "pino";
import { journalLine, textLine } from "./logFormat.ts";
import { cleanFields, cleanText } from "./logRedact.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "auto" | "text" | "json" | "journal";
export type LogFields = Record<string, unknown>;
export type LogFunction = (message: string, fields?: LogFields) => void;

export interface LogSettings {
  level: LogLevel;
  format: LogFormat;
  /** "" is stderr. */
  file: string;
}

export interface Log {
  debug: LogFunction;
  info: LogFunction;
  warn: LogFunction;
  error: LogFunction;
  /** The same log with `fields` on every line. */
  child(fields: LogFields): Log;
  /** Opens the log file anew, after it was moved away (logrotate). Nothing to do on stderr. Never throws. */
  reopen(): void;
  /** Of this log and of all its parents and children. */
  setLevel(level: LogLevel): void;
  /** Opens what other settings need; nothing is changed yet. Of this log and of all its parents and children. */
  prepare(settings: LogSettings): PreparedLog | { problem: string };
}

/** A log that could be written as other settings say. One of the two must be called. */
export interface PreparedLog {
  /** Writes on that way, from now on. */
  use(): void;
  /** Leaves everything as it is. */
  drop(): void;
}

/** Where lines go in tests; each is whole and ends in a newline. */
export interface LogStream {
  write(line: string): unknown;
  isTTY?: boolean;
}

const SEVERITY: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
const STDERR = 2;
const FILE_MODE = 0o640;
/** A log that cannot be written (disk full) is dropped beyond this, never piled up. */
const MAX_UNWRITTEN = 1 << 20;

/** Where lines go, and how. */
interface Output {
  settings: LogSettings;
  sink: Sink;
  write(line: string): unknown;
}

interface Sink extends LogStream {
  /** Gives why it failed. */
  reopen(): string | undefined;
  close(): void;
}

/** What a log and its children share, and what changes under them. */
interface Shared {
  threshold: number;
  output: Output;
  open: (settings: LogSettings) => Output;
}

/**
 * A log as `settings` say. Throws when the file cannot be opened. A line that cannot be written is lost, in silence:
 * the log must never stop the daemon.
 */
export function createLogger(settings: LogSettings, stream?: LogStream, env = process.env): Log {
  const open = (wanted: LogSettings, sink = stream === undefined ? openSink(wanted.file) : sinkOf(stream)): Output => {
    const terminal = stream === undefined ? wanted.file === "" && process.stderr.isTTY === true : sink.isTTY === true;
    const format = wanted.format === "auto" ? autoFormat(wanted.file, terminal, env) : wanted.format;
    const write = formatted(format, sink, terminal && env.NO_COLOR === undefined);
    return { settings: { ...wanted }, sink, write };
  };
  const shared: Shared = {
    threshold: SEVERITY[settings.level],
    output: open(settings),
    open: (wanted) => {
      const { sink, settings: before } = shared.output;
      return open(wanted, wanted.file === before.file ? sink : undefined);
    },
  };
  const lines = pino(
    {
      level: "debug",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      // Errors are plain values by then; pino's own serializer would change their type.
      serializers: { err: (value) => value },
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => void shared.output.write(line) },
  );
  return logOf(lines, shared);
}

function logOf(lines: pino.Logger, shared: Shared): Log {
  const at =
    (level: LogLevel): LogFunction =>
    (message, fields) => {
      if (SEVERITY[level] < shared.threshold) return;
      const stacks = shared.threshold === SEVERITY.debug;
      if (fields === undefined) lines[level](cleanText(message));
      else lines[level](cleanFields(fields, stacks), cleanText(message));
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => logOf(lines.child(cleanFields(fields, false)), shared),
    reopen: () => {
      const problem = shared.output.sink.reopen();
      if (problem !== undefined)
        lines.error({ problem }, "the log file cannot be opened anew; writing on to the old one");
    },
    setLevel: (level) => {
      shared.threshold = SEVERITY[level];
    },
    prepare: (settings) => prepared(shared, settings),
  };
}

function prepared(shared: Shared, settings: LogSettings): PreparedLog | { problem: string } {
  let output: Output;
  try {
    output = shared.open(settings);
  } catch (error) {
    return { problem: (error as Error).message };
  }
  const closeUnless = (kept: Output, other: Output) => {
    if (other.sink !== kept.sink) other.sink.close();
  };
  return {
    use: () => {
      const before = shared.output;
      shared.output = output;
      shared.threshold = SEVERITY[settings.level];
      closeUnless(output, before);
    },
    drop: () => closeUnless(shared.output, output),
  };
}

function sinkOf(stream: LogStream): Sink {
  return { write: (line) => stream.write(line), isTTY: stream.isTTY, reopen: () => undefined, close: () => {} };
}

function openSink(file: string): Sink {
  const destination = open(file === "" ? STDERR : file);
  destination.on("error", () => {});
  return {
    write: (line) => destination.write(line),
    reopen: () => (file === "" ? undefined : reopened(destination, file)),
    // Standard error stays open for others, and for the next time.
    close: () => (file === "" ? undefined : destination.end()),
  };
}

/** Why the file cannot be opened anew, in which case the old one is written on; undefined when it was. */
function reopened(sink: { reopen(): void }, file: string): string | undefined {
  try {
    // First by hand: when the sink itself fails to open, it has let go of the old file already.
    tryToOpen(file);
    sink.reopen();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

/** Throws when it cannot be written, also instead of waiting for somebody to read from a pipe (ENXIO). */
function tryToOpen(file: string): void {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
  closeSync(openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, FILE_MODE));
}

function open(dest: string | number) {
  try {
    if (typeof dest === "string") tryToOpen(dest);
    return pino.destination({ dest, sync: true, mkdir: false, maxLength: MAX_UNWRITTEN, mode: FILE_MODE });
  } catch (error) {
    throw new Error(`the log file ${dest} (log.file) cannot be opened: ${codeOf(error)}`, { cause: error });
  }
}

function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && error.code === "ENXIO") return "nobody reads from this pipe (ENXIO)";
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

function autoFormat(file: string, terminal: boolean, env: NodeJS.ProcessEnv): Exclude<LogFormat, "auto"> {
  if (terminal) return "text";
  return file === "" && isJournal(env.JOURNAL_STREAM) ? "journal" : "json";
}

/** JOURNAL_STREAM is inherited by children whose stderr goes elsewhere, so device and inode must be those of stderr. */
function isJournal(journal: string | undefined): boolean {
  if (journal === undefined) return false;
  try {
    const { dev, ino } = fstatSync(STDERR);
    return journal === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

function formatted(format: Exclude<LogFormat, "auto">, sink: LogStream, colour: boolean): Output["write"] {
  switch (format) {
    case "json":
      return (line) => sink.write(line);
    case "journal":
      return (line) => sink.write(journalLine(line));
    case "text": {
      const pretty = textLine(colour);
      return (line) => sink.write(pretty(line));
    }
  }
}
