// Lines to frames, and frames to the kernel, whatever way the input is cut and however little the kernel takes.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Framer, type LineFormat } from "../../src/send/framer.ts";
import { Outbox } from "../../src/send/outbox.ts";
import { decodeFrames } from "../support/streamServerProcess.ts";

const format = (changes: Partial<LineFormat> = {}): LineFormat => ({
  topic: "t",
  delimiter: Buffer.from("\n"),
  maxMessage: 1024,
  ...changes,
});

/** So small that chunks are left, and begun, all the time. */
const small = (chunk: number): Outbox => new Outbox({ chunk, ahead: 2, window: 4 * chunk });

/** Feeds `input` in pieces, sends pieces of what is there, and gives all that was sent on one connection. */
function through(framer: Framer, out: Outbox, input: Buffer, pieces: () => number, takes: () => number): Buffer {
  const sent: Buffer[] = [];
  const send = (): void => {
    const count = Math.min(takes(), out.stop - out.start);
    sent.push(Buffer.from(out.sending.subarray(out.start, out.start + count)));
    out.took(count);
  };
  for (let at = 0; at < input.length; ) {
    const count = Math.min(pieces(), framer.space(), input.length - at);
    input.copy(framer.bytes, framer.end, at, at + count);
    framer.filled(count);
    at += count;
    while (!framer.encode(out, 1)) send();
    send();
  }
  while (!framer.finish(out)) send();
  while (!out.empty) send();
  return Buffer.concat(sent);
}

/** Draws the numbers of `list` over and over. */
function cycle(list: number[]): () => number {
  let i = 0;
  return () => list[i++ % list.length] as number;
}

const steps = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 });

test("any cut of the input, any share taken at a time, gives the same lines", () => {
  const byte = fc.constantFrom(0, 10, 13, 58, 65, 255);
  const inputs = fc.array(byte, { maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(inputs, steps, steps, fc.constantFrom("\n", "\r\n", "A\nA"), (input, pieces, takes, delimiter) => {
      const framer = new Framer(format({ delimiter: Buffer.from(delimiter) }));
      const bytes = through(framer, small(700), input, cycle(pieces), cycle(takes));
      const expected = input.toString("latin1").split(delimiter);
      if (expected.at(-1) === "") expected.pop();
      expect(decodeFrames(bytes).map(({ value }) => value.toString("latin1"))).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("any cut of the input gives the same keys and values", () => {
  const byte = fc.constantFrom(10, 58, 58, 65);
  const inputs = fc.array(byte, { maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(inputs, steps, steps, fc.constantFrom(":", "::", ":A"), (input, pieces, takes, keyDelimiter) => {
      const framer = new Framer(format({ keyDelimiter: Buffer.from(keyDelimiter) }));
      const bytes = through(framer, small(700), input, cycle(pieces), cycle(takes));
      const lines = input.toString("latin1").split("\n");
      if (lines.at(-1) === "") lines.pop();
      const expected = lines.map((line) => {
        const at = line.indexOf(keyDelimiter);
        return at < 0 ? ["", line] : [line.slice(0, at), line.slice(at + keyDelimiter.length)];
      });
      expect(decodeFrames(bytes).map(({ key, value }) => [key.toString(), value.toString()])).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("any cut of the input leaves out the same lines that are too long, and names them", () => {
  const lengths = fc.array(fc.integer({ min: 980, max: 1010 }), { maxLength: 8 });
  fc.assert(
    fc.property(lengths, steps, fc.constantFrom("\n", "ab"), (lines, pieces, delimiter) => {
      const framer = new Framer(format({ delimiter: Buffer.from(delimiter) }));
      const left: number[] = [];
      framer.onTooLong = (line) => left.push(line);
      const input = Buffer.from(lines.map((length) => "a".repeat(length) + delimiter).join(""), "latin1");
      const bytes = through(framer, small(2048), input, cycle(pieces), cycle([5000]));
      const longest = 1024 - 28 - 1;
      // With "ab" a line of a's ends at the last of them: nothing but the length matters.
      expect(decodeFrames(bytes).map(({ value }) => value.length)).toEqual(lines.filter((n) => n <= longest));
      expect(left).toEqual(lines.flatMap((n, i) => (n > longest ? [i + 1] : [])));
    }),
    { numRuns: 300 },
  );
});

test("a line with a key that makes its frame too long is left out too", () => {
  const framer = new Framer(format({ keyDelimiter: Buffer.from("::::") }));
  const left: number[] = [];
  framer.onTooLong = (line) => left.push(line);
  const values = [994, 995, 996, 999, 1000].map((length) => `k::::${"x".repeat(length - 5)}`);
  const plain = ["y".repeat(995), "y".repeat(996)];
  const input = Buffer.from([...values, ...plain].join("\n"));
  const frames = decodeFrames(through(framer, small(2048), input, cycle([100]), cycle([5000])));
  expect(frames.map(({ key, value }) => key.length + value.length)).toEqual([990, 991, 992, 995, 995]);
  expect(left).toEqual([5, 7]);
});

test("after a lost connection the frame that was taken in part is sent again whole, the others are not", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 30 });
  const takes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(sizes, takes, (lengths, counts) => {
      const framer = new Framer(format());
      const out = small(1000);
      const lines = lengths.map((length, i) => `${i} ${"x".repeat(length)}`);
      const input = Buffer.from(`${lines.join("\n")}\n`);
      const connections: Buffer[][] = [[]];
      const count = cycle(counts);
      let whole = 0;
      const send = (most: number): void => {
        const taken = Math.min(most, out.stop - out.start);
        connections.at(-1)?.push(Buffer.from(out.sending.subarray(out.start, out.start + taken)));
        out.took(taken);
        const now = connections.reduce((sum, parts) => sum + decodeFrames(Buffer.concat(parts)).length, 0);
        expect(out.sent()).toBe(now);
        expect(now).toBeGreaterThanOrEqual(whole);
        whole = now;
      };
      framer.space();
      input.copy(framer.bytes, 0);
      framer.filled(input.length);
      for (let done = false; !done || !out.empty; ) {
        if (!done) done = framer.encode(out, 1);
        send(count());
        // Not for ever: a connection that takes less than a frame brings nothing further.
        if (connections.length < 20 && count() % 3 === 0) {
          out.rewind();
          connections.push([]);
        }
      }
      const arrived = connections.flatMap((parts) => decodeFrames(Buffer.concat(parts)));
      expect(arrived.map(({ value }) => value.toString())).toEqual(lines);
    }),
    { numRuns: 300 },
  );
});
