import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultSettings } from "../../src/config/settings.ts";
import { type Codec, codecIds, codecObjections, compress, decompress } from "../../src/kafka/codecs.ts";

const ROOT = { env: {}, uid: 0 };
const text = Buffer.from("a line of a log, and again ".repeat(200));
const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const satisfies Codec[];
const COMPRESSING = ["gzip", "snappy", "lz4", "zstd"] as const satisfies Codec[];

describe("codecs", () => {
  test.each(CODECS)("%s can be used here", (codec) => {
    const settings = defaultSettings(ROOT);
    settings.compression.codec = codec;
    settings.topics = [{ pattern: "a*", overrides: { codec } }];
    expect(codecObjections(settings)).toEqual([]);
  });

  test.each(CODECS)("%s gives back what it took, at every level asked for", (codec) => {
    for (const level of [-5, 0, 1, 6, 9, 22, 99]) {
      const packed = compress(codec, level, text);
      expect(Buffer.from(decompress(codecIds[codec], packed)).equals(text)).toBe(true);
    }
  });

  test.each(CODECS)("%s gives back any bytes, wherever in a buffer they lie", (codec) => {
    const anyBytes = fc.tuple(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 300 }),
      fc.nat(9),
    );
    fc.assert(
      fc.property(anyBytes, ([pieces, times, before]) => {
        const whole = Buffer.concat(Array.from({ length: times }, () => pieces).flat());
        const around = Buffer.concat([Buffer.alloc(before, 1), whole, Buffer.alloc(9, 2)]);
        const bytes = around.subarray(before, before + whole.length);
        const packed = Buffer.concat([Buffer.alloc(before), compress(codec, 1, bytes)]).subarray(before);
        expect(Buffer.from(decompress(codecIds[codec], packed, bytes.length)).equals(whole)).toBe(true);
        expect(around.subarray(0, before).every((byte) => byte === 1)).toBe(true);
      }),
    );
  });

  test.each(COMPRESSING)("%s makes a log smaller", (codec) => {
    expect(compress(codec, 1, text).length).toBeLessThan(text.length / 4);
  });

  test.each(COMPRESSING)("%s gives back ten megabytes, of text and of noise", (codec) => {
    const noise = crypto.getRandomValues(new Uint8Array(65_536));
    for (const bytes of [Buffer.alloc(10_000_000, text), Buffer.concat(Array(160).fill(noise))]) {
      expect(Buffer.from(decompress(codecIds[codec], compress(codec, 1, bytes))).equals(bytes)).toBe(true);
    }
  });

  test.each(COMPRESSING)("%s leaves alone what it took, and what it gave before", (codec) => {
    const sizes = Array.from({ length: 200 }, (_, index) => 1 + ((index * 7919) % 100_000));
    const batches = sizes.map((size) => Buffer.alloc(size, `${size} of a log, and again `));
    const packed = batches.map((batch) => compress(codec, 1, batch));
    Bun.gc(true);
    batches.forEach((batch, index) => {
      const size = sizes[index] as number;
      expect(batch.equals(Buffer.alloc(size, `${size} of a log, and again `))).toBe(true);
      expect(Buffer.from(decompress(codecIds[codec], packed[index] as Uint8Array)).equals(batch)).toBe(true);
    });
  });

  test.each(COMPRESSING)("%s refuses a result beyond the limit", (codec) => {
    expect(() => decompress(codecIds[codec], compress(codec, 1, text), text.length - 1)).toThrow();
    expect(decompress(codecIds[codec], compress(codec, 1, text), text.length)).toHaveLength(text.length);
  });

  test.each(COMPRESSING)("%s refuses damaged bytes", (codec) => {
    const id = codecIds[codec];
    expect(() => decompress(id, Buffer.from("not compressed at all"))).toThrow();
    expect(() => decompress(id, Buffer.alloc(0))).toThrow();
  });

  // zlib's zstd gives what it has of a frame that ends early; the batch's CRC and its count of records tell then.
  test.each(["gzip", "snappy", "lz4"] as const)("%s refuses bytes that end early, wherever", (codec) => {
    const packed = compress(codec, 1, text);
    for (let length = 0; length < packed.length; length++) {
      expect(() => decompress(codecIds[codec], packed.subarray(0, length))).toThrow();
    }
  });

  test.each(COMPRESSING)("%s never gives more than the limit for bytes that somebody made up", (codec) => {
    const packed = Buffer.from(compress(codec, 1, text));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { maxLength: 3 }), (changes) => {
        const changed = Buffer.from(packed);
        for (const [at, byte] of changes) changed[at] = byte;
        let size = 0;
        try {
          size = decompress(codecIds[codec], changed, text.length).length;
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
        expect(size).toBeLessThanOrEqual(text.length);
      }),
    );
  });

  test("an unknown codec id is refused", () => {
    expect(() => decompress(7, text)).toThrow("no compression codec 7");
  });
});
