// Big-endian integers at an offset, exact for every number up to 2^53, without a DataView or a bigint on the way.

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** An int64. Beyond 2^53 it is not exact, which a caller who must know sees by its size. */
export function readInt64(bytes: Uint8Array, at: number): number {
  return (readUint32(bytes, at) | 0) * 0x100000000 + readUint32(bytes, at + 4);
}

export function writeInt64(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x100000000);
  writeUint32(bytes, at, high);
  writeUint32(bytes, at + 4, value - high * 0x100000000);
}
