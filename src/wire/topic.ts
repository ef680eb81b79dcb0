// Which topic names are legal: 1 to 249 of [a-zA-Z0-9._-], not "." or "..", as Kafka's brokers demand.

/** The longest topic name, in bytes (Kafka's `Topic.MAX_NAME_LENGTH`). */
export const MAX_TOPIC_LENGTH = 249;

const DOT = 0x2e;
const LEGAL = new Uint8Array(256);
for (const character of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") {
  LEGAL[character.charCodeAt(0)] = 1;
}

/** Whether the bytes at [start, end) are a legal topic name. Called per message: allocates nothing. */
export function isLegalTopic(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length < 1 || length > MAX_TOPIC_LENGTH) return false;
  for (let i = start; i < end; i++) {
    if (LEGAL[bytes[i] as number] === 0) return false;
  }
  if (length > 2 || bytes[start] !== DOT) return true;
  return length === 2 && bytes[start + 1] !== DOT;
}
