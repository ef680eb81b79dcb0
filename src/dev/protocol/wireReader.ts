// Reads the primitive types of Kafka's protocol from one request.

/** A request that cannot be read. `position` is the byte in the request, its size field not counted. */
export class WireError extends Error {
  readonly position: number;
  constructor(position: number, message: string) {
    super(`${message} (at byte ${position})`);
    this.name = "WireError";
    this.position = position;
  }
}

export class WireReader {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  bool(): boolean {
    return this.int8() !== 0;
  }

  int8(): number {
    return this.bytes.readInt8(this.#take(1));
  }

  int16(): number {
    return this.bytes.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.bytes.readInt32BE(this.#take(4));
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.#take(8));
  }

  nullableString(): string | null {
    const length = this.int16();
    if (length === -1) return null;
    const start = this.#take(length);
    return this.bytes.toString("utf8", start, start + length);
  }

  string(): string {
    return this.nullableString() ?? this.#fail("a string is null");
  }

  /** A view, not a copy. */
  nullableBytes(): Buffer | null {
    const length = this.int32();
    if (length === -1) return null;
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  nullableArray<T>(item: () => T): T[] | null {
    const length = this.int32();
    if (length === -1) return null;
    // Each item has at least one byte: a wild count must not cost memory.
    if (length < 0 || length > this.left) this.#fail(`an array of ${length} items`);
    return Array.from({ length }, item);
  }

  array<T>(item: () => T): T[] {
    return this.nullableArray(item) ?? this.#fail("an array is null");
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.bytes.readUInt8(this.#take(1));
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return this.#fail("an unsigned varint beyond 28 bits");
  }

  compactString(): string {
    const length = this.uvarint() - 1;
    const start = this.#take(length);
    return this.bytes.toString("utf8", start, start + length);
  }

  /** Tagged fields are skipped: none is known here. */
  taggedFields(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint();
      this.#take(this.uvarint());
    }
  }

  #take(length: number): number {
    const start = this.at;
    if (length < 0 || length > this.left) this.#fail(`a field of ${length} bytes, ${this.left} are left`);
    this.at += length;
    return start;
  }

  #fail(message: string): never {
    throw new WireError(this.at, message);
  }
}
