// However a stream is cut into pieces, the same frames and the same rejects come out of it.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { encodeAnyPartition, encodePartitionKey, FrameFault, readInt32 } from "../../src/wire/frame.ts";
import { encodeResume, encodeSync, RESUME_SIZE, SYNC_SIZE } from "../../src/wire/receipts.ts";
import { HEADROOM, PREFIX, Splitter, type SplitterLimits, type SplitterState } from "../../src/wire/splitter.ts";
import { messages } from "./arbitraries.ts";

interface Outcome {
  frames: string[];
  rejects: { fault: FrameFault; size: number }[];
  /** Each Sync and Resume in full, and how many frames came before it. */
  questions: { bytes: string; after: number }[];
  state: SplitterState;
  /** Inside a frame at the end. */
  inside: boolean;
  mostHeld: number;
  /** The beginnings shown with the rejects. */
  shown: Buffer[];
}

/** Pushes the pieces, each from a fresh place whose headroom is garbage. */
function split(pieces: Buffer[], limits: SplitterLimits): Outcome {
  const frames: string[] = [];
  const rejects: Outcome["rejects"] = [];
  const shown: Buffer[] = [];
  const questions: Outcome["questions"] = [];
  const splitter = new Splitter(limits, {
    frames(bytes, start, end, count) {
      for (let at = start; at < end; count--) {
        const next = at + readInt32(bytes, at);
        frames.push(bytes.toString("latin1", at, next));
        at = next;
      }
      expect(count).toBe(0);
    },
    reject(fault, bytes, start, end, size) {
      rejects.push({ fault, size });
      shown.push(Buffer.from(bytes.subarray(start, Math.min(end, start + PREFIX))));
    },
    question(bytes, at) {
      questions.push({ bytes: question(bytes, at), after: frames.length });
      return true;
    },
    mayReject: () => true,
  });
  let state: SplitterState = "open";
  let mostHeld = 0;
  for (const piece of pieces) {
    const bytes = Buffer.concat([Buffer.alloc(HEADROOM, 0xaa), piece, Buffer.alloc(8, 0xaa)]);
    state = splitter.push(bytes, HEADROOM, HEADROOM + piece.length);
    mostHeld = Math.max(mostHeld, splitter.held);
    if (state === "broken") break;
  }
  return { frames, rejects, questions, state, inside: splitter.rest !== undefined, mostHeld, shown };
}

function question(bytes: Buffer, at: number): string {
  return bytes.toString("hex", at, at + (bytes.readInt16BE(at + 4) === 512 ? SYNC_SIZE : RESUME_SIZE));
}

/**
 * Everything found, in order, by a splitter whose sink refuses what it may refuse whenever `refuses` says so, and is then
 * given the rest again.
 */
function inOrder(pieces: Buffer[], limits: SplitterLimits, refuses: () => boolean): string[] {
  const found: string[] = [];
  const splitter = new Splitter(limits, {
    frames(bytes, start, end) {
      for (let at = start; at < end; at += readInt32(bytes, at)) {
        found.push(bytes.toString("latin1", at, at + readInt32(bytes, at)));
      }
    },
    reject: (fault, _bytes, _start, _end, size) => found.push(`rejected ${fault} ${size}`),
    question(bytes, at) {
      if (refuses()) return false;
      found.push(`asked ${question(bytes, at)}`);
      return true;
    },
    mayReject: () => !refuses(),
  });
  splitter.ordered = true;
  for (const piece of pieces) {
    for (let rest = piece, again = true; again; ) {
      const bytes = Buffer.concat([Buffer.alloc(HEADROOM, 0xaa), rest, Buffer.alloc(8, 0xaa)]);
      const end = HEADROOM + rest.length;
      const state = splitter.push(bytes, HEADROOM, end);
      if (state === "broken") return [...found, "broken"];
      again = state === "paused";
      if (again) rest = Buffer.from(bytes.subarray(splitter.pausedAt, end));
    }
  }
  return found;
}

function cut(stream: Buffer, places: number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b);
  const edges = [0, ...sorted, stream.length];
  return edges.slice(1).map((edge, i) => stream.subarray(edges[i], edge));
}

const frame = (value: Buffer | string, topic = "orders", key = ""): Buffer =>
  encodeAnyPartition({ topic, timestamp: 5, key: Buffer.from(key), value: Buffer.from(value) });

function altered(bytes: Buffer, change: (bytes: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}

const good = messages().map((message) => {
  const { partitionKey } = message;
  return partitionKey === undefined ? encodeAnyPartition(message) : encodePartitionKey({ ...message, partitionKey });
});
/** Longer than what is carried over in the headroom, so that they are gathered; some too large, some to be skipped. */
const long = fc.integer({ min: 3000, max: 13_000 }).map((length) => frame(Buffer.alloc(length, length % 251)));
const unacceptable = fc
  .tuple(fc.oneof(good, long), fc.constantFrom("api key", "version", "topic"))
  .map(([bytes, what]) =>
    altered(bytes, (copy) => {
      if (what === "api key") copy.writeInt16BE(513, 4);
      else if (what === "version") copy.writeInt16BE(3, 6);
      else copy.writeUInt8(0x20, copy.readInt16BE(4) === 256 ? 12 : 16);
    }),
  );
const broken = fc
  .tuple(fc.oneof(good, long), fc.constantFrom("flags", "size", "negative", "value"))
  .map(([bytes, what]) =>
    altered(bytes, (copy) => {
      if (what === "flags") copy.writeInt16BE(1, 8);
      else if (what === "size") copy.writeInt32BE(20_000_000, 0);
      else if (what === "negative") copy.writeInt32BE(-5, 0);
      else copy.writeInt16BE(0, copy.readInt16BE(4) === 256 ? 10 : 14);
    }),
  );
const asked = fc.oneof(
  fc.tuple(fc.integer({ min: -128, max: 127 }), fc.nat()).map(([level, token]) => encodeSync(level, token)),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((session) => encodeResume(session)),
);
/** A Sync or Resume that is none: of another version, with flags, or a frame of another size with its key. */
const misasked = fc.oneof(
  fc.tuple(asked, fc.constantFrom(7, 9)).map(([bytes, at]) => altered(bytes, (copy) => copy.writeUInt8(1, at))),
  fc
    .tuple(fc.oneof(good, long), fc.constantFrom(512, 514), fc.constantFrom(0, 1))
    .map(([bytes, key, version]) => altered(bytes, (copy) => copy.writeInt32BE(key * 65_536 + version, 4))),
);
const garbage = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const streams = fc
  .array(
    fc.oneof(
      { arbitrary: good, weight: 12 },
      { arbitrary: long, weight: 4 },
      { arbitrary: unacceptable, weight: 4 },
      { arbitrary: asked, weight: 4 },
      { arbitrary: broken, weight: 1 },
      { arbitrary: misasked, weight: 1 },
      { arbitrary: garbage, weight: 1 },
    ),
    { maxLength: 25 },
  )
  .map((parts) => Buffer.concat(parts));

test("any split of any byte stream gives the same frames and rejects", () => {
  fc.assert(
    fc.property(
      streams,
      fc.array(fc.nat(200_000), { maxLength: 40 }),
      fc.constantFrom(30, 3500, 9000, 100_000),
      (stream, places, maxPayload) => {
        const limits = { maxMessage: 50_000, maxPayload };
        const { shown: _shown, mostHeld, ...whole } = split([stream], limits);
        const { shown: _other, mostHeld: alsoHeld, ...pieces } = split(cut(stream, places), limits);
        expect(pieces).toEqual(whole);
        expect(Math.max(mostHeld, alsoHeld)).toBeLessThanOrEqual(maxPayload + 400);
      },
    ),
    { numRuns: 500 },
  );
});

test("a stream that comes a byte at a time gives what it gives at once", () => {
  fc.assert(
    fc.property(streams, (stream) => {
      const limits = { maxMessage: 50_000, maxPayload: 5000 };
      const { shown: _shown, mostHeld: _held, ...whole } = split([stream], limits);
      const {
        shown: _other,
        mostHeld: _most,
        ...bytes
      } = split(
        Array.from(stream, (_, i) => stream.subarray(i, i + 1)),
        limits,
      );
      expect(bytes).toEqual(whole);
    }),
    { numRuns: 8 },
  );
});

test("good frames of a stream all come out, in order, between those that are rejected", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(good, unacceptable), { maxLength: 30 }),
      fc.array(fc.nat(50_000), { maxLength: 30 }),
      (parts, places) => {
        const { frames, rejects, state, inside } = split(cut(Buffer.concat(parts), places), {
          maxMessage: 50_000,
          maxPayload: 50_000,
        });
        expect([state, inside]).toEqual(["open", false]);
        expect(frames.length + rejects.length).toBe(parts.length);
        const texts = parts.map((part) => part.toString("latin1"));
        expect(texts.filter((text) => frames.includes(text))).toEqual(frames);
      },
    ),
  );
});

const LIMITS = { maxMessage: 100_000, maxPayload: 20_000 };

test("frames, questions and rejects come out in the order in which they came, however often the sink has to wait", () => {
  const parts = fc.array(
    fc.oneof(good, long, asked, unacceptable).map((bytes) => Buffer.from(bytes)),
    { maxLength: 30 },
  );
  const limits = { maxMessage: 50_000, maxPayload: 9000 };
  fc.assert(
    fc.property(
      parts,
      fc.option(broken),
      fc.array(fc.nat(200_000), { maxLength: 30 }),
      fc.infiniteStream(fc.boolean()),
      (some, last, places, moods) => {
        const all = last === null ? some : [...some, last];
        const oneByOne = all.map((part) => inOrder([part], limits, () => false));
        const expected = oneByOne.flat();
        const found = inOrder(cut(Buffer.concat(all), places), limits, () => moods.next().value as boolean);
        expect(found).toEqual(expected);
      },
    ),
    { numRuns: 300 },
  );
});

test("a question comes when the frames before it were handed on, and no later one", () => {
  const stream = Buffer.concat([
    frame("1"),
    frame("bad", "?"),
    frame("2"),
    encodeSync(1, 7),
    frame("3"),
    encodeSync(3, 8),
  ]);
  const { frames, questions, state } = split([stream], LIMITS);
  expect(frames).toHaveLength(3);
  expect(questions).toEqual([
    { bytes: encodeSync(1, 7).toString("hex"), after: 2 },
    { bytes: encodeSync(3, 8).toString("hex"), after: 3 },
  ]);
  expect(state).toBe("open");
});

test("a question of another size breaks the stream, one of another version does not", () => {
  const longer = altered(frame("x".repeat(100)), (bytes) => bytes.writeInt16BE(512, 4));
  expect(split([longer], LIMITS)).toMatchObject({ rejects: [{ fault: FrameFault.Malformed }], state: "broken" });
  const newer = altered(encodeSync(1, 1), (bytes) => bytes.writeInt16BE(1, 6));
  expect(split([newer], LIMITS)).toMatchObject({ rejects: [{ fault: FrameFault.UnsupportedVersion }], state: "open" });
});

test("a payload too large is skipped without being stored, and the stream goes on", () => {
  const large = frame(Buffer.alloc(60_000), "big.topic");
  const pieces = cut(Buffer.concat([frame("a"), large, frame("b")]), [10, 700, 5000, 30_000, 60_100]);
  const { frames, rejects, state, mostHeld, shown } = split(pieces, LIMITS);
  expect(frames).toHaveLength(2);
  expect([rejects, state, mostHeld]).toEqual([[{ fault: FrameFault.TooLarge, size: large.length }], "open", 0]);
  expect(shown[0]?.equals(large.subarray(0, PREFIX))).toBe(true);
});

test("key and value count together, and the limit itself is allowed", () => {
  const limits = { maxMessage: 1000, maxPayload: 20 };
  expect(split([frame("x".repeat(12), "t", "k".repeat(8))], limits).frames).toHaveLength(1);
  expect(split([frame("x".repeat(12), "t", "k".repeat(9))], limits).rejects).toEqual([
    { fault: FrameFault.TooLarge, size: 29 + 21 },
  ]);
});

test("a size beyond the limit breaks the stream at once", () => {
  const { frames, rejects, state } = split([Buffer.concat([frame("a"), Buffer.from([0, 1, 0x86, 0xa1])])], LIMITS);
  expect([frames.length, rejects, state]).toEqual([1, [{ fault: FrameFault.TooLong, size: 100_001 }], "broken"]);
});

test("a long frame that is malformed at its beginning breaks the stream without waiting for its end", () => {
  const bad = altered(frame(Buffer.alloc(18_000)), (bytes) => bytes.writeInt16BE(9, 8));
  const { rejects, state } = split([bad.subarray(0, PREFIX)], LIMITS);
  expect([rejects, state]).toEqual([[{ fault: FrameFault.Malformed, size: bad.length }], "broken"]);
});

test("a stream that ends inside a frame says so, and shows its beginning", () => {
  for (const [length, total] of [
    [3, 50],
    [100, 150],
    [500, 19_000],
    [10_000, 19_000],
    [30_000, 60_000],
  ] as const) {
    const splitter = new Splitter(LIMITS, { frames() {}, reject() {}, question: () => true, mayReject: () => true });
    const bytes = Buffer.concat([Buffer.alloc(HEADROOM), frame(Buffer.alloc(total))]);
    splitter.push(bytes, HEADROOM, HEADROOM + length);
    expect(splitter.rest?.equals(frame(Buffer.alloc(total)).subarray(0, Math.min(length, PREFIX)))).toBe(true);
  }
});
