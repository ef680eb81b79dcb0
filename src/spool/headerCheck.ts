// The short check of a block's header by itself: 24 bits of a CRC-32.

/** The reflected polynomial of zlib's CRC-32 (RFC 1952, section 8). */
const POLYNOMIAL = 0xedb88320;
const TABLE = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
  TABLE[byte] = rest;
}

/**
 * The low 24 bits of the CRC-32, started with `seed`, of the length (bytes [4, 8)) and bytes [16, 64) of the block's
 * header at `at`. In TypeScript, because a call of the native one costs a view, and the view is garbage for each block.
 */
export function headerCheck(bytes: Uint8Array, at: number, seed: number): number {
  let rest = ~seed;
  for (let i = at + 4; i < at + 8; i++) rest = (rest >>> 8) ^ (TABLE[(rest ^ (bytes[i] as number)) & 255] as number);
  for (let i = at + 16; i < at + 64; i++) rest = (rest >>> 8) ^ (TABLE[(rest ^ (bytes[i] as number)) & 255] as number);
  return ~rest & 0xffffff;
}
