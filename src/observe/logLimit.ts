// Keeps a repeated warning from filling the log: a broker that is down for an hour is not worth a million lines.
import type { Log, LogFields, LogLevel } from "./log.ts";

/** Logs under `key` (the message, unless told otherwise) at most once per interval. */
type LimitedFunction = (message: string, fields?: LogFields, key?: string) => void;

export type LimitedLog = Record<LogLevel, LimitedFunction>;

/** Keys may hold names that come from anyone, so only so many are remembered. */
const MAX_KEYS = 1000;

/**
 * A log that writes the same thing at most once per `interval` (ms). The next line that is written again has `repeated`:
 * how many were left out since. Same means the same level and key.
 */
export function rateLimited(log: Log, interval: number, now: () => number = Date.now): LimitedLog {
  const last = new Map<string, { at: number; leftOut: number }>();
  const at =
    (level: LogLevel): LimitedFunction =>
    (message, fields, key = message) => {
      const id = `${level} ${key}`;
      const time = now();
      const entry = last.get(id);
      // A clock set back must not silence the log until it has caught up.
      if (entry !== undefined && time >= entry.at && time - entry.at < interval) {
        entry.leftOut++;
        return;
      }
      last.delete(id);
      if (last.size >= MAX_KEYS) last.delete(last.keys().next().value ?? "");
      last.set(id, { at: time, leftOut: 0 });
      log[level](message, entry === undefined || entry.leftOut === 0 ? fields : { ...fields, repeated: entry.leftOut });
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
