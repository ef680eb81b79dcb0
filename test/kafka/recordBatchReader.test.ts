import { describe, expect, test } from "bun:test";
import { RecordBatchError, readRecordBatch, readRecordBatchHeader } from "../../src/kafka/recordBatchReader.ts";
import { sealed } from "../dev/makeBatch.ts";

// Written down by hand from the grammar; the CRC comes from a bitwise CRC-32C in another language.
const HEADER =
  "0000000000000000" + // base offset
  "00000046" + // 70 bytes follow
  "ffffffff" + // leader epoch
  "02" + // magic
  "6fa092f6" + // CRC
  "0000" + // attributes
  "00000001" + // last offset delta
  "0000018bcfe56800" + // base timestamp 1700000000000
  "0000018bcfe5692c" + // max timestamp, 300 later
  "ffffffffffffffff" + // producer id
  "ffff" + // producer epoch
  "ffffffff" + // base sequence
  "00000002"; // two records
const FIRST = "12 00 00 00 02 6b 04 6869 00".replaceAll(" ", ""); // key "k", value "hi"
const SECOND = "14 00 d804 02 01 00 02 02 68 01".replaceAll(" ", ""); // 300 ms on, null key, empty value, header h: null

function golden(): Buffer {
  return Buffer.from(HEADER + FIRST + SECOND, "hex");
}

/** The golden batch with other bytes at a place and a CRC that fits them. */
function changed(at: number, hex: string): Buffer {
  const batch = golden();
  Buffer.from(hex, "hex").copy(batch, at);
  return sealed(batch);
}

function errorOf(read: () => unknown): RecordBatchError {
  try {
    read();
  } catch (error) {
    if (error instanceof RecordBatchError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a record batch is read", () => {
  test("with every field as the bytes have it", () => {
    const batch = readRecordBatch(golden());
    expect(batch).toEqual({
      baseOffset: 0,
      size: 82,
      partitionLeaderEpoch: -1,
      crc: 0x6fa092f6,
      codec: 0,
      timestampType: "create",
      transactional: false,
      control: false,
      lastOffsetDelta: 1,
      baseTimestamp: 1_700_000_000_000n,
      maxTimestamp: 1_700_000_000_300n,
      producerId: -1n,
      producerEpoch: -1,
      baseSequence: -1,
      recordCount: 2,
      records: [
        { offset: 0, timestamp: 1_700_000_000_000n, key: Buffer.from("k"), value: Buffer.from("hi"), headers: [] },
        {
          offset: 1,
          timestamp: 1_700_000_000_300n,
          key: null,
          value: Buffer.alloc(0),
          headers: [{ key: "h", value: null }],
        },
      ],
    });
  });

  test("from the middle of other bytes, with offsets from the base offset", () => {
    const batch = golden();
    batch.writeBigInt64BE(5_000_000_000n); // the CRC does not cover it
    const around = Buffer.concat([Buffer.from("abc"), batch, Buffer.from("def")]);
    const read = readRecordBatch(around, 3);
    expect(read.records.map((record) => record.offset)).toEqual([5_000_000_000, 5_000_000_001]);
    expect(read.size).toBe(82);
  });

  test("with the producer's fields", () => {
    const batch = changed(43, "00000000000003e8 0002 7fffffff".replaceAll(" ", ""));
    const header = readRecordBatchHeader(batch);
    expect(header).toMatchObject({ producerId: 1000n, producerEpoch: 2, baseSequence: 0x7fffffff });
  });

  test("with the broker's time for all records when it is log append time", () => {
    const read = readRecordBatch(changed(21, "0008"));
    expect(read.timestampType).toBe("append");
    expect(read.records.map((record) => record.timestamp)).toEqual([1_700_000_000_300n, 1_700_000_000_300n]);
  });

  test("with timestamps anywhere in 64 bits", () => {
    const batch = changed(27, "8000000000000000");
    expect(readRecordBatch(batch).records.map((record) => record.timestamp)).toEqual([
      -(2n ** 63n),
      -(2n ** 63n) + 300n,
    ]);
  });

  test.each([
    ["gzip", 1, (bytes: Buffer<ArrayBuffer>) => Bun.gzipSync(bytes)],
    ["zstd", 4, (bytes: Buffer<ArrayBuffer>) => Bun.zstdCompressSync(bytes)],
  ] as const)("packed with %s", (_name, codec, pack) => {
    const packed = pack(Buffer.from(FIRST + SECOND, "hex"));
    const batch = Buffer.concat([Buffer.from(HEADER, "hex"), packed]);
    batch.writeInt32BE(49 + packed.length, 8);
    batch.writeInt16BE(codec, 21);
    const read = readRecordBatch(sealed(batch));
    expect(read.codec).toBe(codec);
    expect(read.records.map((record) => record.value?.toString())).toEqual(["hi", ""]);
  });
});

describe("a record batch is refused", () => {
  test("when the CRC does not fit", () => {
    const batch = golden();
    batch.writeUInt8(0x6a, 67);
    const error = errorOf(() => readRecordBatch(batch));
    expect(error).toMatchObject({ kind: "crc", position: 17 });
    expect(error.message).toContain("0x6fa092f6");
  });

  test("when any byte from the attributes on changes", () => {
    for (let at = 21; at < 82; at++) {
      const batch = golden();
      batch.writeUInt8(batch.readUInt8(at) ^ 1, at);
      expect(errorOf(() => readRecordBatch(batch)).kind).toBe("crc");
    }
  });

  test("when it ends early, wherever that is", () => {
    for (let length = 0; length < 82; length++) {
      expect(errorOf(() => readRecordBatch(golden().subarray(0, length))).kind).toBe("truncated");
    }
  });

  test.each([
    ["an older magic", 16, "01", "magic", 16],
    ["a length less than its header", 8, "00000010", "malformed", 8],
    ["a codec that is not there yet", 21, "0002", "codec", 61],
    ["an unknown codec", 21, "0007", "codec", 21],
    ["packed bytes that are none", 21, "0004", "codec", 61],
    ["a negative record count", 57, "ffffffff", "malformed", 57],
    ["more records than there are", 57, "00000003", "malformed", 82],
    ["fewer records than there are", 57, "00000001", "malformed", 71],
    ["a record longer than the batch", 61, "7e", "malformed", 62],
    ["a record shorter than its fields", 61, "10", "malformed", 71],
    ["a key longer than the batch", 65, "7e", "malformed", 66],
    ["a negative length that is not null", 65, "03", "malformed", 66],
    ["a negative header count", 70, "01", "malformed", 71],
    ["an offset beyond the last", 64, "08", "malformed", 65],
  ] as const)("with %s", (_name, at, hex, kind, position) => {
    expect(errorOf(() => readRecordBatch(changed(at, hex)))).toMatchObject({ kind, position });
  });

  test("with a varint that does not end", () => {
    const batch = changed(64, "ffffffffff");
    expect(errorOf(() => readRecordBatch(batch)).message).toContain("varint");
  });

  test("whatever the bytes are, with an error that has a position", () => {
    for (let seed = 1; seed < 2000; seed++) {
      const batch = golden();
      batch.writeUInt8((seed * 131) & 0xff, 61 + (seed % 21));
      batch.writeUInt8((seed * 29) & 0xff, 61 + ((seed * 7) % 21));
      try {
        readRecordBatch(sealed(batch));
      } catch (error) {
        expect(error).toBeInstanceOf(RecordBatchError);
      }
    }
  });
});
