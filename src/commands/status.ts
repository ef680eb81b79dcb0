// `bruce status`: what a running daemon has received, delivered, holds and gave up.
import { createLogUpdate } from "log-update";
import { createColors } from "picocolors";
import type { DaemonStatus } from "../observe/status.ts";
import { askStatus } from "../observe/statusClient.ts";
import { type Rates, ratesBetween } from "../observe/statusRates.ts";
import { pipeText, terminalText } from "../observe/statusText.ts";
import { findUrl } from "../observe/statusUrl.ts";

export interface StatusOptions {
  json: boolean;
  watch: boolean;
  url?: string;
  config?: string;
}

interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
  rows?: number;
}

interface Surroundings {
  stdout: Output;
  stderr: Output;
  env: Record<string, string | undefined>;
  /** Ends --watch; without it SIGINT and SIGTERM do. */
  signal?: AbortSignal;
  /** Between two samples, ms. */
  interval?: number;
}

const EXIT = { done: 0, failed: 1, usage: 2, later: 75 } as const;
const TIMEOUT = 5000;
const INTERVAL = 1000;
/** Topics shown once on a terminal; a pipe gets them all. */
const TOPICS = 50;

/** The exit code: 0 shown, 1 someone else answers, 2 wrong usage or configuration, 75 the daemon does not answer. */
export async function statusCommand(options: StatusOptions, surroundings: Surroundings = process): Promise<number> {
  const { stderr, env } = surroundings;
  const found = findUrl({ url: options.url, config: options.config, env });
  if ("problem" in found) {
    stderr.write(`bruce status: ${found.problem}\n`);
    return EXIT.usage;
  }
  if (found.warning !== undefined) stderr.write(`bruce status: ${found.warning}\n`);
  return options.watch
    ? await watch(found.url, options.json, surroundings)
    : await once(found.url, options.json, surroundings);
}

async function once(url: URL, json: boolean, { stdout, stderr, env, interval = INTERVAL }: Surroundings) {
  const first = await askStatus(url, TIMEOUT);
  if ("failure" in first) return complain(first, stderr);
  if (json) {
    stdout.write(`${JSON.stringify(first.status, null, 2)}\n`);
    return EXIT.done;
  }
  // Speed, and with it the time until the backlog is gone, takes two looks; without a backlog nobody waits for it.
  let { status } = first;
  let rates: Rates | undefined;
  if (status.ledger.held > 0) {
    await Bun.sleep(interval);
    const second = await askStatus(url, TIMEOUT);
    if ("status" in second) {
      rates = ratesBetween(status, second.status);
      status = second.status;
    }
  }
  stdout.write(render(status, rates, stdout, env));
  return EXIT.done;
}

async function watch(url: URL, json: boolean, surroundings: Surroundings): Promise<number> {
  const { stdout, stderr, env, interval = INTERVAL } = surroundings;
  const isScreen = stdout.isTTY === true && !json;
  const stop = stopSignal(surroundings.signal);
  const screen = isScreen ? createLogUpdate(stdout as NodeJS.WriteStream) : undefined;
  const show = (text: string): unknown => (screen === undefined ? stdout.write(text) : screen(text));
  let before: DaemonStatus | undefined;
  let shown = "";
  try {
    while (!stop.aborted) {
      const asked = await askStatus(url, TIMEOUT, isScreen ? TOPICS : undefined);
      if ("failure" in asked) {
        if (before === undefined) return complain(asked, stderr);
        // A daemon that is restarted comes back.
        if (isScreen) show(`${shown}\n${asked.message}\n`);
        else stderr.write(`bruce status: ${asked.message}\n`);
      } else {
        const { status } = asked;
        const rates = before === undefined ? undefined : ratesBetween(before, status);
        shown = json ? `${JSON.stringify(status)}\n` : render(status, rates, stdout, env, stdout.rows);
        show(isScreen || json ? shown : `${shown}\n`);
        before = status;
      }
      await pause(interval, stop);
    }
    return EXIT.done;
  } finally {
    screen?.done();
  }
}

/** With `lines`, as many topics as fit into so many: what is cut off at the top of a screen would be the ledger. */
function render(
  status: DaemonStatus,
  rates: Rates | undefined,
  { isTTY, columns }: Output,
  env: Surroundings["env"],
  lines = Number.POSITIVE_INFINITY,
): string {
  if (isTTY !== true) return pipeText(status, rates);
  const colours = createColors((env.NO_COLOR ?? "") === "" && env.TERM !== "dumb");
  for (let maxTopics = TOPICS; ; maxTopics--) {
    const text = terminalText(status, rates, { maxTopics, columns, colours });
    if (maxTopics <= 1 || text.split("\n").length <= lines) return text;
  }
}

function complain(failed: { failure: "away" | "other"; message: string }, stderr: Output): number {
  stderr.write(`bruce status: ${failed.message}\n`);
  return failed.failure === "away" ? EXIT.later : EXIT.failed;
}

function stopSignal(given: AbortSignal | undefined): AbortSignal {
  if (given !== undefined) return given;
  const controller = new AbortController();
  // Not `once`: without a listener left, the library that restores the cursor would raise the signal again.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => controller.abort());
  return controller.signal;
}

function pause(time: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, time);
    if (stop.aborted) done();
    else stop.addEventListener("abort", done);
  });
}
