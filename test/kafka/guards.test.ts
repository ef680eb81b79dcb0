import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ResponseReader } from "../../src/kafka/guards.ts";

/** A reader that awaits answers 0, 1, 2 … up to `inFlight` of them, and keeps the bodies. */
function reader(inFlight: number, maxResponse = 1_000) {
  const bodies: string[] = [];
  const responses = new ResponseReader({
    expected: () => (bodies.length < inFlight ? { correlationId: bodies.length, maxResponse } : undefined),
    answer: (body) => void bodies.push(body.toString("hex")),
  });
  return { bodies, push: (bytes: Uint8Array) => responses.push(Buffer.from(bytes)) };
}

function frame(correlationId: number, body: Uint8Array, size = body.length + 4): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(size, 0);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, body]);
}

describe("responses", () => {
  test("are the same however the stream is cut", () => {
    const answers = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(answers, fc.array(fc.nat(20), { minLength: 1, maxLength: 40 }), (sent, cuts) => {
        const stream = Buffer.concat(sent.map((body, id) => frame(id, body)));
        const { bodies, push } = reader(sent.length);
        let at = 0;
        for (let n = 0; at < stream.length; n++) {
          const size = (cuts[n % cuts.length] as number) + 1;
          expect(push(stream.subarray(at, at + size))).toBeUndefined();
          at += size;
        }
        expect(bodies).toEqual(sent.map((body) => Buffer.from(body).toString("hex")));
      }),
    );
  });

  test("of random bytes are a fault or wait for more, and never throw", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
        const { push } = reader(3);
        for (const chunk of chunks) if (push(chunk) !== undefined) return;
      }),
    );
  });

  test("are refused by their header, before their body has come", () => {
    const head = (size: number, id = 0) => frame(id, Buffer.alloc(0), size);
    expect(reader(1).push(head(1_001))).toContain("size of 1001");
    expect(reader(1).push(head(1_000))).toBeUndefined();
    expect(reader(1).push(head(-1))).toContain("size of -1");
    expect(reader(1).push(head(3))).toContain("size of 3");
    expect(reader(1).push(head(100, 7))).toBe("answered request 7 when request 0 was due");
    expect(reader(0).push(head(100))).toContain("unasked");
  });

  test("that are something else are called so", () => {
    expect(reader(1).push(Buffer.from("HTTP/1.1 400 Bad Request"))).toContain("not a Kafka port");
    expect(reader(1).push(Buffer.from([21, 3, 3, 0, 2, 2, 40, 0]))).toContain("TLS port");
  });
});
