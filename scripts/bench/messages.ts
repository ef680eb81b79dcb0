// What is sent: values of one size, each with its number in front, as datagrams of bruce, of syslog, or as lines.
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { encodeAnyPartition } from "../../src/wire/frame.ts";

/** Bytes of a value as Kafka gets it. */
export const VALUE_SIZE = 200;
/** Of the number at the beginning of a value. */
export const DIGITS = 12;

export interface Datagram {
  content: Buffer;
  /** Where the number stands. */
  digitsAt: number;
}

export function bruceDatagram(topic: string): Datagram {
  const value = Buffer.from(numbered(0));
  const content = encodeAnyPartition({ topic, timestamp: Date.now(), key: new Uint8Array(), value });
  return { content, digitsAt: content.length - VALUE_SIZE };
}

/** rsyslog takes the space behind the tag for a part of the message: with it the value has the same size. */
export function syslogDatagram(): Datagram {
  const head = "<13>bench: ";
  return { content: Buffer.from(head + numbered(0, VALUE_SIZE - 1)), digitsAt: head.length };
}

/** A file of `count` lines, each of them a value. */
export async function writeLines(path: string, count: number): Promise<void> {
  const file = createWriteStream(path);
  for (let from = 0; from < count; from += 10_000) {
    const lines = Array.from({ length: Math.min(10_000, count - from) }, (_, at) => `${numbered(from + at)}\n`);
    if (!file.write(lines.join(""))) await new Promise((resolve) => file.once("drain", resolve));
  }
  file.end();
  await finished(file);
}

/** Text that compresses like a log, though nothing here compresses. */
function numbered(number: number, size = VALUE_SIZE): string {
  const text = ` 2026-01-01T00:00:00.000Z INFO GET /search?q=coffee&page=2 status=200 duration=12ms user=alice `;
  return (String(number).padStart(DIGITS, "0") + text.repeat(Math.ceil(size / text.length))).slice(0, size);
}
