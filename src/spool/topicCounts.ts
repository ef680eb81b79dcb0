// Counts messages by topic without making a string of each: called for every message, on the input thread.
import { PARTITION_KEY, readInt16, readInt32 } from "../wire/frame.ts";
import { MAX_TOPIC_LENGTH } from "../wire/topic.ts";

/** More topics than these are counted together, under "". */
export const MAX_TOPICS = 10_000;
const FIRST_SLOTS = 64;

/** Multiplier and start of the hash: random, so that nobody can choose topics that all fall into one slot. */
const [MULTIPLIER = 1, START = 0] = crypto.getRandomValues(new Int32Array(2)).map((value) => value | 1);

interface Topic {
  readonly name: Uint8Array;
  readonly hash: number;
  count: number;
}

/** Messages by topic. Consecutive messages of one topic cost a comparison of its bytes, others a hash of them. */
export class TopicCounts {
  readonly #topics: Topic[] = [];
  /** Index into #topics plus one; open addressing, at most half full. */
  #slots = new Int32Array(FIRST_SLOTS);
  /** What the topics beyond MAX_TOPICS count on. Its name is like no topic's, so each message of one looks again. */
  readonly #overflow: Topic = { name: new Uint8Array(0), hash: 0, count: 0 };
  #last: Topic = this.#overflow;

  /** Counts the `count` frames that are back to back in bytes[start, end) and were checked when they came. */
  add(bytes: Uint8Array, start: number, end: number, count: number): void {
    let last = this.#last;
    let name = last.name;
    let length = name.length;
    let counted = 0;
    let run = 0;
    for (let at = start; counted < count && end - at > 16; counted++) {
      const size = readInt32(bytes, at);
      const topicAt = readInt16(bytes, at + 4) === PARTITION_KEY ? at + 16 : at + 12;
      const topicLength = readInt16(bytes, topicAt - 2);
      if (size < 16 || topicLength < 1 || topicLength > MAX_TOPIC_LENGTH || topicAt + topicLength > end) break;
      let i = topicLength === length ? 0 : -1;
      while (i >= 0 && i < length) i = bytes[topicAt + i] === name[i] ? i + 1 : -1;
      if (i < 0) {
        last.count += run;
        run = 0;
        last = this.#find(bytes, topicAt, topicLength);
        name = last.name;
        length = name.length;
      }
      run++;
      at += size;
    }
    last.count += run;
    this.#last = last;
    this.#overflow.count += count - counted;
  }

  /** "" stands for messages of topics that were too many. */
  toMap(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { name, count } of this.#topics) counts.set(Buffer.from(name).toString("latin1"), count);
    if (this.#overflow.count > 0) counts.set("", this.#overflow.count);
    return counts;
  }

  #find(bytes: Uint8Array, at: number, length: number): Topic {
    let hash = START;
    for (let i = at; i < at + length; i++) hash = Math.imul(hash ^ (bytes[i] as number), MULTIPLIER);
    hash ^= hash >>> 15;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let entry = this.#slots[slot] as number; entry !== 0; entry = this.#slots[slot] as number) {
      const topic = this.#topics[entry - 1] as Topic;
      if (topic.hash === hash && isSame(topic.name, bytes, at, length)) return topic;
      slot = (slot + 1) & mask;
    }
    if (this.#topics.length === MAX_TOPICS) return this.#overflow;
    const topic = { name: Uint8Array.from(bytes.subarray(at, at + length)), hash, count: 0 };
    this.#topics.push(topic);
    this.#slots[slot] = this.#topics.length;
    if (this.#topics.length * 2 > this.#slots.length) this.#grow();
    return topic;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    this.#topics.forEach((topic, index) => {
      let slot = topic.hash & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    });
    this.#slots = slots;
  }
}

function isSame(name: Uint8Array, bytes: Uint8Array, at: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) if (name[i] !== bytes[at + i]) return false;
  return true;
}
