// The bytes of a journal file. docs/spool-format.md says the same for a stranger.
//
//   file    => header (64 bytes) entry*
//   header  => 0 magic "brucejnl" | 8 version uint32 | 12 ordinal uint32 | 16 directory id, 16 bytes | 32 machine id, 16 bytes
//              | 48 createdAt int64 | 56 seed uint32 | 60 crc32 of the 60 bytes before
//   entry   => 0 magic uint32 | 4 checksum uint32 | 8 length uint32 | 12 body of `length` bytes
//   body    => kind uint8, then
//              sending (1), carried (2), repeating (6): topic partition:int32 cluster:string producerId:int64 epoch:int16 baseSequence:int32
//                sentAt:int64 checksum:uint32 count:uint32 first:int64 deltasLength:uint32 deltas
//                ends:uint8 (0 to 2), for each, the latest first: first:int64 delivered:uint8 (0 or 1)
//              delivered (3), returned (5): topic partition:int32 first:int64
//              discarded (4): topic partition:int32 first:int64 reason:string
//   topic, cluster, string => uint16 length, UTF-8
//   All of it is big-endian. The checksum is zlib's CRC-32 of bytes [8, 12 + length), started with the file's seed.
import { crc32 } from "node:zlib";
import { readInt64, readUint32, writeInt64, writeUint32 } from "./integers.ts";
import type { EntryEnd, JournalEntry } from "./journal.ts";
import { MessageNumbers } from "./numbers.ts";
import { seedOf } from "./seedOf.ts";

export const JOURNAL_HEADER = 64;
const JOURNAL_VERSION = 1;
const MAGIC = Buffer.from("brucejnl", "latin1");
/** "brj1" */
const ENTRY_MAGIC = 0x62726a31;
const ENTRY_HEADER = 12;
/** No entry is longer: a length beyond it is damage. A batch has at most some 100 MB, and each message a frame of 29 bytes. */
const MAX_ENTRY = 2 ** 26;

const Kind = { Sending: 1, Carried: 2, Delivered: 3, Discarded: 4, Returned: 5, Repeating: 6 } as const;

export interface JournalHeader {
  ordinal: number;
  /** 32 hexadecimal digits, like the machine's. */
  directoryId: string;
  machineId: string;
  createdAt: number;
  seed: number;
}

export function encodeJournalHeader(header: JournalHeader): Buffer {
  const bytes = Buffer.alloc(JOURNAL_HEADER);
  MAGIC.copy(bytes);
  writeUint32(bytes, 8, JOURNAL_VERSION);
  writeUint32(bytes, 12, header.ordinal);
  bytes.write(header.directoryId, 16, 16, "hex");
  bytes.write(header.machineId, 32, 16, "hex");
  writeInt64(bytes, 48, header.createdAt);
  writeUint32(bytes, 56, header.seed);
  writeUint32(bytes, 60, crc32(bytes.subarray(0, 60)));
  return bytes;
}

/** Nothing when the bytes are too few, damaged, or of another version. */
export function decodeJournalHeader(bytes: Buffer): JournalHeader | undefined {
  if (bytes.length < JOURNAL_HEADER || !MAGIC.equals(bytes.subarray(0, 8))) return undefined;
  if (readUint32(bytes, 60) !== crc32(bytes.subarray(0, 60)) || readUint32(bytes, 8) !== JOURNAL_VERSION)
    return undefined;
  return {
    ordinal: readUint32(bytes, 12),
    directoryId: bytes.toString("hex", 16, 32),
    machineId: bytes.toString("hex", 32, 48),
    createdAt: readInt64(bytes, 48),
    seed: readUint32(bytes, 56),
  };
}

/** A batch that came to its end: the number of its first message, and whether it was delivered. */
export interface EndMark {
  first: number;
  delivered: boolean;
}

/** What one entry of the file says. */
export type JournalRecord =
  /** The batch goes out now, after the others of that partition came to an end: the last two are named. */
  | { kind: "sending"; entry: JournalEntry; ends: readonly EndMark[] }
  /** It went out before this file was begun, and nobody knows yet what became of it. */
  | { kind: "carried"; entry: JournalEntry }
  /** `first`: the number of the batch's first message. */
  | { kind: "ended"; topic: string; partition: number; first: number; how: EntryEnd };

/** Entries put together for one write. The memory is kept and grows as needed. */
export class EntryEncoder {
  #bytes = Buffer.allocUnsafeSlow(4096);
  #at = 0;

  get length(): number {
    return this.#at;
  }

  /** What was added since `clear`. Valid until the next `add`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  clear(): void {
    this.#at = 0;
  }

  add(record: JournalRecord, seed: number): void {
    if (record.kind === "ended") this.#addEnd(record, seed);
    else if (record.kind === "carried") this.#addEntry(Kind.Carried, record.entry, [], seed);
    else this.#addEntry(record.entry.repeats ? Kind.Repeating : Kind.Sending, record.entry, record.ends, seed);
  }

  #addEntry(kind: number, entry: JournalEntry, ends: readonly EndMark[], seed: number): void {
    const { numbers } = entry;
    const start = this.#begin(kind, entry.topic, entry.partition);
    this.#text(entry.clusterId);
    this.#reserve(43 + numbers.deltasLength + 9 * ends.length);
    const bytes = this.#bytes;
    bytes.writeBigInt64BE(entry.producerId, this.#at);
    bytes.writeInt16BE(entry.producerEpoch, this.#at + 8);
    bytes.writeInt32BE(entry.baseSequence, this.#at + 10);
    writeInt64(bytes, this.#at + 14, entry.sentAt);
    writeUint32(bytes, this.#at + 22, entry.checksum);
    writeUint32(bytes, this.#at + 26, numbers.count);
    writeInt64(bytes, this.#at + 30, numbers.first);
    writeUint32(bytes, this.#at + 38, numbers.deltasLength);
    this.#at = numbers.writeDeltas(bytes, this.#at + 42);
    bytes[this.#at++] = ends.length;
    for (const { first, delivered } of ends) {
      writeInt64(bytes, this.#at, first);
      bytes[this.#at + 8] = delivered ? 1 : 0;
      this.#at += 9;
    }
    this.#finish(start, seed);
  }

  #addEnd({ topic, partition, first, how }: Extract<JournalRecord, { kind: "ended" }>, seed: number): void {
    const kind = how.kind === "delivered" ? Kind.Delivered : how.kind === "discarded" ? Kind.Discarded : Kind.Returned;
    const start = this.#begin(kind, topic, partition);
    this.#reserve(8);
    writeInt64(this.#bytes, this.#at, first);
    this.#at += 8;
    if (how.kind === "discarded") this.#text(how.reason);
    this.#finish(start, seed);
  }

  #begin(kind: number, topic: string, partition: number): number {
    const start = this.#at;
    this.#reserve(ENTRY_HEADER + 1);
    this.#at += ENTRY_HEADER;
    this.#bytes[this.#at++] = kind;
    this.#text(topic);
    this.#reserve(4);
    this.#at = this.#bytes.writeInt32BE(partition, this.#at);
    return start;
  }

  #text(text: string): void {
    const length = Buffer.byteLength(text);
    this.#reserve(2 + length);
    this.#at = this.#bytes.writeUInt16BE(length, this.#at);
    this.#at += this.#bytes.write(text, this.#at);
  }

  #finish(start: number, seed: number): void {
    const bytes = this.#bytes;
    writeUint32(bytes, start, ENTRY_MAGIC);
    writeUint32(bytes, start + 8, this.#at - start - ENTRY_HEADER);
    writeUint32(bytes, start + 4, crc32(bytes.subarray(start + 8, this.#at), seed));
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + more));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** The entry at `at`, and where the next begins; nothing when none, or a damaged one, is there. */
export function decodeEntry(
  bytes: Buffer,
  at: number,
  seed: number,
): { record: JournalRecord; next: number } | undefined {
  if (bytes.length - at < ENTRY_HEADER || readUint32(bytes, at) !== ENTRY_MAGIC) return undefined;
  const length = readUint32(bytes, at + 8);
  const next = at + ENTRY_HEADER + length;
  if (length > MAX_ENTRY || next > bytes.length) return undefined;
  if (readUint32(bytes, at + 4) !== crc32(bytes.subarray(at + 8, next), seed)) return undefined;
  try {
    const record = decodeBody(bytes.subarray(at + ENTRY_HEADER, next));
    return record === undefined ? undefined : { record, next };
  } catch {
    return undefined; // a read beyond the end: well summed up, but not written by us
  }
}

/**
 * The seed of a file whose header is damaged, as its first entry tells; the second one, or that there is none, says whether
 * that is right. Nothing when either is damaged as well.
 */
export function seedOfEntries(bytes: Buffer): number | undefined {
  const at = JOURNAL_HEADER;
  if (bytes.length - at < ENTRY_HEADER || readUint32(bytes, at) !== ENTRY_MAGIC) return undefined;
  const next = at + ENTRY_HEADER + readUint32(bytes, at + 8);
  if (next > bytes.length) return undefined;
  const seed = seedOf(bytes, at + 8, next, readUint32(bytes, at + 4));
  if (decodeEntry(bytes, at, seed) === undefined) return undefined;
  const last = next === bytes.length || (bytes.length - next >= 4 && readUint32(bytes, next) === 0);
  return last || decodeEntry(bytes, next, seed) !== undefined ? seed : undefined;
}

/** Where the next entry may begin, from `from` on; the end when there is no more. */
export function findEntry(bytes: Buffer, from: number): number {
  const at = bytes.indexOf("brj1", from, "latin1");
  return at < 0 ? bytes.length : at;
}

function decodeBody(body: Buffer): JournalRecord | undefined {
  let at = 1;
  const text = () => {
    const start = at + 2;
    at = start + body.readUInt16BE(at);
    if (at > body.length) throw new RangeError("the text ends behind the entry");
    return body.toString("utf8", start, at);
  };
  const topic = text();
  const partition = body.readInt32BE(at);
  at += 4;
  switch (body[0]) {
    case Kind.Sending:
    case Kind.Repeating:
    case Kind.Carried: {
      const clusterId = text();
      const start = at + 42;
      const end = start + body.readUInt32BE(at + 38);
      if (end > body.length) return undefined;
      const count = body.readUInt32BE(at + 26);
      const numbers = MessageNumbers.fromDeltas(readInt64(body, at + 30), count, body, start, end);
      if (numbers === undefined) return undefined;
      const entry = {
        topic,
        partition,
        clusterId,
        producerId: body.readBigInt64BE(at),
        producerEpoch: body.readInt16BE(at + 8),
        baseSequence: body.readInt32BE(at + 10),
        sentAt: readInt64(body, at + 14),
        checksum: body.readUInt32BE(at + 22),
        numbers,
        repeats: body[0] === Kind.Repeating,
      };
      if (body[0] === Kind.Carried) return { kind: "carried", entry };
      const ends = Array.from({ length: body.readUInt8(end) }, (_, index) => ({
        first: readInt64(body, end + 1 + index * 9),
        delivered: body.readUInt8(end + 9 + index * 9) === 1,
      }));
      return { kind: "sending", entry, ends };
    }
    case Kind.Delivered:
    case Kind.Discarded:
    case Kind.Returned: {
      const first = readInt64(body, at);
      at += 8;
      return { kind: "ended", topic, partition, first, how: endOf(body[0], text) };
    }
    default:
      return undefined;
  }
}

function endOf(kind: number, text: () => string): EntryEnd {
  if (kind === Kind.Discarded) return { kind: "discarded", reason: text() };
  return { kind: kind === Kind.Delivered ? "delivered" : "returned" };
}
