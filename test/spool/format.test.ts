// What is written as a block is read as the same block, and anything else is refused.
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import {
  BLOCK_HEADER,
  type BlockFields,
  BlockHeader,
  BlockKind,
  decodeSegmentHeader,
  encodeSegmentHeader,
  framesStart,
  numbersLength,
  readNumbers,
  SEGMENT_HEADER,
  writeBlockHeader,
  writeNumbers,
} from "../../src/spool/format.ts";
import { readInt64, writeInt64 } from "../../src/spool/integers.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";

const frame = encodeAnyPartition({ topic: "t", timestamp: 1, key: Buffer.alloc(0), value: Buffer.from("hello") });
const SEED = 0xdeadbeef;

function blockOf(fields: Partial<BlockFields>, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(BLOCK_HEADER + payload.length, 0xee);
  payload.copy(bytes, BLOCK_HEADER);
  const all = { kind: BlockKind.Messages, count: 1, source: 0, firstNumber: 1, receivedAt: 0, position: 0 };
  writeBlockHeader(bytes, 0, { ...all, session: undefined, ...fields }, payload.length, SEED);
  return bytes;
}

test("a segment's header comes back as it was written, and not with any byte changed", () => {
  const header = {
    ordinal: 4_000_000_000,
    firstNumber: 2 ** 52 + 1,
    previousEnd: 2 ** 40,
    createdAt: 1_795_338_076_304,
    directoryId: randomBytes(16).toString("hex"),
    seed: SEED,
  };
  const bytes = encodeSegmentHeader(header);
  expect(bytes.length).toBe(SEGMENT_HEADER);
  expect(decodeSegmentHeader(bytes)).toEqual(header);
  expect(decodeSegmentHeader(bytes.subarray(0, 63))).toBeUndefined();
  for (let at = 0; at < SEGMENT_HEADER; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 0x10;
    expect(decodeSegmentHeader(changed)).toBeUndefined();
  }
});

test("a block's header comes back as it was written", () => {
  const int = fc.integer({ min: 0, max: 2 ** 53 - 20 });
  fc.assert(
    fc.property(
      fc.record({
        kind: fc.constantFrom(BlockKind.Messages, BlockKind.Numbered),
        count: fc.integer({ min: 1, max: 10 }),
        source: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        firstNumber: int.map((number) => number + 1),
        receivedAt: int,
        session: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }), { nil: undefined }),
        position: int,
      }),
      (fields) => {
        const payload = Buffer.concat(Array.from({ length: fields.count }, () => frame));
        const bytes = blockOf(fields, payload);
        const header = new BlockHeader();
        expect(header.read(bytes, 0, bytes.length)).toBe("whole");
        expect([header.verifyHeader(bytes, 0, SEED), header.verify(bytes, 0, SEED)]).toEqual([true, true]);
        expect(header.verify(bytes, 0, SEED + 1)).toBe(false);
        const session = Buffer.from(fields.session ?? []);
        const hasSession = session.some((byte) => byte !== 0);
        expect(header).toMatchObject({
          ...fields,
          session: header.session,
          position: session.length ? fields.position : 0,
        });
        expect(header.session(bytes, 0)).toBe(hasSession ? session.toString("hex") : "");
        expect(header.size).toBe(bytes.length);
      },
    ),
  );
});

test("no byte of a block can change unseen, and its header can be checked without the payload", () => {
  const bytes = blockOf({ firstNumber: 77, session: randomBytes(16), position: 5 }, frame);
  const header = new BlockHeader();
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 0x01;
    expect(header.read(changed, 0, changed.length) === "whole" && header.verify(changed, 0, SEED)).toBe(false);
    if (at < BLOCK_HEADER && !(at >= 8 && at < 12) && header.read(changed, 0, BLOCK_HEADER) === "short") {
      expect(header.verifyHeader(changed, 0, SEED)).toBe(false);
    }
  }
});

test("a block that is cut anywhere is short, not bad", () => {
  const bytes = blockOf({}, frame);
  const header = new BlockHeader();
  for (let end = 0; end < bytes.length; end++) expect(header.read(bytes, 0, end)).toBe("short");
});

test("the header check is the low 24 bits of the CRC-32 that the format's description says", () => {
  const bytes = blockOf({ firstNumber: 123 }, frame);
  const check = crc32(Buffer.concat([bytes.subarray(4, 8), bytes.subarray(16, 64)]), SEED) % 2 ** 24;
  expect(bytes.readUIntBE(13, 3)).toBe(check);
});

test("a block with more messages than fit into it, or without any, is bad", () => {
  const header = new BlockHeader();
  for (const count of [0, 2, 2 ** 32 - 1]) {
    const bytes = blockOf({ count }, frame);
    expect(header.read(bytes, 0, bytes.length)).toBe("bad");
  }
});

test("a numbered block gives back its numbers and where its frames begin", () => {
  const numbers = new MessageNumbers();
  for (const number of [5, 6, 900, 2 ** 45]) numbers.append(number);
  const payload = Buffer.alloc(numbersLength(numbers) + 4 * frame.length);
  let at = writeNumbers(payload, 0, numbers);
  for (let i = 0; i < 4; i++) at += frame.copy(payload, at);
  expect(at).toBe(payload.length);
  const bytes = blockOf({ kind: BlockKind.Numbered, count: 4, firstNumber: 5 }, payload);
  const header = new BlockHeader();
  expect(header.read(bytes, 0, bytes.length)).toBe("whole");
  const found: number[] = [];
  readNumbers(header, bytes, 0)?.forEach((number) => {
    found.push(number);
  });
  expect(found).toEqual([5, 6, 900, 2 ** 45]);
  expect(framesStart(header, bytes, 0)).toBe(BLOCK_HEADER + numbersLength(numbers));
});

test("numbers that do not add up are refused", () => {
  const from = (...bytes: number[]) => MessageNumbers.fromDeltas(5, 3, Buffer.from(bytes), 0, bytes.length);
  expect(from(1, 1)?.last).toBe(7);
  expect(from(0x80, 0x01, 1)?.last).toBe(5 + 128 + 1);
  for (const bytes of [[1], [1, 1, 1], [1, 0], [1, 0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]]) {
    expect(from(...bytes)).toBeUndefined();
  }
});

test("an int64 is exact up to 2^53, and below zero", () => {
  const bytes = Buffer.alloc(8);
  for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, -1, -(2 ** 40) - 7]) {
    writeInt64(bytes, 0, value);
    expect(readInt64(bytes, 0)).toBe(value);
    expect(bytes.readBigInt64BE(0)).toBe(BigInt(value));
  }
});
