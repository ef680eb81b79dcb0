// LZ4 as Kafka has it: the LZ4 frame format, with independent blocks.
import { lz4Module, release } from "./nativeCodecs.ts";

//   Frame => Magic Flags BlockSizes [ContentSize] HeaderChecksum [Block] EndMark [ContentChecksum]
//     Magic            uint32  0x184D2204
//     Flags            bits 6-7 version (1), 5 blocks are independent, 4 blocks have checksums, 3 there is a ContentSize,
//                      2 there is a ContentChecksum, 0 there is a dictionary
//     BlockSizes       bits 4-6: a block holds at most 64 KiB (4), 256 KiB (5), 1 MiB (6) or 4 MiB (7) unpacked
//     ContentSize      uint64
//     HeaderChecksum   the second byte of xxHash32 over Flags to ContentSize
//     Block            uint32 length, whose highest bit says that the bytes are not compressed; the bytes; [checksum uint32]
//     EndMark          uint32  0
//   All of it little end first. Source: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
//
// Kafka's Java reader (org.apache.kafka.common.compress.Lz4BlockInputStream) wants independent blocks, a right header checksum
// for batches of version 2, and no dictionary; it sets aside memory for one block of the size that the header names, so the
// smallest that holds the batch is named. Checksums are left out: a batch has a CRC of its own.

const MAGIC = 0x184d2204;
const VERSION = 0x40;
const VERSION_BITS = 0xc0;
const INDEPENDENT = 0x20;
const BLOCK_CHECKSUMS = 0x10;
const CONTENT_SIZE = 0x08;
const CONTENT_CHECKSUM = 0x04;
const UNKNOWN_FLAGS = 0x03;
const NOT_COMPRESSED = 0x8000_0000;
const BLOCK_SIZE_IDS = [4, 5, 6];
const LARGEST_BLOCK_SIZE_ID = 7;
const LENGTH_SIZE = 4;
const END_MARK = Buffer.alloc(LENGTH_SIZE);
const ENDS = "the LZ4 frame ends too early";
const CORRUPT = "a checksum of the LZ4 frame is wrong";
/** No LZ4 block grows to more than this many times its size: a byte of a length adds at most 255 bytes. */
const MOST_GROWTH = 255;

const HEADER_SIZE = 7;

const blockSizeOf = (id: number): number => 2 ** (8 + 2 * id);
const headers = BLOCK_SIZE_IDS.map(headerOf);
const largest = headerOf(LARGEST_BLOCK_SIZE_ID);

export function compressLz4(bytes: Uint8Array): Buffer {
  const { blockSize, header } = headers.find((each) => bytes.length <= each.blockSize) ?? largest;
  const parts: Uint8Array[] = [header];
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += blockSize) {
    const plain = bytes.subarray(at, at + blockSize);
    // The module puts the length of what it was given before the block, in four bytes: just the room for that of the block.
    const block = lz4Module().compressSync(bufferOf(plain));
    blocks.push(block);
    const size = block.length - LENGTH_SIZE;
    const isSmaller = size < plain.length;
    block.writeUInt32LE(isSmaller ? size : plain.length + NOT_COMPRESSED);
    if (isSmaller) parts.push(block);
    else parts.push(block.subarray(0, LENGTH_SIZE), plain);
  }
  parts.push(END_MARK);
  const frame = Buffer.concat(parts);
  blocks.forEach(release);
  return frame;
}

/** Throws an Error when the bytes are not one whole frame that Kafka's Java reader takes, or would grow beyond `maxSize` bytes. */
export function decompressLz4(packed: Uint8Array, maxSize: number): Buffer {
  const bytes = bufferOf(packed);
  const { flags, blockSize, end: first } = readHeader(bytes);
  const blocks: Buffer[] = [];
  let size = 0;
  let at = first;
  for (;;) {
    const length = uint32(bytes, at);
    at += LENGTH_SIZE;
    if (length === 0) break;
    const isPlain = length >= NOT_COMPRESSED;
    const end = at + (isPlain ? length - NOT_COMPRESSED : length);
    if (end > bytes.length) throw new Error(ENDS);
    if (end - at > blockSize) throw new Error("a block of the LZ4 frame is larger than the header allows");
    const content = bytes.subarray(at, end);
    const most = Math.min(blockSize, maxSize - size);
    const block = isPlain ? content : unpackBlock(content, most);
    size += block.length;
    if (size > maxSize) throw new Error(`the LZ4 frame would grow beyond the ${maxSize} bytes allowed`);
    blocks.push(block);
    at = end;
    if (flags & BLOCK_CHECKSUMS) at = checkHash(bytes, at, content);
  }
  const whole = blocks.length === 1 ? (blocks[0] as Buffer) : Buffer.concat(blocks);
  if (flags & CONTENT_CHECKSUM) at = checkHash(bytes, at, whole);
  if (at !== bytes.length) throw new Error("there are bytes behind the end of the LZ4 frame");
  return whole;
}

/** `most`: what it may grow to. */
function unpackBlock(block: Buffer, most: number): Buffer {
  const sized = Buffer.allocUnsafe(LENGTH_SIZE + block.length);
  // As much memory is set aside as this says, whatever is needed in the end.
  sized.writeUInt32LE(Math.min(most, block.length * MOST_GROWTH));
  sized.set(block, LENGTH_SIZE);
  return lz4Module().uncompressSync(sized);
}

function readHeader(bytes: Buffer): { flags: number; blockSize: number; end: number } {
  if (bytes.length < HEADER_SIZE) throw new Error(ENDS);
  if (bytes.readUInt32LE() !== MAGIC) throw new Error("this is not an LZ4 frame");
  const flags = bytes.readUInt8(4);
  if ((flags & VERSION_BITS) !== VERSION) throw new Error("the LZ4 frame has a version that cannot be read");
  if ((flags & INDEPENDENT) === 0) throw new Error("the blocks of the LZ4 frame depend on each other");
  if ((flags & UNKNOWN_FLAGS) !== 0) throw new Error("the LZ4 frame wants a dictionary, or something unknown");
  const id = bytes.readUInt8(5) >> 4;
  if (id !== LARGEST_BLOCK_SIZE_ID && !BLOCK_SIZE_IDS.includes(id))
    throw new Error("the LZ4 frame has blocks of an unknown size");
  const end = HEADER_SIZE + (flags & CONTENT_SIZE ? 8 : 0);
  if (end > bytes.length) throw new Error(ENDS);
  if (bytes.readUInt8(end - 1) !== headerChecksum(bytes.subarray(4, end - 1))) throw new Error(CORRUPT);
  return { flags, blockSize: blockSizeOf(id), end };
}

function headerOf(id: number): { blockSize: number; header: Buffer } {
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeUInt32LE(MAGIC);
  header.writeUInt8(VERSION | INDEPENDENT, 4);
  header.writeUInt8(id << 4, 5);
  header.writeUInt8(headerChecksum(header.subarray(4, 6)), 6);
  return { blockSize: blockSizeOf(id), header };
}

function headerChecksum(descriptor: Uint8Array): number {
  return (Bun.hash.xxHash32(descriptor) >>> 8) & 0xff;
}

/** Returns the offset behind the checksum. */
function checkHash(bytes: Buffer, at: number, content: Uint8Array): number {
  if (uint32(bytes, at) !== Bun.hash.xxHash32(content)) throw new Error(CORRUPT);
  return at + LENGTH_SIZE;
}

function uint32(bytes: Buffer, at: number): number {
  if (at + LENGTH_SIZE > bytes.length) throw new Error(ENDS);
  return bytes.readUInt32LE(at);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
