// Writes the frames of one topic, one after the other, into memory that is used again.
import type { MessageParts } from "./frame.ts";
import { ANY_PARTITION, ANY_PARTITION_OVERHEAD, PARTITION_KEY } from "./frame.ts";

const FIRST_CAPACITY = 4096;

export class FrameWriter {
  /** The last frame is bytes[0, length), until the next is written. */
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
  length = 0;
  readonly #topic: Buffer;

  constructor(topic: string) {
    this.#topic = Buffer.from(topic);
  }

  /** A frame for any partition, or with a partition key (any int32). Key and value lie in `from`. */
  write(from: Buffer, parts: MessageParts, partitionKey: number | undefined): void {
    const { timestamp, keyStart, keyEnd, valueStart, valueEnd } = parts;
    const extra = partitionKey === undefined ? 0 : 4;
    const length = ANY_PARTITION_OVERHEAD + extra + this.#topic.length + keyEnd - keyStart + valueEnd - valueStart;
    if (length > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(2 * length);
    const out = this.bytes;
    this.length = length;
    out.writeInt32BE(length, 0);
    out.writeInt16BE(partitionKey === undefined ? ANY_PARTITION : PARTITION_KEY, 4);
    out.writeInt32BE(0, 6); // version and flags
    if (partitionKey !== undefined) out.writeInt32BE(partitionKey, 10);
    let at = 10 + extra;
    out.writeInt16BE(this.#topic.length, at);
    at += 2 + this.#topic.copy(out, at + 2);
    out.writeInt32BE(timestamp.high, at);
    out.writeUInt32BE(timestamp.low, at + 4);
    out.writeInt32BE(keyEnd - keyStart, at + 8);
    at += 12 + from.copy(out, at + 12, keyStart, keyEnd);
    out.writeInt32BE(valueEnd - valueStart, at);
    from.copy(out, at + 4, valueStart, valueEnd);
  }
}
