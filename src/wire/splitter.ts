// A push parser for a stream of frames. It knows no sockets: bytes go in, runs of good frames and rejects come out.
import { ANY_PARTITION, FRAME_HEADER, FrameFault, FrameReader, PARTITION_KEY, readInt16, readInt32 } from "./frame.ts";
import { isLegalTopic, MAX_TOPIC_LENGTH } from "./topic.ts";

/**
 * Free bytes that `push` needs before `start`: the beginning of a frame left over from the push before is laid there.
 * A frame longer than this that comes in pieces is gathered in a buffer of its own.
 */
export const HEADROOM = 4096;

/** How much of a frame is kept, and shown, when it is rejected: all its fixed fields and the longest legal topic. */
export const PREFIX = 512;

const FIRST_GATHERED = 65_536;

export interface SplitterLimits {
  /** The largest Size that is believed; one beyond it breaks the stream. */
  maxMessage: number;
  /** The most bytes that key and value may have together; more are skipped without being stored. */
  maxPayload: number;
}

/** Takes what the splitter finds. The bytes are valid only during the call. */
export interface SplitterSink {
  /** `count` good frames, back to back in bytes[start, end). */
  frames(bytes: Buffer, start: number, end: number, count: number): void;
  /**
   * One frame that is not acceptable, when its last byte has come (or at once, when it breaks the stream).
   * bytes[start, end) is its beginning: PREFIX bytes at least, if it has as many. `size` is what its Size says.
   */
  reject(fault: FrameFault, bytes: Buffer, start: number, end: number, size: number): void;
}

/** "broken": the framing is lost, nothing more can be read from this stream. */
export type SplitterState = "open" | "broken";

/** One stream. The same bytes give the same frames and rejects however they are split. */
export class Splitter {
  readonly #limits: SplitterLimits;
  readonly #sink: SplitterSink;
  readonly #reader = new FrameReader();
  /** The beginning of a frame whose end has not come. */
  #partial: Buffer | undefined;
  #have = 0;
  /** The Size of the frame being gathered in #partial, when that is longer than HEADROOM; else 0. */
  #gathering = 0;
  /** Bytes of a rejected frame still to come, what it is rejected for, and its Size. #partial is its beginning. */
  #skip = 0;
  #skipFault: FrameFault = FrameFault.Ok;
  #skipSize = 0;

  constructor(limits: SplitterLimits, sink: SplitterSink) {
    this.#limits = limits;
    this.#sink = sink;
  }

  /** Memory held for a frame that is longer than HEADROOM and not complete. */
  get held(): number {
    return this.#gathering === 0 ? 0 : (this.#partial as Buffer).length;
  }

  /** The beginning of the frame that is not complete, at most PREFIX bytes of it, or nothing between two frames. */
  get rest(): Buffer | undefined {
    return this.#partial?.subarray(0, Math.min(this.#have, PREFIX));
  }

  /** Takes bytes[start, end). They may be moved about in place, down to HEADROOM bytes before `start`. */
  push(bytes: Buffer, start: number, end: number): SplitterState {
    let at = start;
    if (this.#skip > 0) {
      at = this.#skipOn(at, end);
    } else if (this.#gathering > 0) {
      at = this.#gather(bytes, at, end);
      if (at < 0) return "broken";
    } else if (this.#have > 0) {
      at -= this.#have;
      (this.#partial as Buffer).copy(bytes, at, 0, this.#have);
      this.#keepNothing();
    }
    return this.#split(bytes, at, end);
  }

  #split(bytes: Buffer, start: number, end: number): SplitterState {
    const reader = this.#reader;
    const { maxMessage, maxPayload } = this.#limits;
    let at = start;
    // Good frames are made one run, [start, runEnd): those behind a rejected one are moved up to it.
    let runStart = start;
    let runEnd = start;
    let count = 0;
    let state: SplitterState = "open";
    while (end - at >= 4) {
      const size = readInt32(bytes, at);
      if (size < FRAME_HEADER || size > maxMessage) {
        this.#sink.reject(size < FRAME_HEADER ? FrameFault.Malformed : FrameFault.TooLong, bytes, at, end, size);
        state = "broken";
        break;
      }
      if (size > end - at) break;
      const fault = size > maxPayload ? this.#faultOfLong(bytes, at, size) : reader.read(bytes, at, at + size);
      if (fault === FrameFault.Ok) {
        count++;
        at += size;
        continue;
      }
      this.#sink.reject(fault, bytes, at, at + size, size);
      if (runEnd !== runStart) bytes.copyWithin(runEnd, runStart, at);
      runEnd += at - runStart;
      at += size;
      runStart = at;
      if (fault === FrameFault.Malformed) {
        state = "broken";
        break;
      }
    }
    if (state === "open" && at < end && !this.#keep(bytes, at, end)) state = "broken";
    if (runEnd !== runStart) bytes.copyWithin(runEnd, runStart, at);
    runEnd += at - runStart;
    if (count > 0) this.#sink.frames(bytes, start, runEnd, count);
    return state;
  }

  /** What is wrong with a whole frame that may have too large a payload. */
  #faultOfLong(bytes: Buffer, at: number, size: number): FrameFault {
    const fault = faultOfPrefix(bytes, at, size, this.#limits.maxPayload);
    return fault === FrameFault.Ok ? this.#reader.read(bytes, at, at + size) : fault;
  }

  /** Keeps the beginning of a frame. False when that is enough to know that the stream is broken. */
  #keep(bytes: Buffer, at: number, end: number): boolean {
    const have = end - at;
    const size = have < 4 ? 0 : readInt32(bytes, at);
    if (size <= HEADROOM || have < PREFIX) {
      this.#partial = Buffer.from(bytes.subarray(at, end));
      this.#have = have;
      return true;
    }
    const fault = faultOfPrefix(bytes, at, size, this.#limits.maxPayload);
    if (fault === FrameFault.Malformed) {
      this.#sink.reject(fault, bytes, at, end, size);
      return false;
    }
    if (fault !== FrameFault.Ok) {
      this.#partial = Buffer.from(bytes.subarray(at, at + PREFIX));
      this.#have = PREFIX;
      this.#skip = size - have;
      this.#skipFault = fault;
      this.#skipSize = size;
      return true;
    }
    this.#gathering = size;
    this.#partial = Buffer.allocUnsafeSlow(Math.min(size, Math.max(FIRST_GATHERED, have * 2)));
    this.#have = bytes.copy(this.#partial, 0, at, end);
    return true;
  }

  /** Goes on gathering a long frame. Answers where the next begins, or -1 when the stream is broken. */
  #gather(bytes: Buffer, at: number, end: number): number {
    const size = this.#gathering;
    const next = Math.min(end, at + size - this.#have);
    const have = this.#have + next - at;
    let partial = this.#partial as Buffer;
    if (have > partial.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(size, Math.max(have, partial.length * 2)));
      partial.copy(larger, 0, 0, this.#have);
      partial = larger;
      this.#partial = larger;
    }
    bytes.copy(partial, this.#have, at, next);
    this.#have = have;
    if (have < size) return next;
    this.#keepNothing();
    const fault = this.#reader.read(partial, 0, size);
    if (fault === FrameFault.Ok) this.#sink.frames(partial, 0, size, 1);
    else this.#sink.reject(fault, partial, 0, size, size);
    return fault === FrameFault.Malformed ? -1 : next;
  }

  #skipOn(at: number, end: number): number {
    const skipped = Math.min(this.#skip, end - at);
    this.#skip -= skipped;
    if (this.#skip === 0) {
      const prefix = this.#partial as Buffer;
      this.#keepNothing();
      this.#sink.reject(this.#skipFault, prefix, 0, prefix.length, this.#skipSize);
    }
    return at + skipped;
  }

  #keepNothing(): void {
    this.#partial = undefined;
    this.#have = 0;
    this.#gathering = 0;
  }
}

/**
 * What is wrong with a frame as far as its first PREFIX bytes (or all of them) tell. What it finds, FrameReader finds
 * too, but for TooLarge, and for a bad topic together with too large a payload: lengths behind the topic are not seen.
 */
function faultOfPrefix(bytes: Buffer, at: number, size: number, maxPayload: number): FrameFault {
  const apiKey = readInt16(bytes, at + 4);
  if (apiKey !== ANY_PARTITION && apiKey !== PARTITION_KEY) return FrameFault.UnsupportedApiKey;
  if (readInt16(bytes, at + 6) !== 0) return FrameFault.UnsupportedVersion;
  const topicAt = apiKey === PARTITION_KEY ? 14 : 10;
  if (size < topicAt + 18 || readInt16(bytes, at + 8) !== 0) return FrameFault.Malformed;
  const topicLength = readInt16(bytes, at + topicAt);
  const payload = size - topicAt - 2 - topicLength - 16;
  if (topicLength <= 0 || payload < 0) return FrameFault.Malformed;
  if (payload <= maxPayload) return FrameFault.Ok;
  const topicStart = at + topicAt + 2;
  const legal = topicLength <= MAX_TOPIC_LENGTH && isLegalTopic(bytes, topicStart, topicStart + topicLength);
  return legal ? FrameFault.TooLarge : FrameFault.BadTopic;
}
