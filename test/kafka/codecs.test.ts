import { describe, expect, test } from "bun:test";
import { codecIds, compress, decompress } from "../../src/kafka/codecs.ts";

const text = Buffer.from("a line of a log, and again ".repeat(200));

describe("codecs", () => {
  test.each(["none", "gzip", "zstd"] as const)("%s gives back what it took, at every level asked for", (codec) => {
    for (const level of [-5, 0, 1, 6, 9, 22, 99]) {
      const packed = compress(codec, level, text);
      expect(Buffer.from(decompress(codecIds[codec], packed)).equals(text)).toBe(true);
    }
  });

  test.each(["gzip", "zstd"] as const)("%s makes a log smaller", (codec) => {
    expect(compress(codec, 1, text).length).toBeLessThan(text.length / 4);
  });

  test.each(["gzip", "zstd"] as const)("%s refuses a result beyond the limit", (codec) => {
    expect(() => decompress(codecIds[codec], compress(codec, 1, text), text.length - 1)).toThrow();
    expect(decompress(codecIds[codec], compress(codec, 1, text), text.length)).toHaveLength(text.length);
  });

  test.each(["gzip", "zstd"] as const)("%s refuses damaged bytes", (codec) => {
    expect(() => decompress(codecIds[codec], Buffer.from("not compressed at all"))).toThrow();
    expect(() => decompress(codecIds[codec], Buffer.alloc(0))).toThrow();
  });

  test.each(["snappy", "lz4"] as const)("%s says that it is not supported yet", (codec) => {
    expect(() => compress(codec, 1, text)).toThrow("not supported yet");
    expect(() => decompress(codecIds[codec], text)).toThrow("not supported yet");
  });

  test("an unknown codec id is refused", () => {
    expect(() => decompress(7, text)).toThrow("no compression codec 7");
  });
});
