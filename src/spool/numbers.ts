// The message numbers of one batch, delta-coded: about a byte each.

const FIRST_CAPACITY = 64;
/** The most bytes one varint of a number up to 2^53 takes. */
const MAX_VARINT = 8;

/** Ascending message numbers. The first is kept as it is, the others as varints (7 bits a byte) of the difference. */
export class MessageNumbers {
  #deltas = new Uint8Array(FIRST_CAPACITY);
  #length = 0;
  #count = 0;
  #first = 0;
  #last = 0;

  /** Appends a number greater than the last. Called per message. */
  append(number: number): void {
    if (this.#count === 0) {
      this.#first = number;
    } else {
      let delta = number - this.#last;
      if (!(delta > 0)) throw new RangeError(`message number ${number} does not follow ${this.#last}`);
      if (this.#length + MAX_VARINT > this.#deltas.length) this.#grow();
      while (delta >= 128) {
        this.#deltas[this.#length++] = (delta % 128) + 128; // not `&`: a delta may exceed 32 bits
        delta = Math.floor(delta / 128);
      }
      this.#deltas[this.#length++] = delta;
    }
    this.#last = number;
    this.#count++;
  }

  get count(): number {
    return this.#count;
  }

  /** 0 when there is none. */
  get first(): number {
    return this.#first;
  }

  /** 0 when there is none. */
  get last(): number {
    return this.#last;
  }

  /** The memory that the numbers take. */
  get byteLength(): number {
    return this.#deltas.length;
  }

  /** Bytes that `writeDeltas` writes. */
  get deltasLength(): number {
    return this.#length;
  }

  /** Writes the deltas, without count and first number, for a file. Answers where they end. */
  writeDeltas(out: Uint8Array, at: number): number {
    out.set(this.#deltas.subarray(0, this.#length), at);
    return at + this.#length;
  }

  /** The numbers whose deltas are exactly bytes[start, end), or nothing when these cannot be the deltas of so many. */
  static fromDeltas(
    first: number,
    count: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): MessageNumbers | undefined {
    if (count < 1 || !Number.isSafeInteger(first)) return undefined;
    let number = first;
    let at = start;
    for (let index = 1; index < count; index++) {
      let delta = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = at < end ? (bytes[at++] as number) : -1;
        if (byte < 0 || scale > 2 ** 49) return undefined;
        delta += (byte % 128) * scale;
        if (byte < 128) break;
      }
      number += delta;
      if (delta === 0 || number > Number.MAX_SAFE_INTEGER) return undefined;
    }
    if (at !== end) return undefined;
    const numbers = new MessageNumbers();
    numbers.#deltas = new Uint8Array(Math.max(FIRST_CAPACITY, end - start));
    numbers.#deltas.set(bytes.subarray(start, end));
    numbers.#length = end - start;
    numbers.#count = count;
    numbers.#first = first;
    numbers.#last = number;
    return numbers;
  }

  /** Whether these are the same numbers. */
  equals(other: MessageNumbers): boolean {
    if (other.#first !== this.#first || other.#count !== this.#count || other.#length !== this.#length) return false;
    for (let at = 0; at < this.#length; at++) if (other.#deltas[at] !== this.#deltas[at]) return false;
    return true;
  }

  /** Calls back with every number, ascending. */
  forEach(callback: (number: number, index: number) => void): void {
    if (this.#count === 0) return;
    const deltas = this.#deltas;
    const end = this.#length;
    let number = this.#first;
    let index = 0;
    callback(number, index++);
    for (let at = 0; at < end; ) {
      let byte = deltas[at++] as number;
      let delta = byte;
      if (byte >= 128) {
        delta = byte - 128;
        let scale = 128;
        do {
          byte = deltas[at++] as number;
          delta += (byte % 128) * scale;
          scale *= 128;
        } while (byte >= 128);
      }
      number += delta;
      callback(number, index++);
    }
  }

  /** A copy of those with an index in [fromIndex, toIndex). */
  slice(fromIndex: number, toIndex: number): MessageNumbers {
    const part = new MessageNumbers();
    this.forEach((number, index) => {
      if (index >= fromIndex && index < toIndex) part.append(number);
    });
    return part;
  }

  /** Forgets all of them, and keeps the memory for the next. */
  clear(): void {
    this.#length = 0;
    this.#count = 0;
    this.#first = 0;
    this.#last = 0;
  }

  #grow(): void {
    const larger = new Uint8Array(this.#deltas.length * 2);
    larger.set(this.#deltas);
    this.#deltas = larger;
  }
}
