// Writes the primitive types of Kafka's protocol (non-flexible versions), big-endian.

/** A growing buffer. take() hands out what was written since the last take(). */
export class Encoder {
  #bytes = Buffer.allocUnsafe(256);
  #start = 0;
  #end = 0;

  int8(value: number): this {
    this.#end = this.#room(1).writeInt8(value, this.#end);
    return this;
  }

  int16(value: number): this {
    this.#end = this.#room(2).writeInt16BE(value, this.#end);
    return this;
  }

  int32(value: number): this {
    this.#end = this.#room(4).writeInt32BE(value, this.#end);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  /** NULLABLE_STRING: int16 length (-1 is null) + UTF-8. At most 32,767 bytes; more throws a RangeError. */
  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const size = Buffer.byteLength(value);
    this.int16(size);
    const bytes = this.#room(size); // first: it may move #end
    this.#end += bytes.write(value, this.#end);
    return this;
  }

  /** The bytes since the last take(). They stay valid: what follows is written behind them. */
  take(): Buffer {
    const taken = this.#bytes.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return taken;
  }

  #room(size: number): Buffer {
    if (this.#end + size > this.#bytes.length) {
      const kept = this.#end - this.#start;
      const larger = Buffer.allocUnsafe(Math.max(kept + size, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, this.#start, this.#end);
      this.#bytes = larger;
      this.#start = 0;
      this.#end = kept;
    }
    return this.#bytes;
  }
}
