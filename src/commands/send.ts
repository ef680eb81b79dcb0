// `bruce send TOPIC [FILE…]`: lines of standard input or files as messages for the daemon.
import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import { parseDuration } from "../config/units.ts";
import type { Inability } from "../send/conversation.ts";
import { unescaped } from "../send/escapes.ts";
import type { LineFormat } from "../send/framer.ts";
import { inputProblem, inputsOf } from "../send/inputs.ts";
import { isWait, WAITS, type Wait } from "../send/level.ts";
import { count, type Output, Reporter } from "../send/report.ts";
import { type SendEnd, Sender, type Tally } from "../send/sender.ts";
import { listenForStop, type Stop } from "../send/stop.ts";
import { chooseTarget, describe, hint } from "../send/target.ts";
import { isLegalTopic } from "../wire/topic.ts";

/** The options as they were written. */
export interface SendCommandOptions {
  topic: string;
  /** None: standard input, as is "-". */
  files?: string[];
  socket?: string;
  tcp?: string;
  key?: string | number;
  keyDelimiter?: string | number;
  partitionKey?: string | number;
  delimiter?: string | number;
  retry?: string | number;
  wait?: string;
  timeout?: string | number;
  config?: string;
}

export interface SendSurroundings {
  env?: Record<string, string | undefined>;
  stderr?: Output;
}

const DEFAULT_RETRY = "30s";
/** What is done without being asked, as far as the daemon can. */
const DEFAULT_WAIT: Wait = "spooled";
const EXIT = { done: 0, failed: 1, usage: 2, later: 75, SIGINT: 130, SIGTERM: 143 } as const;

/** Sends lines until the input ends; the exit code. */
export async function sendCommand(options: SendCommandOptions, surroundings: SendSurroundings = {}): Promise<number> {
  const { env = process.env, stderr = ownStderr() } = surroundings;
  const inputs = inputsOf(options.files ?? []);
  const reporter = new Reporter(stderr, isatty(0) && inputs.some(({ path }) => path === undefined));
  const refuse = (problem: string): number => {
    reporter.say(problem);
    return EXIT.usage;
  };

  if (process.platform !== "linux") return refuse(`runs on Linux only, not on ${process.platform}`);
  const chosen = chooseTarget({ socket: options.socket, tcp: options.tcp, config: options.config, env });
  if ("problem" in chosen) return refuse(chosen.problem);
  const format = lineFormat(options, chosen.maxMessage);
  if ("problem" in format) return refuse(format.problem);
  const retry = parseDuration(String(options.retry ?? DEFAULT_RETRY));
  if (retry === undefined) return refuse(`--retry wants a duration such as 500ms, 30s or 0, not "${options.retry}"`);
  const wait = options.wait ?? DEFAULT_WAIT;
  if (!isWait(wait)) return refuse(`--wait wants ${WAITS.slice(0, -1).join(", ")} or ${WAITS.at(-1)}, not "${wait}"`);
  const limit = options.timeout === undefined ? undefined : String(options.timeout);
  const timeout = limit === undefined ? Number.POSITIVE_INFINITY : parseDuration(limit);
  if (timeout === undefined) return refuse(`--timeout wants a duration such as 10s or 5m, not "${limit}"`);
  for (const input of inputs) {
    const problem = inputProblem(input);
    if (problem !== undefined) return refuse(`${problem}; nothing was sent`);
  }

  const { target, warning } = chosen;
  if (warning !== undefined) reporter.say(warning);
  const where = describe(target);
  const stop = listenForStop();
  const strict = options.wait !== undefined && wait !== "none";
  const sayOnce = once((sentence) => reporter.say(sentence));
  const sender = new Sender({
    ...{ target, retry, timeout, wait, strict, inputs, format, stop },
    events: {
      waiting: (reason) => reporter.say(`waiting for the daemon at ${where}: ${reason}${hint(target)}`),
      lost: (lines) => reporter.say(`the connection to ${where} broke: ${fateUnknown(lines)}`),
      unable: (why) => sayOnce(`${inability(why, where, wait)}; goes on without`),
      tooLong: (input, line) => reporter.say(`line ${line} of ${input} is too long for a message; left out`),
      progress: (tally) => reporter.progress(tally, wait),
    },
  });
  try {
    const end = await sender.run();
    if (end.kind === "away") reporter.say(`no daemon at ${where}: ${end.reason}${hint(target)}`);
    if (end.kind === "wrong") reporter.say(`cannot use ${where}: ${end.reason}`);
    if (end.kind === "unreadable") reporter.say(end.problem);
    if (end.kind === "refused") reporter.say(`${inability(end.why, where, wait)}; nothing was sent`);
    if (end.kind === "late") {
      const what = wait === "none" ? "taken" : wait;
      reporter.say(`no receipt within ${limit} that all lines are ${what}; "bruce status" tells what they wait for`);
    }
    reporter.summary(sender.tally, wait, end.kind !== "done");
    return exitCode(end, sender.tally, stop);
  } finally {
    stop.release();
  }
}

function fateUnknown(lines: number): string {
  return `whether ${count(lines, "line")} sent over it reached the daemon is unknown; not sent again`;
}

function inability(why: Inability, where: string, wait: Wait): string {
  if (why === "mute") return `the daemon at ${where} gives no receipts`;
  return `the daemon at ${where} has no disk buffer, so no line is ${wait} there`;
}

/** Says no sentence twice. */
function once(say: (sentence: string) => void): (sentence: string) => void {
  const said = new Set<string>();
  return (sentence) => {
    if (!said.has(sentence)) say(sentence);
    said.add(sentence);
  };
}

function exitCode(end: SendEnd, tally: Tally, { signal }: Stop): number {
  switch (end.kind) {
    case "done":
      return isFlawless(tally) ? EXIT.done : EXIT.failed;
    case "stopped":
      return signal === undefined ? EXIT.failed : EXIT[signal];
    case "away":
    case "late":
      return EXIT.later;
    case "wrong":
    case "refused":
    case "unreadable":
      return EXIT.failed;
  }
}

function isFlawless({ uncertain, short, discarded, someDiscarded, tooLong }: Tally): boolean {
  return uncertain + short + discarded + tooLong === 0 && !someDiscarded;
}

/** What lines become, or which option is wrong. */
function lineFormat(options: SendCommandOptions, maxMessage: number): LineFormat | { problem: string } {
  const { topic } = options;
  const topicBytes = Buffer.from(topic);
  if (!isLegalTopic(topicBytes, 0, topicBytes.length)) {
    return { problem: `"${topic}" is no topic: 1 to 249 letters, digits, ".", "_" and "-", and not "." or ".."` };
  }
  const delimiter = bytesOf(options.delimiter ?? "\\n");
  if (delimiter === undefined || delimiter.length === 0) return { problem: badDelimiter("--delimiter") };
  const keyDelimiter = options.keyDelimiter === undefined ? undefined : bytesOf(options.keyDelimiter);
  if (options.keyDelimiter !== undefined && (keyDelimiter === undefined || keyDelimiter.length === 0)) {
    return { problem: badDelimiter("--key-delimiter") };
  }
  if (keyDelimiter !== undefined && options.key !== undefined) {
    return { problem: "--key and --key-delimiter exclude each other" };
  }
  if (keyDelimiter?.includes(delimiter)) return { problem: "--key-delimiter contains what ends a line" };
  const key = options.key === undefined ? undefined : Buffer.from(String(options.key));
  if (key !== undefined && key.length > maxMessage / 2) return { problem: "--key is too long" };
  const partitionKey = options.partitionKey === undefined ? undefined : int32(String(options.partitionKey));
  if (Number.isNaN(partitionKey)) {
    return { problem: `--partition-key wants a whole number from -2^31 to 2^31-1, not "${options.partitionKey}"` };
  }
  return { topic, key, keyDelimiter, partitionKey, delimiter, maxMessage };
}

function bytesOf(text: string | number): Buffer | undefined {
  return unescaped(String(text));
}

function badDelimiter(option: string): string {
  return `${option} wants at least one character; \\n \\r \\t \\0 \\\\ and \\xNN are escapes`;
}

/** NaN when it is none. */
function int32(text: string): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  return value === (value | 0) ? value : Number.NaN;
}

/** Written at once, since the event loop gets its turn only now and then. A stderr that is gone stops nothing. */
function ownStderr(): Output {
  return {
    terminal: isatty(2),
    write(text) {
      try {
        writeSync(2, text);
      } catch {
        // Nobody listens.
      }
    },
  };
}
