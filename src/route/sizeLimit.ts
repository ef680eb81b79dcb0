// The largest batch that a topic's brokers take, as far as their answers have told: so that what follows is not refused
// again and again. They judge a batch as it was sent, that is compressed, but one grows before it is compressed.
import type { Batch } from "./batch.ts";

type Size = Pick<Batch, "bytes" | "count" | "plainBytes">;

/** When the largest batch taken and the smallest refused are no further apart, the limit is known well enough. */
const NEAR = 1.25;
/** Of a refused size, what is tried at least. The limit is within this factor of it more often than not. */
const AT_LEAST = 1 / 4;
/** After so many batches of about the size allowed, a larger one is tried: the limit may have been raised. */
const TRY_AFTER = 1000;
/**
 * And it is so much larger than the smallest that was refused; again so much, if after as many there was none that size (two
 * messages may be far more). With some room for compression that turns out differently.
 */
const TRIED = 1.25;
const TRIED_ROOM = 1.2;
/** A batch of at least this share of the size allowed counts as one of about that size. */
const ABOUT = 1 / 2;
/** How fast the measure of compression goes back from the worst that was seen. */
const FADING = 0.1;

/**
 * Knows that batches of `#refused` bytes are too large, and that those of `#accepted` are not. Between them it tries; what is
 * `#refused` or more is split before it is sent. A record that is too large alone tells nothing about batches.
 */
export class SizeLimit {
  /** How large a batch may grow, header included, before it is compressed. */
  most = Number.POSITIVE_INFINITY;
  /** Batches of several records that were refused. */
  refusals = 0;
  #refused = Number.POSITIVE_INFINITY;
  #accepted = 0;
  /** Bytes sent for each byte before compression, rather too many than too few. */
  #ratio = 1;
  /** Batches of about the size allowed since a larger one was last wanted. */
  #full = 0;
  /** A batch is tried that is so many times the smallest refused; 0: none is. */
  #tried = 0;

  /** Bytes, as sent, that batches are kept below; undefined: no limit is known. */
  get known(): number | undefined {
    return this.#refused === Number.POSITIVE_INFINITY ? undefined : this.#refused;
  }

  /** Whether it is not worth asking the broker. */
  isTooLarge({ bytes, count }: Size): boolean {
    return count > 1 && bytes.length >= this.#refused * (this.#tried > 0 ? this.#tried * TRIED_ROOM : 1);
  }

  /** It is too large, and is not sent, but cut: into parts of how many bytes, before they are compressed? */
  cut({ bytes, plainBytes }: Size): number {
    this.#ratio = Math.max(this.#ratio, bytes.length / plainBytes);
    this.#bound();
    return this.most;
  }

  /** The broker took it. */
  accept({ bytes: { length }, plainBytes }: Size): void {
    if (length >= this.#refused) {
      // The limit was raised: how far, the next refusal tells.
      this.#refused = this.most = Number.POSITIVE_INFINITY;
      this.#tried = 0;
    }
    if (length > this.#accepted) this.#accepted = length;
    if (this.#refused === Number.POSITIVE_INFINITY) return;
    if (plainBytes < this.most * ABOUT) return;
    const ratio = length / plainBytes;
    this.#ratio = Math.max(ratio, this.#ratio + (ratio - this.#ratio) * FADING);
    if (++this.#full >= TRY_AFTER) {
      this.#full = 0;
      this.#tried = TRIED * (this.#tried || 1);
    }
    this.#bound();
  }

  /** The broker found it too large. */
  refuse({ bytes: { length }, plainBytes, count }: Size): void {
    if (count === 1) return;
    this.refusals++;
    this.#tried = 0;
    this.#full = 0;
    this.#refused = Math.min(this.#refused, length);
    // It was lowered, then.
    if (this.#accepted >= this.#refused) this.#accepted = 0;
    this.#ratio = length / plainBytes;
    this.#bound();
  }

  #bound(): void {
    this.most = this.#target / this.#ratio;
  }

  /** Bytes, as sent, that a batch should come to. */
  get #target(): number {
    const [taken, refused] = [this.#accepted, this.#refused];
    if (this.#tried > 0) return refused * this.#tried;
    if (refused <= taken * NEAR) return taken;
    return Math.max(Math.sqrt(taken * refused), refused * AT_LEAST);
  }
}
