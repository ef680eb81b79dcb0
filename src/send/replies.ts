// Answers of a daemon, out of the bytes that it writes.
import { RESUME_REPLY_SIZE, type Reply, readReply, SYNC_REPLY_SIZE } from "../wire/receipts.ts";

const LONGEST = Math.max(SYNC_REPLY_SIZE, RESUME_REPLY_SIZE);

/** Reads the answers of one connection, however they are cut. */
export class ReplyReader {
  /** The beginning of an answer that has not come whole. */
  #rest = Buffer.alloc(0);
  /** It wrote something else: nothing that follows can be read. */
  #bad = false;

  /** Takes bytes[start, end), and hands on each answer that is whole. */
  push(bytes: Buffer, start: number, end: number, take: (reply: Reply) => void): void {
    if (this.#bad) return;
    const all = Buffer.concat([this.#rest, bytes.subarray(start, end)]);
    let at = 0;
    for (;;) {
      const reply = readReply(all, at, all.length);
      if (reply === "bad") this.#bad = true;
      if (typeof reply === "string") break;
      at += reply.kind === "sync" ? SYNC_REPLY_SIZE : RESUME_REPLY_SIZE;
      take(reply);
    }
    this.#rest = all.subarray(at, Math.min(all.length, at + LONGEST));
  }
}
