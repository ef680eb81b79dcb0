// Makes record batches and produce requests for tests, with a CRC of its own: slow, and short enough to be believed.

export interface BatchOptions {
  values: string[];
  producerId?: number;
  epoch?: number;
  sequence?: number;
  timestamp?: number;
}

/** An uncompressed RecordBatch v2 with null keys. */
export function makeBatch({
  values,
  producerId = -1,
  epoch = -1,
  sequence = -1,
  timestamp = 1000,
}: BatchOptions): Buffer {
  const records = Buffer.concat(
    values.map((text, index) => {
      const value = Buffer.from(text);
      const head = Buffer.concat([Buffer.from([0, 0]), varint(index), Buffer.from([1]), varint(value.length)]);
      return Buffer.concat([varint(head.length + value.length + 1), head, value, Buffer.from([0])]);
    }),
  );
  const batch = Buffer.alloc(61 + records.length);
  batch.writeInt32BE(49 + records.length, 8);
  batch.writeInt32BE(-1, 12);
  batch.writeInt8(2, 16);
  batch.writeInt32BE(values.length - 1, 23);
  batch.writeBigInt64BE(BigInt(timestamp), 27);
  batch.writeBigInt64BE(BigInt(timestamp), 35);
  batch.writeBigInt64BE(BigInt(producerId), 43);
  batch.writeInt16BE(epoch, 51);
  batch.writeInt32BE(sequence, 53);
  batch.writeInt32BE(values.length, 57);
  records.copy(batch, 61);
  return sealed(batch);
}

/** Writes the CRC that the bytes have now. */
export function sealed(batch: Buffer): Buffer {
  let crc = 0xffffffff;
  for (const byte of batch.subarray(21)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  batch.writeUInt32BE((crc ^ 0xffffffff) >>> 0, 17);
  return batch;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value * 2;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** A whole Produce v8 request, size field not included. */
export function produceV8(
  correlationId: number,
  acks: number,
  topic: string,
  partition: number,
  batch: Buffer,
): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt16BE(0, 0);
  head.writeInt16BE(8, 2);
  head.writeInt32BE(correlationId, 4);
  const name = Buffer.from(topic);
  const middle = Buffer.alloc(2 + 2 + 2 + 4 + 4 + 2 + name.length + 4 + 4 + 4);
  let at = middle.writeInt16BE(-1, 0); // client id
  at = middle.writeInt16BE(-1, at); // transactional id
  at = middle.writeInt16BE(acks, at);
  at = middle.writeInt32BE(1000, at); // timeout
  at = middle.writeInt32BE(1, at);
  at = middle.writeInt16BE(name.length, at);
  at += name.copy(middle, at);
  at = middle.writeInt32BE(1, at);
  at = middle.writeInt32BE(partition, at);
  middle.writeInt32BE(batch.length, at);
  return Buffer.concat([head, middle, batch]);
}

/** The first (and only) partition of a Produce v8 response, size field not included. */
export function readProduceV8(response: Buffer) {
  let at = 4 + 4; // correlation id, one topic
  at += 2 + response.readInt16BE(at);
  at += 4 + 4; // one partition, its id
  const code = response.readInt16BE(at);
  const baseOffset = Number(response.readBigInt64BE(at + 2));
  const logStartOffset = Number(response.readBigInt64BE(at + 18));
  return { correlationId: response.readInt32BE(0), code, baseOffset, logStartOffset };
}
