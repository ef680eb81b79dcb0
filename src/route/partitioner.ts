// Which partition a message belongs to, when its key or its client says so.

/** Index of a PartitionKey among `count` partitions in ascending id order: the non-negative remainder. */
export function partitionKeyIndex(partitionKey: number, count: number): number {
  const remainder = partitionKey % count;
  return remainder < 0 ? remainder + count : remainder + 0; // never -0
}

/** Index of a key among all `count` partitions, as Kafka's own Java client hashes it. */
export function murmur2Index(bytes: Uint8Array, start: number, end: number, count: number): number {
  return (murmur2(bytes, start, end) & 0x7fffffff) % count;
}

/**
 * Murmur2, 32 bit, with the seed 0x9747b28c of Kafka's Java client (org.apache.kafka.common.utils.Utils.murmur2).
 * Returns a signed 32-bit integer.
 */
export function murmur2(bytes: Uint8Array, start: number, end: number): number {
  const multiplier = 0x5bd1e995;
  const length = end - start;
  let hash = 0x9747b28c ^ length;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    let word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    word = Math.imul(word, multiplier);
    word ^= word >>> 24;
    word = Math.imul(word, multiplier);
    hash = Math.imul(hash, multiplier) ^ word;
  }
  const left = end - at;
  if (left >= 3) hash ^= (bytes[at + 2] as number) << 16;
  if (left >= 2) hash ^= (bytes[at + 1] as number) << 8;
  if (left >= 1) {
    hash ^= bytes[at] as number;
    hash = Math.imul(hash, multiplier);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  hash ^= hash >>> 15;
  return hash;
}
