// What the client says on stderr: a progress line on a terminal, and sentences when something went wrong.
import type { Out } from "./conversation.ts";
import type { Wait } from "./level.ts";
import type { Tally } from "./sender.ts";

/** Where words go. */
export interface Output {
  write(text: string): void;
  /** A terminal is shown progress. */
  terminal: boolean;
}

/** How often the progress line changes, ms. */
const INTERVAL = 250;
const CLEAR = "\r\x1b[K";
const PREFIX = "bruce send: ";

/** Says things, one line each, and keeps the progress line out of their way. */
export class Reporter {
  readonly #output: Output;
  readonly #typing: boolean;
  readonly #began = performance.now();
  #shownAt = 0;
  #shownLines = 0;
  #shown = false;

  /** `typing`: lines come from a terminal, where a progress line would get in the way. */
  constructor(output: Output, typing: boolean) {
    this.#output = output;
    this.#typing = typing;
  }

  say(sentence: string): void {
    this.#output.write(`${this.#cleared()}${PREFIX}${sentence}\n`);
  }

  /** Shows where it stands, if it is time. */
  progress(tally: () => Tally, wait: Wait): void {
    if (!this.#output.terminal) return;
    const now = performance.now();
    const passed = now - this.#shownAt;
    if (passed < INTERVAL) return;
    const { lines, bytes, unsent, out } = tally();
    const rate = this.#shownAt === 0 ? 0 : ((lines - this.#shownLines) * 1000) / passed;
    this.#shownAt = now;
    this.#shownLines = lines;
    if (this.#typing && out === undefined) return;
    this.#shown = true;
    const sent = `${count(lines - unsent, "line")}, ${size(bytes)}`;
    const rest = out === undefined ? `, ${count(Math.round(rate), "line")}/s` : waitsFor(out, wait);
    this.#output.write(`${CLEAR}${sent}${rest}`);
  }

  /** The last word, of lines that were to be `level`: always on a terminal, else when it did not come to its end or something is to be said. */
  summary(tally: Tally, level: Wait, asked: boolean): void {
    const { lines, bytes, unsent, uncertain, short, discarded, someDiscarded, tooLong, out } = tally;
    const troubles = [
      uncertain > 0 ? `the fate of ${number(uncertain)} of them is unknown` : "",
      short > 0 ? `${number(short)} of them ${areOrIs(short)} not known to be ${level}` : "",
      out !== undefined && uncertain === 0 ? `${outText(out)} of them ${areOrIs(out.lines)} not ${level} yet` : "",
      discarded > 0 ? `the daemon discarded ${number(discarded)} of them` : "",
      discarded === 0 && someDiscarded ? "the daemon discarded some of them" : "",
      unsent > 0 ? `${count(unsent, "line")} read but not sent` : "",
      tooLong > 0 ? `${count(tooLong, "line")} too long to be sent` : "",
    ].filter((trouble) => trouble !== "");
    const worth = troubles.length > 0 || (asked && lines > 0);
    if (!this.#output.terminal && !worth) return;
    const seconds = (performance.now() - this.#began) / 1000;
    const rate = Math.round((lines - unsent) / Math.max(seconds, 0.001));
    const sent = `sent ${count(lines - unsent, "line")}, ${size(bytes)}, in ${seconds.toFixed(1)} s (${number(rate)}/s)`;
    this.say([sent, ...troubles].join("; "));
  }

  #cleared(): string {
    const clear = this.#shown ? CLEAR : "";
    this.#shown = false;
    return clear;
  }
}

/** What is waited for, and for how many lines: short enough for one line of a terminal, where alone it can be cleared. */
function waitsFor(out: Out, wait: Wait): string {
  return ` sent; waiting for ${wait === "delivered" ? "Kafka" : "the disk"}: ${outText(out)} left`;
}

function outText({ lines, atLeast }: Out): string {
  return `${atLeast ? "at least " : ""}${number(lines)}`;
}

/** "1 line", "12,345 lines". */
export function count(n: number, noun: string): string {
  return `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
}

function number(n: number): string {
  return n.toLocaleString("en-US");
}

function size(bytes: number): string {
  let value = bytes;
  for (const unit of ["bytes", "kB", "MB", "GB"]) {
    if (value < 1000) return unit === "bytes" ? count(value, "byte") : `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

function areOrIs(n: number): string {
  return n === 1 ? "is" : "are";
}
