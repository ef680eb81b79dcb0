// Snappy as Kafka has it: raw blocks in the framing of xerial's snappy-java, which is not the framing format of Google's.
import { release, snappyModule } from "./nativeCodecs.ts";

//   Stream => Magic Version CompatibleVersion [Block]
//     at  0  Magic              8 bytes  0x82 "SNAPPY" 0x00
//     at  8  Version            int32    1
//     at 12  CompatibleVersion  int32    1
//     at 16  blocks, each behind an int32 with its length
//   Source: SnappyCodec, SnappyOutputStream and SnappyInputStream of snappy-java, which Kafka's Java clients and brokers use
//   as they are (org.apache.kafka.common.compress.SnappyCompression).
//   A block is raw snappy: a varint with the length of what it unpacks to comes first
//   (https://github.com/google/snappy/blob/main/format_description.txt).
//
// Both Java's reader and librdkafka's (rd_kafka_msgset_reader_decompress) also take one raw block without any framing, which
// is what librdkafka writes. We write the framing, because no consumer can do without reading what Java's producer writes,
// and with a single block, because both size their memory by the length at the block's head; Java's own blocks of 32 KiB are
// no part of the format.

const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const HEADER_SIZE = 16;
const LENGTH_SIZE = 4;
const VERSION = 1;

export function compressSnappy(bytes: Uint8Array): Buffer {
  const block = snappyModule().compressSync(bytes);
  const packed = Buffer.allocUnsafe(HEADER_SIZE + LENGTH_SIZE + block.length);
  packed.set(MAGIC, 0);
  packed.writeInt32BE(VERSION, 8);
  packed.writeInt32BE(VERSION, 12);
  packed.writeInt32BE(block.length, HEADER_SIZE);
  packed.set(block, HEADER_SIZE + LENGTH_SIZE);
  release(block);
  return packed;
}

/** With or without the framing. Throws an Error when the bytes are damaged or would grow beyond `maxSize` bytes. */
export function decompressSnappy(packed: Uint8Array, maxSize: number): Buffer {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return unpackBlock(bytes, maxSize);
  if (bytes.length <= HEADER_SIZE) throw new Error("the snappy stream has no block");
  const compatible = bytes.readInt32BE(12);
  if (compatible > VERSION) throw new Error(`the snappy stream has version ${compatible}, which cannot be read`);
  const blocks: Buffer[] = [];
  let size = 0;
  for (let at = HEADER_SIZE; at < bytes.length; ) {
    const length = at + LENGTH_SIZE <= bytes.length ? bytes.readInt32BE(at) : -1;
    at += LENGTH_SIZE;
    if (length < 0 || at + length > bytes.length) throw new Error("the snappy stream ends in a block");
    const block = unpackBlock(bytes.subarray(at, at + length), maxSize - size);
    blocks.push(block);
    size += block.length;
    at += length;
  }
  return blocks.length === 1 ? (blocks[0] as Buffer) : Buffer.concat(blocks);
}

function unpackBlock(block: Buffer, maxSize: number): Buffer {
  const size = unpackedSize(block);
  if (size > maxSize) throw new Error(`the snappy block would grow to ${size} bytes, beyond the ${maxSize} allowed`);
  return snappyModule().uncompressSync(block, { asBuffer: true }) as Buffer;
}

/** The varint at the block's head: at most 32 bits, little end first. */
function unpackedSize(block: Buffer): number {
  let size = 0;
  for (let at = 0; at < 5 && at < block.length; at++) {
    const byte = block[at] as number;
    size += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return size;
  }
  throw new Error("the snappy block does not say how large it was");
}
