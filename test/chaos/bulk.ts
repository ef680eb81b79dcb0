// Many messages in little time, for backlogs: the same frames over and over, only numbered.
import { connect } from "node:net";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { encodeSync, readReply, SYNC_REPLY_SIZE, SyncLevel } from "../../src/wire/receipts.ts";

/** Digits of a message's number. */
const DIGITS = 12;
/** Frames written at once. */
const CHUNK = 5000;

export interface Bulk {
  topic: string;
  count: number;
  /** Bytes of a value. */
  size: number;
  /** The number of the first. */
  first?: number;
}

/** Writes them to the stream socket at `path`; resolves when the receipt "spooled" came for all of them. */
export async function writeBulk(path: string, { topic, count, size, first = 0 }: Bulk): Promise<void> {
  const value = Buffer.alloc(size, "x");
  const frame = encodeAnyPartition({ topic, timestamp: Date.now(), key: new Uint8Array(), value });
  const chunk = Buffer.concat(Array.from({ length: CHUNK }, () => frame));
  const valueAt = frame.length - size;
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const reply = new Promise<Buffer>((resolve, reject) => {
    const parts: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => {
      parts.push(bytes);
      if (Buffer.concat(parts).length >= SYNC_REPLY_SIZE) resolve(Buffer.concat(parts));
    });
    socket.on("close", () => reject(new Error("the connection ended before the receipt came")));
    socket.on("error", reject);
  });
  const write = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())));
  for (let sent = 0; sent < count; sent += CHUNK) {
    const frames = Math.min(CHUNK, count - sent);
    for (let at = 0; at < frames; at++) {
      chunk.write(String(first + sent + at).padStart(DIGITS, "0"), at * frame.length + valueAt, "latin1");
    }
    await write(chunk.subarray(0, frames * frame.length));
  }
  await write(encodeSync(SyncLevel.Spooled, count));
  const bytes = await reply;
  socket.destroy();
  const answer = readReply(bytes, 0, bytes.length);
  const spooled = typeof answer === "object" && answer.kind === "sync" && answer.status === 0;
  if (!spooled) throw new Error(`the messages were not spooled: ${JSON.stringify(answer, (_, each) => String(each))}`);
}

/** Counts the messages of `writeBulk` in a topic: which of numbers 0 to `count` came how often. */
export class BulkAccount {
  readonly #seen: Uint8Array;
  twice = 0;
  unexpected = 0;

  constructor(count: number) {
    this.#seen = new Uint8Array(count);
  }

  found(value: Buffer): void {
    const number = Number(value.toString("latin1", 0, DIGITS));
    const times = this.#seen[number];
    if (times === undefined) this.unexpected++;
    else if (times > 0) this.twice++;
    this.#seen[number] = 1;
  }

  get missing(): number {
    return this.#seen.reduce((sum, times) => sum + (times === 0 ? 1 : 0), 0);
  }
}
