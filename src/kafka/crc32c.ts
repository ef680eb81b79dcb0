// CRC32C (Castagnoli), the checksum of Kafka's record batches.
// Slicing by 8: eight tables turn eight bytes per step, 1.3 to 1.8 GB/s under Bun, so no native module is needed.
// Measured and no better: DataView loads, an Int32Array over the aligned middle, sixteen tables.

/** The Castagnoli polynomial, bits reversed (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;

const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables();

/**
 * The checksum of bytes[start, end), unsigned. `seed` is the checksum of what came before, so that
 * crc32c(b, …, crc32c(a, …)) is the checksum of a followed by b; any other value makes a keyed checksum.
 */
export function crc32c(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  let crc = ~seed;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    // The casts: start and end are the caller's word, and a check per byte would halve the rate.
    crc =
      T7[(crc ^ (bytes[at] as number)) & 0xff]! ^
      T6[((crc >>> 8) ^ (bytes[at + 1] as number)) & 0xff]! ^
      T5[((crc >>> 16) ^ (bytes[at + 2] as number)) & 0xff]! ^
      T4[(crc >>> 24) ^ (bytes[at + 3] as number)]! ^
      T3[bytes[at + 4] as number]! ^
      T2[bytes[at + 5] as number]! ^
      T1[bytes[at + 6] as number]! ^
      T0[bytes[at + 7] as number]!;
  }
  for (; at < end; at++) crc = T0[(crc ^ (bytes[at] as number)) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

type Table = Int32Array;

function makeTables(): [Table, Table, Table, Table, Table, Table, Table, Table] {
  const first = new Int32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1;
    first[n] = c;
  }
  const next = (before: Table): Table => before.map((c) => (first[c & 0xff] as number) ^ (c >>> 8));
  const t1 = next(first);
  const t2 = next(t1);
  const t3 = next(t2);
  const t4 = next(t3);
  const t5 = next(t4);
  const t6 = next(t5);
  return [first, t1, t2, t3, t4, t5, t6, next(t6)];
}
