import { expect, test } from "bun:test";
import { Encoder } from "../../src/kafka/encoder.ts";

test("what is written is there, wherever the buffer had to grow", () => {
  for (let name = 1; name < 60; name++) {
    const encoder = new Encoder();
    const taken: Buffer[] = [];
    for (let index = 0; index < 40; index++) {
      encoder.string("n".repeat(name)).int32(index);
      if (index % 3 === 0) taken.push(encoder.take());
    }
    taken.push(encoder.take());
    const expected = Array.from({ length: 40 }, (_, index) => {
      const bytes = Buffer.alloc(2 + name + 4, "n");
      bytes.writeInt16BE(name, 0);
      bytes.writeInt32BE(index, 2 + name);
      return bytes;
    });
    expect(Buffer.concat(taken).equals(Buffer.concat(expected))).toBe(true);
  }
});
