// A set of message numbers: bitmaps for what lies close together, and an encoding by runs for the checkpoint.

/** Numbers of one page: a page is 8 KiB, and is there only when it holds a number. */
const PAGE = 65_536;
const WORDS = PAGE / 32;

interface Page {
  readonly bits: Uint32Array;
  count: number;
}

/** Numbers from 0 to 2^53 - 1. Ranges are half open: [from, to). */
export class NumberSet {
  readonly #pages = new Map<number, Page>();
  /** The keys of #pages, ascending. */
  #keys: number[] = [];
  #size = 0;
  /** The page of the number deleted last: those of a batch lie close together. */
  #near: Page | undefined;
  #nearKey = -1;

  get size(): number {
    return this.#size;
  }

  add(number: number): void {
    const page = this.#pageFor(Math.floor(number / PAGE));
    const at = number % PAGE;
    const word = page.bits[at >>> 5] as number;
    const bit = (1 << (at & 31)) >>> 0;
    if ((word & bit) !== 0) return;
    page.bits[at >>> 5] = word | bit;
    page.count++;
    this.#size++;
  }

  addRange(from: number, to: number): void {
    let at = from;
    while (at < to) {
      const key = Math.floor(at / PAGE);
      const end = Math.min(to, (key + 1) * PAGE);
      const page = this.#pageFor(key);
      const before = page.count;
      fill(page, at - key * PAGE, end - key * PAGE);
      this.#size += page.count - before;
      at = end;
    }
  }

  /** Answers whether it was there. */
  delete(number: number): boolean {
    const key = Math.floor(number / PAGE);
    let page = this.#near;
    if (this.#nearKey !== key) {
      page = this.#pages.get(key);
      this.#near = page;
      this.#nearKey = key;
    }
    const at = number - key * PAGE; // `%` of numbers beyond 2^31 takes several times as long as all of this
    const bit = 1 << (at & 31);
    if (page === undefined || ((page.bits[at >>> 5] as number) & bit) === 0) return false;
    page.bits[at >>> 5] = (page.bits[at >>> 5] as number) & ~bit;
    this.#size--;
    if (--page.count === 0) this.#drop(key);
    return true;
  }

  /** Removes those in [from, to). Answers how many were there. */
  deleteRange(from: number, to: number): number {
    const size = this.#size;
    let at = this.next(from);
    while (at !== undefined && at < to) {
      const key = Math.floor(at / PAGE);
      const page = this.#pages.get(key) as Page;
      const before = page.count;
      clear(page, at - key * PAGE, Math.min(to - key * PAGE, PAGE));
      this.#size -= before - page.count;
      if (page.count === 0) this.#drop(key);
      at = this.next((key + 1) * PAGE);
    }
    return size - this.#size;
  }

  has(number: number): boolean {
    const page = this.#pages.get(Math.floor(number / PAGE));
    if (page === undefined) return false;
    const at = number % PAGE;
    return ((page.bits[at >>> 5] as number) & (1 << (at & 31))) !== 0;
  }

  get first(): number | undefined {
    return this.next(0);
  }

  get last(): number | undefined {
    const key = this.#keys.at(-1);
    if (key === undefined) return undefined;
    const { bits } = this.#pages.get(key) as Page;
    let word = WORDS - 1;
    while (bits[word] === 0) word--;
    return key * PAGE + word * 32 + 31 - Math.clz32(bits[word] as number);
  }

  /** The smallest number in the set that is at least `from`. */
  next(from: number): number | undefined {
    const fromKey = Math.floor(from / PAGE);
    for (let index = this.#indexOf(fromKey); index < this.#keys.length; index++) {
      const key = this.#keys[index] as number;
      const { bits } = this.#pages.get(key) as Page;
      const at = find(bits, key === fromKey ? from - key * PAGE : 0, 0);
      if (at < PAGE) return key * PAGE + at;
    }
    return undefined;
  }

  /** The smallest number that is not in the set and at least `from`. */
  nextAbsent(from: number): number {
    for (let number = from; ; ) {
      const key = Math.floor(number / PAGE);
      const page = this.#pages.get(key);
      if (page === undefined) return number;
      const at = find(page.bits, number - key * PAGE, -1);
      number = key * PAGE + at;
      if (at < PAGE) return number;
    }
  }

  /** How many numbers of the set lie in [from, to). */
  countBetween(from: number, to: number): number {
    let count = 0;
    let at = this.next(from);
    while (at !== undefined && at < to) {
      const end = this.nextAbsent(at);
      count += Math.min(end, to) - at;
      at = this.next(end);
    }
    return count;
  }

  /** Calls back with every number, ascending. The set must not change meanwhile. */
  forEach(callback: (number: number) => void): void {
    this.forEachRange((from, to) => {
      for (let number = from; number < to; number++) callback(number);
    });
  }

  /** Calls back with every run of neighbours, ascending; from the run that holds `start`, cut there, if one is given. */
  forEachRange(callback: (from: number, to: number) => void, start = 0): void {
    let runFrom = -1;
    let runTo = -1;
    const startKey = Math.floor(start / PAGE);
    for (let index = this.#indexOf(startKey); index < this.#keys.length; index++) {
      const key = this.#keys[index] as number;
      const { bits } = this.#pages.get(key) as Page;
      let at = find(bits, key === startKey ? start - key * PAGE : 0, 0);
      while (at < PAGE) {
        const end = find(bits, at, -1);
        if (key * PAGE + at !== runTo) {
          if (runFrom >= 0) callback(runFrom, runTo);
          runFrom = key * PAGE + at;
        }
        runTo = key * PAGE + end;
        at = find(bits, end, 0);
      }
    }
    if (runFrom >= 0) callback(runFrom, runTo);
  }

  /** For each run of neighbours two varints (7 bits a byte, low ones first): the gap since the run before, the length. */
  encode(): Buffer {
    let bytes = Buffer.allocUnsafe(256);
    let at = 0;
    let end = 0;
    this.forEachRange((from, to) => {
      if (at + 16 > bytes.length) bytes = Buffer.concat([bytes, bytes]);
      at = writeVarint(bytes, writeVarint(bytes, at, from - end), to - from);
      end = to;
    });
    return bytes.subarray(0, at);
  }

  /** What `encode` gave, or nothing when it did not. */
  static decode(bytes: Uint8Array): NumberSet | undefined {
    const set = new NumberSet();
    const reader = { at: 0 };
    let end = 0;
    while (reader.at < bytes.length) {
      const from = end + readVarint(bytes, reader);
      end = from + readVarint(bytes, reader);
      if (!(end > from && end <= Number.MAX_SAFE_INTEGER && end - from <= MAX_RUN)) return undefined;
      set.addRange(from, end);
    }
    return set;
  }

  #pageFor(key: number): Page {
    const found = this.#pages.get(key);
    if (found !== undefined) return found;
    const page = { bits: new Uint32Array(WORDS), count: 0 };
    this.#nearKey = -1;
    this.#pages.set(key, page);
    if (key > (this.#keys.at(-1) ?? -1)) this.#keys.push(key);
    else this.#keys.splice(this.#indexOf(key), 0, key);
    return page;
  }

  #drop(key: number): void {
    this.#nearKey = -1;
    this.#pages.delete(key);
    this.#keys.splice(this.#indexOf(key), 1);
  }

  /** The index of the first key that is at least `key`. */
  #indexOf(key: number): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] as number) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A longer run in an encoding is damage: it would take 256 MiB of pages. */
const MAX_RUN = 2 ** 31;

/** The first bit at `from` or behind it that is set (`flip` 0) or clear (`flip` -1); PAGE when there is none. */
function find(bits: Uint32Array, from: number, flip: 0 | -1): number {
  if (from >= PAGE) return PAGE;
  let word = from >>> 5;
  let rest = ((bits[word] as number) ^ flip) & (-1 << (from & 31));
  while (rest === 0) {
    if (++word === WORDS) return PAGE;
    rest = (bits[word] as number) ^ flip;
  }
  return word * 32 + 31 - Math.clz32(rest & -rest);
}

function fill(page: Page, from: number, to: number): void {
  const { bits } = page;
  for (let at = from; at < to; ) {
    const word = at >>> 5;
    const end = Math.min(to, (word + 1) * 32);
    const mask = maskOf(at, end);
    page.count += ones(mask & ~(bits[word] as number));
    bits[word] = (bits[word] as number) | mask;
    at = end;
  }
}

function clear(page: Page, from: number, to: number): void {
  const { bits } = page;
  for (let at = from; at < to; ) {
    const word = at >>> 5;
    const end = Math.min(to, (word + 1) * 32);
    const mask = maskOf(at, end);
    page.count -= ones(mask & (bits[word] as number));
    bits[word] = (bits[word] as number) & ~mask;
    at = end;
  }
}

/** The bits [from, end) of one word. */
function maskOf(from: number, end: number): number {
  return end - from === 32 ? -1 : ((1 << (end - from)) - 1) << (from & 31);
}

/** Bits set in 32 (Hacker's Delight, figure 5-2). */
function ones(word: number): number {
  let rest = word - ((word >>> 1) & 0x55555555);
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333);
  return Math.imul((rest + (rest >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function writeVarint(out: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 128) {
    out[at++] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  out[at++] = rest;
  return at;
}

/** NaN when it is cut, or longer than one of a number up to 2^53. */
function readVarint(bytes: Uint8Array, reader: { at: number }): number {
  let value = 0;
  for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
    const byte = bytes[reader.at++];
    if (byte === undefined) return Number.NaN;
    value += (byte % 128) * scale;
    if (byte < 128) return value;
  }
  return Number.NaN;
}
