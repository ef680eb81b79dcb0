// One record as one line for people: whatever its bytes are, it cannot break the line or command the terminal.
import { createColors } from "picocolors";
import type { DecodedRecord } from "../kafka/recordBatchReader.ts";

export interface LineStyle {
  /** Columns. */
  width: number;
  colors: boolean;
}

/** A value keeps at least this many columns, however long the topic and the key are. */
const LEAST_FOR_VALUE = 20;
const MOST_FOR_KEY = 40;

const COLORED = createColors(true);
const PLAIN = createColors(false);

/** `14:03:22.123 topic[partition]@offset key=… value`, in local time, without a newline. */
export function formatRecord(topic: string, partition: number, record: DecodedRecord, style: LineStyle): string {
  const paint = style.colors ? COLORED : PLAIN;
  const time = clock(record.timestamp);
  const place = `[${partition}]@${record.offset}`;
  const key = record.key === null ? "" : `key=${readable(record.key, Math.min(MOST_FOR_KEY, style.width))} `;
  const left = style.width - time.length - topic.length - place.length - columns(key) - 2;
  const value = record.value === null ? "null" : readable(record.value, Math.max(LEAST_FOR_VALUE, left));
  const shownKey = key === "" ? "" : paint.yellow(key);
  const shownValue = record.value === null ? paint.dim(value) : value;
  return `${paint.dim(time)} ${paint.cyan(topic)}${paint.dim(place)} ${shownKey}${shownValue}`;
}

function clock(timestamp: bigint): string {
  const date = new Date(Number(timestamp));
  if (Number.isNaN(date.getTime())) return String(timestamp);
  const two = (n: number): string => String(n).padStart(2, "0");
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

/** Bytes as text of at most `width` columns: what is not printable UTF-8 appears as \n, \t, \x1b … */
function readable(bytes: Buffer, width: number): string {
  // A code point has at most 4 bytes, so more cannot be shown.
  const looked = Math.min(bytes.length, 4 * (width + 1));
  const text = printable(bytes.subarray(0, looked));
  const ascii = text.length === looked;
  return ascii && looked <= width ? text : fit(text, width, looked < bytes.length);
}

// Controls (C0, C1, DEL), line separators, and the marks that reorder text: they act on a terminal instead of showing.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]/;
const UNPRINTABLES = new RegExp(UNPRINTABLE, "g");

function printable(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!UNPRINTABLE.test(text)) return text;
  if (!text.includes("\ufffd")) return text.replace(UNPRINTABLES, escaped);
  return pieces(bytes)
    .map((piece) => {
      const char = piece.toString("utf8");
      return char.includes("\ufffd") ? hexOf(piece) : char.replace(UNPRINTABLES, escaped);
    })
    .join("");
}

/** The characters of UTF-8, and each byte that belongs to none by itself. */
function pieces(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += found.at(-1)?.length ?? 1) {
    const first = bytes[at] ?? 0;
    const length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const piece = bytes.subarray(at, at + length);
    found.push(piece.toString("utf8").includes("\ufffd") ? piece.subarray(0, 1) : piece);
  }
  return found;
}

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(char: string): string {
  return SHORT[char] ?? hexOf(Buffer.from(char, "utf8"));
}

function hexOf(bytes: Buffer): string {
  return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** Cuts text that is wider than `width` columns, or was cut before, and says so with an ellipsis. */
function fit(text: string, width: number, cut: boolean): string {
  if (!cut && columns(text) <= width) return text;
  let shown = "";
  let used = 0;
  for (const char of text) {
    used += columns(char);
    if (used > width - 1) break;
    shown += char;
  }
  return `${shown}…`;
}

function columns(text: string): number {
  return Bun.stringWidth(text);
}
