import { describe, expect, test } from "bun:test";
import { compressFrameSync, decompressFrameSync } from "lz4-napi";
import { compressLz4, decompressLz4 } from "../../src/kafka/lz4.ts";

const MAX = 1 << 30;
const text = (size: number) => Buffer.alloc(size, "a line of a log, and again ");
const noise = (size: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(size)));

/** Around each block size of the format. */
const SIZES = [0, 1, 65_536, 65_537, 262_144, 262_145, 1_048_576, 1_048_577, 4_194_304, 4_194_305];

describe("an LZ4 frame", () => {
  test.each(SIZES)("of %d bytes is read by others as it was, and theirs here", (size) => {
    const bytes = text(size);
    expect(decompressFrameSync(compressLz4(bytes)).equals(bytes)).toBe(true);
    for (const options of [{}, { contentChecksum: true, blockChecksums: true }]) {
      expect(decompressLz4(compressFrameSync(bytes, options), MAX).equals(bytes)).toBe(true);
    }
  });

  test("has independent blocks no larger than what is in it needs, and no checksum but that of its header", () => {
    const headers = [10, 65_537, 262_145, 1_048_577, 9_000_000].map((size) =>
      compressLz4(text(size)).subarray(0, 7).toString("hex"),
    );
    expect(headers).toEqual(["04224d18604082", "04224d186050fb", "04224d18606051", "04224d18607073", "04224d18607073"]);
  });

  test("keeps noise as it is", () => {
    const bytes = noise(60_000);
    const frame = compressLz4(bytes);
    expect(frame).toHaveLength(7 + 4 + bytes.length + 4);
    expect(frame.readUInt32LE(7)).toBe(0x8000_0000 + bytes.length);
    expect(decompressFrameSync(frame).equals(bytes)).toBe(true);
  });

  const frame = compressLz4(text(1000));
  const wrong: Record<string, [change: (bytes: Buffer) => void, message: string]> = {
    "another magic": [(bytes) => bytes.writeUInt8(5, 0), "not an LZ4 frame"],
    "another version": [(bytes) => bytes.writeUInt8(0xa0, 4), "a version that cannot be read"],
    "dependent blocks, which Java does not read": [(bytes) => bytes.writeUInt8(0x40, 4), "depend on each other"],
    "a dictionary": [(bytes) => bytes.writeUInt8(0x61, 4), "dictionary"],
    "blocks of an unknown size": [(bytes) => bytes.writeUInt8(0x30, 5), "unknown size"],
    "a wrong checksum": [(bytes) => bytes.writeUInt8(0, 6), "checksum"],
    "a block beyond its end": [(bytes) => bytes.writeUInt32LE(60_000, 7), "ends too early"],
    "a block larger than allowed": [(bytes) => bytes.writeUInt32LE(0x8001_0001, 7), "ends too early"],
  };
  test.each(Object.entries(wrong))("with %s is refused", (_name, [change, message]) => {
    const changed = Buffer.from(frame);
    change(changed);
    expect(() => decompressLz4(changed, MAX)).toThrow(message);
  });

  test("with something behind it is refused", () => {
    expect(() => decompressLz4(Buffer.concat([frame, frame]), MAX)).toThrow("behind the end");
  });

  test("whose content has another checksum is refused", () => {
    for (const options of [{ contentChecksum: true }, { blockChecksums: true }]) {
      const checked = Buffer.from(compressFrameSync(text(1000), options));
      const at = checked.lastIndexOf("again");
      checked.writeUInt8(0x20, at);
      expect(() => decompressLz4(checked, MAX)).toThrow("checksum");
    }
  });
});
