// Finds what a checksum was started with, when the header that says it is damaged: the CRC, run backwards.

/** The reflected polynomial of zlib's CRC-32 (RFC 1952, section 8); the top byte of each entry is another one. */
const POLYNOMIAL = 0xedb88320;
const TABLE = new Int32Array(256);
const BY_TOP = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
  TABLE[byte] = rest;
  BY_TOP[rest >>> 24] = byte;
}

/** The one seed with which zlib's CRC-32 of bytes [start, end) is `checksum`. There always is one: check it with something else. */
export function seedOf(bytes: Uint8Array, start: number, end: number, checksum: number): number {
  let state = ~checksum;
  for (let at = end - 1; at >= start; at--) {
    const entry = BY_TOP[state >>> 24] as number;
    state = ((state ^ (TABLE[entry] as number)) << 8) | (entry ^ (bytes[at] as number));
  }
  return ~state >>> 0;
}
