// The grammar of one message on a socket: constants, encoders, and the reader that the message path uses.
//
//   Message           => Size:int32 ApiKey:int16 ApiVersion:int16 Body        Size counts itself; big-endian throughout
//   AnyPartition v0   => Flags:int16 Topic Timestamp:int64 Key Value          ApiKey 256
//   PartitionKey v0   => Flags:int16 PartitionKey:int32 Topic Timestamp:int64 Key Value    ApiKey 257
//   Topic             => length:int16 (> 0) + bytes
//   Key, Value        => length:int32 (>= 0) + bytes; an empty key is no key, an empty value is an empty value
import { isLegalTopic } from "./topic.ts";

export const ANY_PARTITION = 256;
export const PARTITION_KEY = 257;
/** Size, ApiKey and ApiVersion: no message of any kind is shorter. */
export const FRAME_HEADER = 8;
/** Bytes of an AnyPartition message besides its topic, key and value; PartitionKey has four more. */
export const ANY_PARTITION_OVERHEAD = 28;

/** What is wrong with a frame. Numbers, because one is made for every message. */
export const FrameFault = {
  Ok: 0,
  /** The sizes do not add up, a length is negative, the topic is empty, or flags are set. */
  Malformed: 1,
  UnsupportedApiKey: 2,
  UnsupportedVersion: 3,
  BadTopic: 4,
  /** Larger than the input's limit for a message (the splitter's verdict, never the reader's). */
  TooLong: 5,
  /** Key and value together are larger than a record may be (the splitter's verdict, never the reader's). */
  TooLarge: 6,
} as const;
export type FrameFault = (typeof FrameFault)[keyof typeof FrameFault];

/** The reason under which a message with that fault is discarded. */
export const FAULT_REASONS = {
  [FrameFault.Malformed]: "malformed",
  [FrameFault.UnsupportedApiKey]: "unsupported_api_key",
  [FrameFault.UnsupportedVersion]: "unsupported_version",
  [FrameFault.BadTopic]: "bad_topic",
  [FrameFault.TooLong]: "too_long",
  [FrameFault.TooLarge]: "too_large",
} as const;

/** One message, as a client means it. */
export interface Message {
  topic: string;
  /** Milliseconds since the epoch; any int64. */
  timestamp: number | bigint;
  /** Empty: no key. */
  key: Uint8Array;
  value: Uint8Array;
}

/** Where the parts of a message lie in memory, and its timestamp as the two halves of an int64. */
export interface MessageParts {
  timestamp: { high: number; low: number };
  keyStart: number;
  keyEnd: number;
  valueStart: number;
  valueEnd: number;
}

/** The frame of a message whose partition the forwarder chooses. */
export function encodeAnyPartition(message: Message): Buffer {
  return encodeBody(message, ANY_PARTITION, 10);
}

/** The frame of a message for the partition at index `partitionKey mod count`. `partitionKey` is any int32. */
export function encodePartitionKey(message: Message & { partitionKey: number }): Buffer {
  const frame = encodeBody(message, PARTITION_KEY, 14);
  frame.writeInt32BE(message.partitionKey, 10);
  return frame;
}

function encodeBody({ topic, timestamp, key, value }: Message, apiKey: number, topicAt: number): Buffer {
  const topicLength = Buffer.byteLength(topic);
  const frame = Buffer.allocUnsafe(topicAt + 2 + topicLength + 8 + 4 + key.length + 4 + value.length);
  frame.writeInt32BE(frame.length, 0);
  frame.writeInt16BE(apiKey, 4);
  frame.writeInt32BE(0, 6); // version and flags
  frame.writeInt16BE(topicLength, topicAt);
  frame.write(topic, topicAt + 2);
  let at = topicAt + 2 + topicLength;
  frame.writeBigInt64BE(BigInt(timestamp), at);
  frame.writeInt32BE(key.length, at + 8);
  frame.set(key, at + 12);
  at += 12 + key.length;
  frame.writeInt32BE(value.length, at);
  frame.set(value, at + 4);
  return frame;
}

/** Reads a big-endian int32. */
export function readInt32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

/** Reads a big-endian int16. */
export function readInt16(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) >> 16) | (bytes[at + 1] as number);
}

/**
 * Reads frames without allocating: one reader is kept and its fields are overwritten by every `read`.
 * All fields are offsets into the bytes read. When `read` answers a fault, only `size` and `apiKey` may be used, and
 * for BadTopic the topic's offsets.
 */
export class FrameReader {
  size = 0;
  apiKey = 0;
  /** Meaningful only when `apiKey` is PARTITION_KEY. */
  partitionKey = 0;
  topicStart = 0;
  topicEnd = 0;
  /** Where the eight bytes of the timestamp are: a raw int64, every value of it is legal. */
  timestampAt = 0;
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;

  /** Reads the frame at `start`, which is whole: its Size ends at or before `end` (anything else is malformed). */
  read(bytes: Uint8Array, start: number, end: number): FrameFault {
    const fault = this.locate(bytes, start, end);
    if (fault !== FrameFault.Ok) return fault;
    return isLegalTopic(bytes, this.topicStart, this.topicEnd) ? FrameFault.Ok : FrameFault.BadTopic;
  }

  /** The same without a look at the topic's characters, for frames that were read before: a tenth of what routing costs. */
  locate(bytes: Uint8Array, start: number, end: number): FrameFault {
    if (end - start < FRAME_HEADER) return FrameFault.Malformed;
    const size = readInt32(bytes, start);
    this.size = size;
    if (size < FRAME_HEADER || size > end - start) return FrameFault.Malformed;
    const frameEnd = start + size;
    const apiKey = readInt16(bytes, start + 4);
    this.apiKey = apiKey;
    let at = start + 10;
    if (apiKey === PARTITION_KEY) at += 4;
    else if (apiKey !== ANY_PARTITION) return FrameFault.UnsupportedApiKey;
    if (((bytes[start + 6] as number) | (bytes[start + 7] as number)) !== 0) return FrameFault.UnsupportedVersion;
    // The smallest frame of either kind has all the fixed fields, so the reads below stay inside it.
    if (frameEnd - at < ANY_PARTITION_OVERHEAD - 10) return FrameFault.Malformed;
    if (((bytes[start + 8] as number) | (bytes[start + 9] as number)) !== 0) return FrameFault.Malformed;
    if (apiKey === PARTITION_KEY) this.partitionKey = readInt32(bytes, start + 10);
    const topicLength = readInt16(bytes, at);
    const topicStart = at + 2;
    const topicEnd = topicStart + topicLength;
    if (topicLength <= 0 || frameEnd - topicEnd < 16) return FrameFault.Malformed;
    const keyLength = readInt32(bytes, topicEnd + 8);
    const keyStart = topicEnd + 12;
    const keyEnd = keyStart + keyLength;
    if (keyLength < 0 || frameEnd - keyEnd < 4) return FrameFault.Malformed;
    const valueStart = keyEnd + 4;
    if (readInt32(bytes, keyEnd) !== frameEnd - valueStart) return FrameFault.Malformed;
    this.topicStart = topicStart;
    this.topicEnd = topicEnd;
    this.timestampAt = topicEnd;
    this.keyStart = keyStart;
    this.keyEnd = keyEnd;
    this.valueStart = valueStart;
    this.valueEnd = frameEnd;
    return FrameFault.Ok;
  }
}
