import { describe, expect, test } from "bun:test";
import { crc32c } from "../../src/kafka/crc32c.ts";

const sum = (bytes: Uint8Array) => crc32c(bytes, 0, bytes.length);

describe("crc32c", () => {
  // "123456789" is the check value of the polynomial's catalogue; the others are RFC 3720, appendix B.4.
  test.each([
    ["nothing", Buffer.alloc(0), 0],
    ["the check value", Buffer.from("123456789"), 0xe3069283],
    ["32 bytes of zeros", Buffer.alloc(32), 0x8a9136aa],
    ["32 bytes of ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
    ["32 ascending bytes", Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
    ["32 descending bytes", Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
    ["one letter", Buffer.from("a"), 0xc1d04330],
  ])("of %s is the published value", (_, bytes, expected) => {
    expect(sum(bytes)).toBe(expected);
  });

  test("is the same whatever the alignment and the length", () => {
    const bytes = Buffer.from(Array.from({ length: 80 }, (_, i) => (i * 37 + 11) & 0xff));
    for (let start = 0; start < 17; start++) {
      for (let end = start; end <= bytes.length; end++) {
        let bitwise = ~0;
        for (let at = start; at < end; at++) {
          bitwise ^= bytes[at] as number;
          for (let bit = 0; bit < 8; bit++) bitwise = bitwise & 1 ? (bitwise >>> 1) ^ 0x82f63b78 : bitwise >>> 1;
        }
        expect(crc32c(bytes, start, end)).toBe(~bitwise >>> 0);
      }
    }
  });

  test("of the parts, each seeded with the one before, is that of the whole", () => {
    const bytes = Buffer.from("the quick brown fox jumps over the lazy dog");
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut))).toBe(sum(bytes));
    }
  });

  test("differs with another seed", () => {
    expect(crc32c(Buffer.from("block"), 0, 5, 1)).not.toBe(crc32c(Buffer.from("block"), 0, 5, 2));
  });
});
