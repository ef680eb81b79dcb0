// The kinds of values that a setting may have: how each is read, what it allows, how it is written.
import { didYouMean } from "./nearest.ts";
import { quote } from "./toml.ts";
import type { Address, Rate } from "./types.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

/** Why a value was refused, where "must be" and what is allowed do not say it all. */
export interface Refusal {
  /** Follows what is allowed. */
  hint?: string;
  /** The one of a list that is at fault: its place, itself, and what is allowed of it or what is wrong with it. */
  element?: { index: number; got: unknown; allowed: string } | { index: number; got: unknown; complaint: string };
}

export type Reading<T> = { value: T } | Refusal;

export interface Kind<T> {
  /** What is allowed, to stand after "must be". */
  allowed: string;
  read(raw: unknown): Reading<T>;
  /** TOML text that read() takes back. */
  write(value: T): string;
}

const refused: Refusal = {};

/** A string without the dollars' meaning: what ${NAME} expands must read back as it is. */
function writeString(text: string): string {
  return quote(text.replaceAll("$", "$$$$"));
}

function within<T>(value: number | undefined, min: number, max: number): Reading<T> {
  // Written so that NaN, which TOML has, is refused, and -0 becomes 0.
  return value !== undefined && value >= min && value <= max ? { value: (value + 0) as T } : refused;
}

/** A size in bytes from `min` to `max`, both as people write them. */
export function size(min: string, max: string): Kind<number> {
  const [least, most] = [parseSize(min) ?? 0, parseSize(max) ?? 0];
  return {
    allowed: `a size from "${min}" to "${max}", such as "64k", "128m" or "4g"`,
    read: (raw) => within(typeof raw === "string" ? parseSize(raw) : integerOf(raw), least, most),
    write: (value) => `"${formatSize(value)}"`,
  };
}

/** A time in milliseconds from `min` to `max`. A bare number is refused, since its unit would be a guess. */
export function duration(min: string, max: string): Kind<number> {
  const [least, most] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0];
  return {
    allowed: `a duration from "${min}" to "${max}", such as "500ms", "30s", "15m" or "24h"`,
    read: (raw) => within(typeof raw === "string" ? parseDuration(raw) : raw === 0 ? 0 : undefined, least, most),
    write: (value) => `"${formatDuration(value)}"`,
  };
}

function integerOf(raw: unknown): number | undefined {
  return typeof raw === "number" && Number.isSafeInteger(raw) ? raw : undefined;
}

export function integer(min: number, max: number): Kind<number> {
  return {
    allowed: `an integer from ${min} to ${max}`,
    read: (raw) => within(integerOf(raw), min, max),
    write: String,
  };
}

/** A number from 0 to 1. */
export const ratio: Kind<number> = {
  allowed: "a number from 0 to 1",
  read: (raw) => within(typeof raw === "number" ? raw : undefined, 0, 1),
  write: String,
};

export const bool: Kind<boolean> = {
  allowed: "true or false",
  read: (raw) => (typeof raw === "boolean" ? { value: raw } : refused),
  write: String,
};

/** Any text; `what` says of what. */
export function text(what: string, options: { empty: boolean; max?: number }): Kind<string> {
  return {
    allowed: what,
    read: (raw) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what no name or path may hold
      if (typeof raw !== "string" || /[\u0000-\u001f\u007f]/.test(raw)) return refused;
      if (raw === "" && !options.empty) return refused;
      return raw.length > (options.max ?? 4096) ? refused : { value: raw };
    },
    write: writeString,
  };
}

/** Words as a choice: a, b or c. */
function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** One of a few values. */
export function oneOf<T extends string | number>(...values: readonly T[]): Kind<T> {
  const written = (value: T): string => (typeof value === "string" ? `"${value}"` : String(value));
  return {
    allowed: alternatives(values.map(written)),
    read: (raw) => {
      const value = values.find((each) => each === raw);
      if (value !== undefined) return { value };
      return typeof raw === "string" ? { hint: didYouMean(raw, values.map(String)) } : refused;
    },
    write: written,
  };
}

/** A word, or else what `other` takes. */
export function wordOr<const W extends string, T>(words: readonly W[], other: Kind<T>): Kind<W | T> {
  const isWord = (value: unknown): value is W => words.some((word) => word === value);
  return {
    allowed: `${alternatives(words.map((word) => `"${word}"`))}, or ${other.allowed}`,
    read: (raw) => (isWord(raw) ? { value: raw } : other.read(raw)),
    write: (value) => (isWord(value) ? `"${value}"` : other.write(value)),
  };
}

/** Permission bits. A string, since TOML has no octal with a leading zero. */
export const mode: Kind<number> = {
  allowed: 'permission bits as an octal string, such as "0222" or "0660"',
  read: (raw) => (typeof raw === "string" && /^0?[0-7]{3}$/.test(raw) ? { value: Number.parseInt(raw, 8) } : refused),
  write: (value) => `"0${value.toString(8).padStart(3, "0")}"`,
};

/** host:port; IPv6 in brackets. Undefined if `text` is none. */
export function parseAddress(address: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9_.-]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65535 ? undefined : { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

export const address: Kind<Address> = {
  allowed: '"host:port" with a port from 0 to 65535 (0: any free one), such as "127.0.0.1:9000" or "[::1]:9000"',
  read: (raw) => {
    const value = typeof raw === "string" ? parseAddress(raw) : undefined;
    return value === undefined ? refused : { value };
  },
  write: (value) => `"${formatAddress(value)}"`,
};

/** Brokers. One string with commas will do too, so that the whole list can come from one variable. */
export const brokers: Kind<Address[]> = {
  allowed: 'a list of at least one "host:port" with a port from 1 to 65535, such as ["kafka-1:9092", "[::1]:9092"]',
  read: (raw) => {
    const items: unknown[] | undefined =
      typeof raw === "string" ? raw.split(",") : Array.isArray(raw) ? raw : undefined;
    if (items === undefined || items.length === 0) return refused;
    const value: Address[] = [];
    const seen = new Set<string>();
    for (const [index, item] of items.entries()) {
      const broker = typeof item === "string" ? parseAddress(item.trim()) : undefined;
      if (broker === undefined || broker.port === 0) {
        return { element: { index, got: item, allowed: '"host:port" with a port from 1 to 65535' } };
      }
      const name = formatAddress(broker).toLowerCase();
      if (seen.has(name)) return { element: { index, got: item, complaint: "is listed twice" } };
      seen.add(name);
      value.push(broker);
    }
    return { value };
  },
  write: (value) => `[${value.map((broker) => `"${formatAddress(broker)}"`).join(", ")}]`,
};

/** A count of messages and the time they may take. */
export const rate: Kind<Rate> = {
  allowed: 'messages per time, such as "10000/1s"',
  read: (raw) => {
    const [count, per, ...rest] = typeof raw === "string" ? raw.split("/") : [];
    const interval = parseDuration(per ?? "");
    if (!/^\d{1,15}$/.test(count ?? "") || interval === undefined || interval === 0 || rest.length > 0) return refused;
    return { value: { count: Number(count), interval } };
  },
  write: ({ count, interval }) => `"${count}/${formatDuration(interval)}"`,
};

/** The same kind for a setting that may be left out. */
export function optional<T>(kind: Kind<T>): Kind<T | undefined> {
  return { allowed: kind.allowed, read: (raw) => kind.read(raw), write: (value) => kind.write(value as T) };
}
