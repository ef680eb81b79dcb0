// Reads the primitive types of Kafka's protocol (non-flexible versions) from a response, trusting nothing in it.

/** The response is not what its grammar says. The message has the position. */
class DecodeError extends Error {
  override name = "DecodeError";
}

export class Decoder {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  /** An int64 that is an offset or a time, as a number: exact up to 2^53, which neither ever reaches. */
  offset(): number {
    const at = this.#take(8);
    return this.#bytes.readInt32BE(at) * 0x1_0000_0000 + this.#bytes.readUInt32BE(at + 4);
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  nullableString(): string | null {
    const size = this.int16();
    if (size === -1) return null;
    if (size < 0) throw new DecodeError(`string length ${size} at byte ${this.#at - 2}`);
    const at = this.#take(size);
    return this.#bytes.toString("utf8", at, at + size);
  }

  string(): string {
    const value = this.nullableString();
    if (value === null) throw new DecodeError(`null string at byte ${this.#at - 2}`);
    return value;
  }

  /** An array whose elements take at least `minSize` bytes each, so that a count beyond the response is seen at once. */
  array<T>(minSize: number, element: (decoder: this) => T): T[] {
    const count = this.int32();
    if (count === -1) return [];
    if (count < 0 || count * minSize > this.#bytes.length - this.#at) {
      throw new DecodeError(`array count ${count} at byte ${this.#at - 4} of ${this.#bytes.length}`);
    }
    const elements: T[] = [];
    for (let n = 0; n < count; n++) elements.push(element(this));
    return elements;
  }

  /** Skips an array of elements of `size` bytes each. */
  skipArray(size: number): void {
    const count = this.int32();
    if (count < -1) throw new DecodeError(`array count ${count} at byte ${this.#at - 4}`);
    if (count > 0) this.#take(count * size);
  }

  /** Every response must have been read to its last byte. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw new DecodeError(`${left} bytes too many at byte ${this.#at} of ${this.#bytes.length}`);
  }

  #take(size: number): number {
    const at = this.#at;
    if (size > this.#bytes.length - at)
      throw new DecodeError(`ends at byte ${this.#bytes.length}, ${size} more wanted`);
    this.#at = at + size;
    return at;
  }
}
