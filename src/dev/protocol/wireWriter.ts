// Writes the primitive types of Kafka's protocol into one response; large byte fields are passed on, not copied.

/** Byte fields from this size on become parts of their own. */
const OWN_PART = 4096;

export class WireWriter {
  readonly #parts: Buffer[] = [];
  #buffer = Buffer.allocUnsafe(512);
  #start = 0;
  #at = 0;

  bool(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  int8(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#room(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  int64(value: number | bigint): this {
    const at = this.#room(8);
    this.#buffer.writeBigInt64BE(BigInt(value), at);
    return this;
  }

  nullableString(value: string | null): this {
    if (value === null) return this.int16(-1);
    const bytes = Buffer.from(value, "utf8");
    return this.int16(bytes.length).raw(bytes);
  }

  string(value: string): this {
    return this.nullableString(value);
  }

  /** A byte field in several pieces. */
  bytes(pieces: Uint8Array[]): this {
    this.int32(pieces.reduce((sum, piece) => sum + piece.length, 0));
    for (const piece of pieces) this.raw(piece);
    return this;
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length);
    for (const item of items) write(item);
    return this;
  }

  nullArray(): this {
    return this.int32(-1);
  }

  uvarint(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.#uint8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.#uint8(rest);
  }

  noTaggedFields(): this {
    return this.uvarint(0);
  }

  raw(bytes: Uint8Array): this {
    if (bytes.length < OWN_PART) {
      const at = this.#room(bytes.length);
      this.#buffer.set(bytes, at);
      return this;
    }
    this.#seal();
    this.#parts.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return this;
  }

  /** Everything written, in order. The writer is done after this. */
  parts(): Buffer[] {
    this.#seal();
    return this.#parts;
  }

  #uint8(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  #seal(): void {
    if (this.#at > this.#start) this.#parts.push(this.#buffer.subarray(this.#start, this.#at));
    this.#start = this.#at;
  }

  #room(length: number): number {
    const at = this.#at;
    if (at + length > this.#buffer.length) {
      const written = this.#buffer.subarray(this.#start, at);
      const grown = Buffer.allocUnsafe(Math.max(512, 2 * (written.length + length)));
      grown.set(written);
      this.#buffer = grown;
      this.#start = 0;
      this.#at = written.length + length;
      return written.length;
    }
    this.#at += length;
    return at;
  }
}
