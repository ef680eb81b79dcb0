// The bytes of a segment: its header and the headers of its blocks. docs/spool-format.md says the same for a stranger.
//
//   segment => header (64 bytes) block* [index block, footer]
//   header  => 0 magic "bruceseg" | 8 version uint32 | 12 ordinal uint32 | 16 firstNumber int64 | 24 previousEnd int64
//              | 32 createdAt int64 | 40 directory id, 16 bytes | 56 seed uint32 | 60 crc32 of the 60 bytes before
//   block   => 0 magic uint32 | 4 length uint32 | 8 checksum uint32 | 12 kind uint8 | 13 header check uint24
//              | 16 count uint32 | 20 source uint32 | 24 firstNumber int64 | 32 receivedAt int64 | 40 session, 16 bytes
//              | 56 position int64 | 64 payload of `length` bytes
//   All of it is big-endian. The checksum is zlib's CRC-32 of bytes [12, 64 + length), started with the segment's seed:
//   that is random, so nobody who may write messages can forge a block inside of one. The header check is the low 24 bits
//   of the CRC-32 of bytes [4, 8) and [16, 64), started with the seed: after damage, a search for the next block need not
//   read what a forged length claims.
import { crc32 } from "node:zlib";
import { headerCheck } from "./headerCheck.ts";
import { readInt64, readUint32, writeInt64, writeUint32 } from "./integers.ts";
import { MessageNumbers } from "./numbers.ts";

export const SEGMENT_HEADER = 64;
export const BLOCK_HEADER = 64;
const FORMAT_VERSION = 1;
/** "brk1" */
export const BLOCK_MAGIC = 0x62726b31;
/** No block is longer: a length beyond it is damage. */
const MAX_PAYLOAD = 2 ** 30;

const SEGMENT_MAGIC = Buffer.from("bruceseg", "latin1");
/** No frame is shorter: an AnyPartition message with a topic of one byte. */
const SHORTEST_FRAME = 29;

export const BlockKind = {
  /** Frames with consecutive numbers. */
  Messages: 1,
  /** Frames with any ascending numbers: uint32 length of the deltas, the deltas, then the frames. */
  Numbered: 2,
  /** The index of a sealed segment. */
  Index: 3,
} as const;
export type BlockKind = (typeof BlockKind)[keyof typeof BlockKind];

export interface SegmentHeader {
  ordinal: number;
  /** No message in the segment has a smaller number. */
  firstNumber: number;
  /** The numbers from here up to `firstNumber` were never used, so their absence is no loss. */
  previousEnd: number;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** 32 hexadecimal digits. */
  directoryId: string;
  /** What every checksum in the segment starts with. */
  seed: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER);
  SEGMENT_MAGIC.copy(bytes, 0);
  writeUint32(bytes, 8, FORMAT_VERSION);
  writeUint32(bytes, 12, header.ordinal);
  writeInt64(bytes, 16, header.firstNumber);
  writeInt64(bytes, 24, header.previousEnd);
  writeInt64(bytes, 32, header.createdAt);
  bytes.write(header.directoryId, 40, 16, "hex");
  writeUint32(bytes, 56, header.seed);
  writeUint32(bytes, 60, crc32(bytes.subarray(0, 60)));
  return bytes;
}

/** Nothing when the bytes are too few, damaged, or of another version. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER || !SEGMENT_MAGIC.equals(bytes.subarray(0, 8))) return undefined;
  if (readUint32(bytes, 60) !== crc32(bytes.subarray(0, 60)) || readUint32(bytes, 8) !== FORMAT_VERSION)
    return undefined;
  return {
    ordinal: readUint32(bytes, 12),
    firstNumber: readInt64(bytes, 16),
    previousEnd: readInt64(bytes, 24),
    createdAt: readInt64(bytes, 32),
    directoryId: bytes.toString("hex", 40, 56),
    seed: readUint32(bytes, 56),
  };
}

/** What a block's header says, besides length and checksum. Keep one and overwrite it: blocks are written often. */
export interface BlockFields {
  kind: BlockKind;
  /** Messages in it; 0 in an index. */
  count: number;
  /** The id of the connection in the run that wrote it; 0 is the datagram socket. */
  source: number;
  /** The number of the first message; in an index, the first number after the segment. */
  firstNumber: number;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  /** 16 bytes; nothing when the connection has none. */
  session: Uint8Array | undefined;
  /** Messages of that session before this block. */
  position: number;
}

/**
 * Writes the header at out[at, at + 64). The payload of `length` bytes is there behind it already. Leaves no garbage but
 * the view that the checksum is computed over.
 */
export function writeBlockHeader(out: Buffer, at: number, fields: BlockFields, length: number, seed: number): void {
  writeUint32(out, at, BLOCK_MAGIC);
  writeUint32(out, at + 4, length);
  writeUint32(out, at + 16, fields.count);
  writeUint32(out, at + 20, fields.source);
  writeInt64(out, at + 24, fields.firstNumber);
  writeInt64(out, at + 32, fields.receivedAt);
  if (fields.session === undefined) out.fill(0, at + 40, at + 64);
  else {
    out.set(fields.session, at + 40);
    writeInt64(out, at + 56, fields.position);
  }
  out[at + 12] = fields.kind;
  sealBlock(out, at, length, seed);
}

/** Writes the checksums of the block at `at`, whose header says the rest. */
export function sealBlock(out: Buffer, at: number, length: number, seed: number): void {
  writeUint32(out, at + 12, (out[at + 12] as number) * 0x1000000 + headerCheck(out, at, seed));
  writeUint32(out, at + 8, crc32(out.subarray(at + 12, at + BLOCK_HEADER + length), seed));
}

/** "short": it goes on behind the bytes that are there. "bad": no block begins here. */
export type BlockState = "whole" | "short" | "bad";

/** Reads block headers without allocating: one is kept, and its fields are overwritten by every `read`. */
export class BlockHeader {
  kind: BlockKind = BlockKind.Messages;
  /** Bytes of the payload. */
  length = 0;
  count = 0;
  source = 0;
  firstNumber = 0;
  receivedAt = 0;
  hasSession = false;
  position = 0;

  /** Header and payload, in bytes: the next block is that far behind this one. */
  get size(): number {
    return BLOCK_HEADER + this.length;
  }

  /**
   * Reads the header at `at` of bytes[0, end). With "whole", and with "short" when the header itself is there, the
   * fields are what it says; whether that is true only `verify` tells.
   */
  read(bytes: Uint8Array, at: number, end: number): BlockState {
    if (end - at < 4) return "short";
    if (readUint32(bytes, at) !== BLOCK_MAGIC) return "bad";
    if (end - at < BLOCK_HEADER) return "short";
    const length = readUint32(bytes, at + 4);
    const kind = bytes[at + 12] as BlockKind;
    const count = readUint32(bytes, at + 16);
    const firstNumber = readInt64(bytes, at + 24);
    if (length > MAX_PAYLOAD || !(firstNumber >= 1 && firstNumber + count <= Number.MAX_SAFE_INTEGER)) return "bad";
    if (kind === BlockKind.Index) {
      if (count !== 0) return "bad";
    } else if (kind !== BlockKind.Messages && kind !== BlockKind.Numbered) {
      return "bad";
    } else if (count === 0 || count * SHORTEST_FRAME > length) {
      return "bad";
    }
    this.kind = kind;
    this.length = length;
    this.count = count;
    this.source = readUint32(bytes, at + 20);
    this.firstNumber = firstNumber;
    this.receivedAt = readInt64(bytes, at + 32);
    this.position = readInt64(bytes, at + 56);
    this.hasSession = false;
    for (let byte = at + 40; byte < at + 56; byte++) if (bytes[byte] !== 0) this.hasSession = true;
    return end - at < BLOCK_HEADER + length ? "short" : "whole";
  }

  /** Whether the header just read is as it was written, without a look at the payload. */
  verifyHeader(bytes: Uint8Array, at: number, seed: number): boolean {
    return readUint32(bytes, at + 12) % 0x1000000 === headerCheck(bytes, at, seed);
  }

  /** Whether the block just read, which is "whole", is as it was written. */
  verify(bytes: Buffer, at: number, seed: number): boolean {
    return readUint32(bytes, at + 8) === crc32(bytes.subarray(at + 12, at + BLOCK_HEADER + this.length), seed);
  }

  /** The session of the block at `at`: 32 hexadecimal digits, or "" when it has none. */
  session(bytes: Buffer, at: number): string {
    return this.hasSession ? bytes.toString("hex", at + 40, at + 56) : "";
  }
}

/** Bytes in front of the frames of a numbered block. */
export function numbersLength(numbers: MessageNumbers): number {
  return 4 + numbers.deltasLength;
}

/** Writes what is in front of the frames of a numbered block. Answers where the frames begin. */
export function writeNumbers(out: Buffer, at: number, numbers: MessageNumbers): number {
  writeUint32(out, at, numbers.deltasLength);
  return numbers.writeDeltas(out, at + 4);
}

/** Where the frames of the block at `at` begin, which was read into `header` and verified. */
export function framesStart(header: BlockHeader, bytes: Uint8Array, at: number): number {
  const payload = at + BLOCK_HEADER;
  return header.kind === BlockKind.Numbered ? payload + 4 + readUint32(bytes, payload) : payload;
}

/** The numbers of the numbered block at `at`, or nothing when its payload is not what one has. */
export function readNumbers(header: BlockHeader, bytes: Uint8Array, at: number): MessageNumbers | undefined {
  const payload = at + BLOCK_HEADER;
  if (header.length < 4 || readUint32(bytes, payload) > header.length - 4) return undefined;
  const end = payload + 4 + readUint32(bytes, payload);
  return MessageNumbers.fromDeltas(header.firstNumber, header.count, bytes, payload + 4, end);
}

/** The number behind the last message of the block at `at`, which was read into `header` and verified. */
export function endOfNumbers(header: BlockHeader, bytes: Uint8Array, at: number): number {
  if (header.kind !== BlockKind.Numbered) return header.firstNumber + header.count;
  const deltas = at + BLOCK_HEADER + 4;
  const end = deltas + readUint32(bytes, at + BLOCK_HEADER);
  let number = header.firstNumber;
  let scale = 1;
  for (let byte = deltas; byte < end; byte++) {
    number += ((bytes[byte] as number) % 128) * scale;
    scale = (bytes[byte] as number) < 128 ? 1 : scale * 128;
  }
  return number + 1;
}
