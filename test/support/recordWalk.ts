// Goes over the records of a batch without making objects of them: for reading back more messages than would fit in memory.
import { decompress } from "../../src/kafka/codecs.ts";
import {
  checkRecordBatchCrc,
  type RecordBatchHeader,
  readRecordBatchHeader,
} from "../../src/kafka/recordBatchReader.ts";

/** Bytes of a batch before its records. Source: https://kafka.apache.org/documentation/#recordbatch */
const HEADER = 61;

/** The value of a record is bytes[start, end); null has start -1. */
export type VisitRecord = (offset: number, bytes: Uint8Array, start: number, end: number) => void;

/** Checks the batch's CRC and visits its records in order. Throws when anything of it does not add up. */
export function walkRecords(batch: Buffer, at: number, visit: VisitRecord): RecordBatchHeader {
  const header = readRecordBatchHeader(batch, at);
  checkRecordBatchCrc(batch, header, at);
  const bytes = decompress(header.codec, batch.subarray(at + HEADER, at + header.size));
  const cursor = new Cursor(bytes);
  for (let index = 0; index < header.recordCount; index++) {
    const length = cursor.varint();
    const end = cursor.at + length;
    cursor.at++; // attributes
    cursor.skipVarint(); // timestamp
    const offset = header.baseOffset + cursor.varint();
    const keyLength = cursor.varint();
    cursor.at += Math.max(0, keyLength);
    const valueLength = cursor.varint();
    const start = valueLength < 0 ? -1 : cursor.at;
    if (start + valueLength > end || end > bytes.length) throw new Error(`record ${index} is longer than it says`);
    visit(offset, bytes, start, start + Math.max(0, valueLength));
    cursor.at = end; // headers, which bruce writes none
  }
  if (cursor.at !== bytes.length) throw new Error(`${bytes.length - cursor.at} bytes follow the last record`);
  return header;
}

class Cursor {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Zigzag, of at most 32 bits. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#next();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw new Error("a varint has more than 5 bytes");
  }

  skipVarint(): void {
    while (this.#next() >= 0x80);
  }

  #next(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new Error("the records end inside a field");
    return byte;
  }
}
