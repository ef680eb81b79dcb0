// Frames on their way to the daemon, and the account of which of them the kernel took whole.
import { readInt32 } from "../wire/frame.ts";

/**
 * One reusable buffer of frames, back to back. Invariants: `boundary <= start <= end`; `boundary` is where a frame
 * begins; [start, end) is not sent yet; [boundary, start) is sent, but was kept, since it may end inside a frame, and a
 * frame of which the kernel took only a part must be sent again whole.
 */
export class Outbox {
  /** Long-lived memory that the C library may see. Replaced when a single frame needs more. */
  bytes: Buffer;
  start = 0;
  end = 0;
  /** Frames written into this buffer, ever. Whoever writes them at `end` counts them here. */
  written = 0;
  #boundary = 0;
  #sent = 0;

  constructor(capacity: number) {
    this.bytes = Buffer.from(new ArrayBuffer(capacity));
  }

  get empty(): boolean {
    return this.start === this.end;
  }

  /** Notes that the kernel took `count` bytes from `start` on. */
  took(count: number): void {
    this.start += count;
    if (this.start < this.end) return;
    this.#sent = this.written;
    this.#boundary = this.start = this.end = 0;
  }

  /** Frames that the kernel took whole, ever. */
  sent(): number {
    // Counted only when asked: a walk costs as much per frame as all the other bookkeeping.
    while (this.#boundary < this.start) {
      const next = this.#boundary + readInt32(this.bytes, this.#boundary);
      if (next > this.start) break;
      this.#boundary = next;
      this.#sent++;
    }
    return this.#sent;
  }

  /** For a new connection: goes back to the beginning of the frame that was sent only in part. */
  rewind(): void {
    this.sent();
    this.start = this.#boundary;
  }

  /** Makes room for `size` more bytes at `end`; false when there is none before more has been sent. */
  reserve(size: number): boolean {
    if (this.bytes.length - this.end >= size) return true;
    if (this.empty && this.#boundary === this.end) {
      if (size > this.bytes.length) this.bytes = Buffer.from(new ArrayBuffer(size));
      this.#boundary = this.start = this.end = 0;
      return true;
    }
    // Moving is worth it only when it frees much: then every byte is moved at most once on average.
    this.sent();
    const kept = this.end - this.#boundary;
    if (this.#boundary < this.bytes.length / 2 || this.bytes.length - kept < size) return false;
    this.bytes.copyWithin(0, this.#boundary, this.end);
    this.start -= this.#boundary;
    this.end = kept;
    this.#boundary = 0;
    return true;
  }
}
