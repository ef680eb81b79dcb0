// Receipts and sessions on a stream: what a client asks, and what bruce answers. Both sides' codecs.
//
//   Sync v0         => Size ApiKey=512 ApiVersion=0 Flags:int16=0 Level:int8 Token:int64
//   SyncReply v0    => Size ApiKey=513 ApiVersion=0 Flags:int16=0 Level:int8 Token:int64 Status:int8
//                      Received:int64 Delivered:int64 Discarded:int64
//   Resume v0       => Size ApiKey=514 ApiVersion=0 Flags:int16=0 Session:16 bytes
//   ResumeReply v0  => Size ApiKey=515 ApiVersion=0 Flags:int16=0 Session:16 bytes Position:int64 Status:int8
import { FrameFault, readInt16, readInt32 } from "./frame.ts";

const SYNC = 512;
const SYNC_REPLY = 513;
export const RESUME = 514;
const RESUME_REPLY = 515;

/** Bytes of each, which are always as many. */
export const SYNC_SIZE = 19;
export const SYNC_REPLY_SIZE = 44;
export const RESUME_SIZE = 26;
export const RESUME_REPLY_SIZE = 35;
export const SESSION_BYTES = 16;

/** Where the fields of Sync and Resume are, from the beginning of the frame. */
export const LEVEL_AT = 10;
export const TOKEN_AT = 11;
export const SESSION_AT = 10;

/** How far the messages before a Sync must have come. */
export const SyncLevel = {
  /** Safe from a crash of bruce. */
  Spooled: 1,
  /** On disk, safe from a power cut. */
  Synced: 2,
  /** Acknowledged by Kafka, or discarded with a reason on record. */
  Delivered: 3,
} as const;
export type SyncLevel = (typeof SyncLevel)[keyof typeof SyncLevel];

export const ReceiptStatus = {
  /** Every message has reached the level; of a session: it is known or new. */
  Reached: 0,
  /** They have, some of them by being discarded. */
  SomeDiscarded: 1,
  /** The level cannot be had; the session cannot be kept. */
  Unavailable: 2,
  /** bruce stops before they have. */
  Stopping: 3,
} as const;
export type ReceiptStatus = (typeof ReceiptStatus)[keyof typeof ReceiptStatus];

export interface SyncReply {
  kind: "sync";
  /** As it was asked; an unknown one is echoed too. */
  level: number;
  token: bigint;
  status: number;
  /** Messages of this connection since it opened. */
  received: number;
  delivered: number;
  discarded: number;
}

export interface ResumeReply {
  kind: "resume";
  /** SESSION_BYTES long. */
  session: Buffer;
  /** Messages of the session that bruce has. */
  position: number;
  status: number;
}

export type Reply = SyncReply | ResumeReply;

/** The frame that asks for a receipt. `token` is any int64. */
export function encodeSync(level: number, token: bigint | number): Buffer {
  const frame = header(SYNC_SIZE, SYNC);
  frame.writeInt8(level, LEVEL_AT);
  frame.writeBigInt64BE(BigInt(token), TOKEN_AT);
  return frame;
}

/** The frame that begins a connection of a session. `session` is SESSION_BYTES chosen at random. */
export function encodeResume(session: Uint8Array): Buffer {
  if (session.length !== SESSION_BYTES) throw new RangeError(`a session has ${SESSION_BYTES} bytes`);
  const frame = header(RESUME_SIZE, RESUME);
  frame.set(session, SESSION_AT);
  return frame;
}

export function encodeSyncReply(reply: Omit<SyncReply, "kind">): Buffer {
  const frame = Buffer.alloc(SYNC_REPLY_SIZE);
  const token = Buffer.alloc(8);
  token.writeBigInt64BE(reply.token);
  const { received, delivered, discarded } = reply;
  writeSyncReply(frame, 0, reply.level, readInt32(token, 0), readInt32(token, 4), reply.status);
  writeCounts(frame, 0, received, delivered, discarded);
  return frame;
}

export function encodeResumeReply({ session, position, status }: Omit<ResumeReply, "kind">): Buffer {
  const frame = header(RESUME_REPLY_SIZE, RESUME_REPLY);
  frame.set(session, SESSION_AT);
  writeInt64(frame, 26, position);
  frame.writeInt8(status, 34);
  return frame;
}

/** All of a SyncReply but its counts, at `at`; the token as its upper and lower half. Allocates nothing. */
export function writeSyncReply(
  bytes: Buffer,
  at: number,
  level: number,
  tokenHigh: number,
  tokenLow: number,
  status: number,
): void {
  bytes.writeInt32BE(SYNC_REPLY_SIZE, at);
  bytes.writeInt16BE(SYNC_REPLY, at + 4);
  bytes.writeInt32BE(0, at + 6); // version and flags
  bytes.writeInt8(level, at + LEVEL_AT);
  bytes.writeInt32BE(tokenHigh, at + TOKEN_AT);
  bytes.writeInt32BE(tokenLow, at + TOKEN_AT + 4);
  bytes.writeInt8(status, at + 19);
}

/** The counts of the SyncReply at `at`. Allocates nothing. */
export function writeCounts(bytes: Buffer, at: number, received: number, delivered: number, discarded: number): void {
  writeInt64(bytes, at + 20, received);
  writeInt64(bytes, at + 28, delivered);
  writeInt64(bytes, at + 36, discarded);
}

/**
 * The reply that begins at bytes[at], for a client: its size is SYNC_REPLY_SIZE or RESUME_REPLY_SIZE, by `kind`.
 * "short": its end is behind `end`. "bad": no reply begins there, and nothing that follows can be read.
 */
export function readReply(bytes: Buffer, at: number, end: number): Reply | "short" | "bad" {
  if (end - at < 6) return "short";
  const size = readInt32(bytes, at);
  const apiKey = readInt16(bytes, at + 4);
  if (size !== (apiKey === SYNC_REPLY ? SYNC_REPLY_SIZE : apiKey === RESUME_REPLY ? RESUME_REPLY_SIZE : -1))
    return "bad";
  if (end - at < size) return "short";
  if (readInt32(bytes, at + 6) !== 0) return "bad";
  if (apiKey === RESUME_REPLY) {
    return {
      kind: "resume",
      session: Buffer.from(bytes.subarray(at + SESSION_AT, at + SESSION_AT + SESSION_BYTES)),
      position: Number(bytes.readBigInt64BE(at + 26)),
      status: bytes.readInt8(at + 34),
    };
  }
  return {
    kind: "sync",
    level: bytes.readInt8(at + LEVEL_AT),
    token: bytes.readBigInt64BE(at + TOKEN_AT),
    status: bytes.readInt8(at + 19),
    received: Number(bytes.readBigInt64BE(at + 20)),
    delivered: Number(bytes.readBigInt64BE(at + 28)),
    discarded: Number(bytes.readBigInt64BE(at + 36)),
  };
}

/** Whether a frame of that ApiKey is a question and no message. */
export function isQuestion(apiKey: number): boolean {
  return apiKey === SYNC || apiKey === RESUME;
}

/** What is wrong with the question at `at`, of which the first FRAME_HEADER bytes are there, and all if `size` is right. */
export function faultOfQuestion(bytes: Buffer, at: number, size: number): FrameFault {
  if (readInt16(bytes, at + 6) !== 0) return FrameFault.UnsupportedVersion;
  if (size !== (readInt16(bytes, at + 4) === SYNC ? SYNC_SIZE : RESUME_SIZE)) return FrameFault.Malformed;
  return readInt16(bytes, at + 8) === 0 ? FrameFault.Ok : FrameFault.Malformed;
}

function header(size: number, apiKey: number): Buffer {
  const frame = Buffer.alloc(size);
  frame.writeInt32BE(size, 0);
  frame.writeInt16BE(apiKey, 4);
  return frame;
}

/** A number from 0 to 2^53. */
function writeInt64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}
