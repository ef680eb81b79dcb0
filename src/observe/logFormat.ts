// pino's JSON lines as people (text) and journald (level prefixes) want them.
import { prettyFactory } from "pino-pretty";
import { printable } from "./logPrintable.ts";

/** Syslog's severities, which journald reads in front of a line. https://www.freedesktop.org/software/systemd/man/sd-daemon.html */
const JOURNAL_LEVEL: Record<string, number> = { debug: 7, info: 6, warn: 4, error: 3 };

/** What JSON leaves as it is. */
const BEYOND_C0 = /[\u007f-\u009f\u2028\u2029]/g;

/** `<6>message name=value …`; journald has the time itself. */
export function journalLine(line: string): string {
  const { level, time: _time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields).map(([name, value]) => ` ${printable(name)}=${fieldText(value)}`);
  return `<${JOURNAL_LEVEL[String(level)] ?? 6}>${printable(String(msg ?? ""))}${rest.join("")}\n`;
}

function fieldText(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=]+$/.test(value)) return printable(value);
  return printable(JSON.stringify(value));
}

/** A line for a person at a terminal, or in a file that people read. */
export function textLine(colour: boolean): (line: string) => string {
  // Without error keys, or pino-pretty spreads errors over many lines.
  const pretty = prettyFactory({
    colorize: colour,
    singleLine: true,
    errorLikeObjectKeys: [],
    translateTime: "SYS:yyyy-mm-dd HH:MM:ss.l",
  });
  return (line) => {
    const record = JSON.parse(line) as Record<string, unknown>;
    const text = pretty({ ...record, msg: printable(String(record.msg ?? "")) });
    // Field values are JSON, which writes out C0 but not these; colours are made of C0, so they stay.
    return text.replace(BEYOND_C0, printable);
  };
}
