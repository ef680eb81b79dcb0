import { describe, expect, test } from "bun:test";
import { compressSync, uncompressSync } from "snappy";
import { compressSnappy, decompressSnappy } from "../../src/kafka/snappy.ts";

const MAX = 1 << 30;
const text = Buffer.alloc(100_000, "a line of a log, and again ");
const HEADER = "82534e415050590000000001" + "00000001";

/** As Java's producer writes it: in blocks of 32 KiB. */
function framedAsJavaDoes(bytes: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from(HEADER, "hex")];
  for (let at = 0; at < bytes.length; at += 32_768) {
    const block = compressSync(bytes.subarray(at, at + 32_768));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

describe("a snappy stream", () => {
  test("has the header of snappy-java and one raw block", () => {
    const packed = compressSnappy(text);
    expect(packed.subarray(0, 16).toString("hex")).toBe(HEADER);
    expect(packed.readInt32BE(16)).toBe(packed.length - 20);
    expect(uncompressSync(packed.subarray(20), { asBuffer: true })).toEqual(text);
  });

  test("in many blocks, as Java writes it, is read", () => {
    expect(decompressSnappy(framedAsJavaDoes(text), MAX).equals(text)).toBe(true);
    expect(decompressSnappy(framedAsJavaDoes(text), text.length)).toHaveLength(text.length);
    expect(() => decompressSnappy(framedAsJavaDoes(text), text.length - 1)).toThrow("beyond");
  });

  test("without framing, as librdkafka writes it, is read", () => {
    expect(decompressSnappy(compressSync(text), MAX).equals(text)).toBe(true);
    expect(() => decompressSnappy(compressSync(text), text.length - 1)).toThrow("beyond");
  });

  test("that claims to be gigabytes is refused before memory is set aside for it", () => {
    const bomb = Buffer.from("ffffffff0f00", "hex");
    expect(() => decompressSnappy(bomb, MAX)).toThrow(`would grow to ${2 ** 32 - 1} bytes`);
    expect(() => decompressSnappy(Buffer.alloc(10, 0xff), MAX)).toThrow("does not say how large");
  });

  test("of a later version is refused", () => {
    const later = compressSnappy(text);
    later.writeInt32BE(2, 12);
    expect(() => decompressSnappy(later, MAX)).toThrow("version 2");
  });
});
