// Writes a few records to a broker without bruce: the plainest encoder there can be, for trying a broker or a reader.

import { WireWriter } from "../../src/dev/protocol/wireWriter.ts";
import { crc32c } from "../../src/kafka/crc32c.ts";
import { errorOf } from "../../src/kafka/errors.ts";
import type { Question } from "./kafkaSocket.ts";

export interface PlainRecord {
  timestamp: number;
  key: string | null;
  value: string | null;
}

/** Produce v3 with acks "all": resolves with the offset of the first record. Throws what the broker says against it. */
export function produceRecords(topic: string, partition: number, records: PlainRecord[]): Question<bigint> {
  return {
    apiKey: 0,
    apiVersion: 3,
    write: (to) => {
      to.nullableString(null).int16(-1).int32(30_000);
      to.array([topic], () => to.string(topic).array([partition], () => to.int32(partition).bytes([encode(records)])));
    },
    read: (from) => {
      const offsets = from.array(() => {
        from.string();
        return from.array(() => {
          from.int32(); // partition
          const errorCode = from.int16();
          if (errorCode !== 0) throw new Error(`${topic} [${partition}] was not written: ${errorOf(errorCode).name}`);
          const offset = from.int64();
          from.int64(); // log append time
          return offset;
        });
      });
      return offsets[0]?.[0] ?? -1n;
    },
  };
}

/** RecordBatch v2 without compression, producer id or headers. */
function encode(records: PlainRecord[]): Buffer {
  const times = records.map(({ timestamp }) => timestamp);
  const first = times[0] ?? 0;
  const body = new WireWriter()
    .int16(0)
    .int32(records.length - 1)
    .int64(first)
    .int64(Math.max(...times));
  body.int64(-1).int16(-1).int32(-1).int32(records.length);
  records.forEach(({ timestamp, key, value }, index) => {
    const record = [0, ...varint(timestamp - first), ...varint(index), ...field(key), ...field(value), 0];
    body.raw(Buffer.from([...varint(record.length), ...record]));
  });
  const checked = Buffer.concat(body.parts());
  const head = new WireWriter()
    .int64(0)
    .int32(checked.length + 9)
    .int32(-1)
    .int8(2);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32c(checked, 0, checked.length));
  return Buffer.concat([...head.parts(), crc, checked]);
}

function field(text: string | null): number[] {
  if (text === null) return varint(-1);
  const bytes = Buffer.from(text);
  return [...varint(bytes.length), ...bytes];
}

/** Zigzag, for numbers of up to 52 bits. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}
