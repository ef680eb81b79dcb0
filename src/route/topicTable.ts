// Finds a message's topic by the bytes of its name, without making a string for each message.
import type { Topic } from "./topic.ts";

interface Slot {
  hash: number;
  name: Buffer;
  topic: Topic;
}

const FIRST_SLOTS = 256;

/** Open addressing with linear probing; at most half full. Topics are never taken out. */
export class TopicTable {
  /** How many there may be. Those that are there stay, also when they are more. */
  limit: number;
  readonly #make: (name: string) => Topic;
  readonly #byName = new Map<string, Topic>();
  #slots: (Slot | undefined)[] = new Array(FIRST_SLOTS);
  #last: Slot | undefined;

  /** At most `limit` topics; `make` makes one that is named for the first time. */
  constructor(limit: number, make: (name: string) => Topic) {
    this.limit = limit;
    this.#make = make;
  }

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): Topic | undefined {
    return this.#byName.get(name);
  }

  values(): IterableIterator<Topic> {
    return this.#byName.values();
  }

  /** The topic named by bytes[start, end); made if it is new; nothing if that would be one too many. */
  find(bytes: Buffer, start: number, end: number): Topic | undefined {
    const last = this.#last;
    if (last !== undefined && same(last.name, bytes, start, end)) return last.topic;
    const hash = hashOf(bytes, start, end);
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = hash & mask;
    for (let slot = slots[at]; slot !== undefined; slot = slots[at]) {
      if (slot.hash === hash && same(slot.name, bytes, start, end)) {
        this.#last = slot;
        return slot.topic;
      }
      at = (at + 1) & mask;
    }
    return this.#add(bytes, start, end, hash);
  }

  #add(bytes: Buffer, start: number, end: number, hash: number): Topic | undefined {
    if (this.#byName.size >= this.limit) return undefined;
    const text = bytes.toString("latin1", start, end);
    const slot = { hash, name: Buffer.from(text, "latin1"), topic: this.#make(text) };
    this.#byName.set(text, slot.topic);
    if (this.#byName.size * 2 > this.#slots.length) this.#grow();
    this.#put(slot);
    this.#last = slot;
    return slot.topic;
  }

  #put(slot: Slot): void {
    const mask = this.#slots.length - 1;
    let at = slot.hash & mask;
    while (this.#slots[at] !== undefined) at = (at + 1) & mask;
    this.#slots[at] = slot;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Array(old.length * 2);
    for (const slot of old) if (slot !== undefined) this.#put(slot);
  }
}

function same(name: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const length = end - start;
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) if (name[i] !== bytes[start + i]) return false;
  return true;
}

/** FNV-1a, 32 bit. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash >>> 0;
}
