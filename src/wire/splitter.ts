// A push parser for a stream of frames. It knows no sockets: bytes go in, runs of good frames and rejects come out.
import { ANY_PARTITION, FRAME_HEADER, FrameFault, FrameReader, PARTITION_KEY, readInt16, readInt32 } from "./frame.ts";
import { faultOfQuestion, isQuestion } from "./receipts.ts";
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
  /**
   * The Sync or Resume at bytes[at], well made; all frames before it were handed on. False: it cannot be taken now, and
   * nothing behind it is looked at.
   */
  question(bytes: Buffer, at: number): boolean;
  /** Asked before each `reject` of a splitter that is `ordered`. False: that cannot be taken now, as with `question`. */
  mayReject(): boolean;
}

/**
 * "broken": the framing is lost, nothing more can be read from this stream. "paused": the sink could not take what begins
 * at `pausedAt`: from there on the bytes must be pushed again.
 */
export type SplitterState = "open" | "broken" | "paused";

/** One stream. The same bytes give the same frames, questions and rejects however they are split. */
export class Splitter {
  /** Frames are handed on before what is rejected behind them, not in one run with those that follow. */
  ordered = false;
  /** See SplitterState. */
  pausedAt = 0;
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
  /** Good frames are made one run, [#runStart, #runEnd): those behind a rejected one, from #pieceStart on, are moved up. */
  #runStart = 0;
  #runEnd = 0;
  #pieceStart = 0;
  #count = 0;

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
    let state: SplitterState = "open";
    this.#begin(start);
    while (end - at >= 4) {
      const size = readInt32(bytes, at);
      if (size < FRAME_HEADER || size > maxMessage) {
        const fault = size < FRAME_HEADER ? FrameFault.Malformed : FrameFault.TooLong;
        if (!this.#reject(fault, bytes, at, end, size)) return "paused";
        state = "broken";
        break;
      }
      if (size > end - at) break;
      let fault = size > maxPayload ? this.#faultOfLong(bytes, at, size) : reader.read(bytes, at, at + size);
      if (fault === FrameFault.Ok) {
        this.#count++;
        at += size;
        continue;
      }
      if (isQuestion(readInt16(bytes, at + 4))) {
        fault = faultOfQuestion(bytes, at, size);
        if (fault === FrameFault.Ok) {
          this.#handOn(bytes, at);
          if (!this.#sink.question(bytes, at)) return this.#pause(at);
          at += size;
          this.#begin(at);
          continue;
        }
      }
      if (!this.#reject(fault, bytes, at, at + size, size)) return "paused";
      this.#join(bytes, at);
      at += size;
      this.#pieceStart = at;
      if (fault === FrameFault.Malformed) {
        state = "broken";
        break;
      }
    }
    if (state === "open" && at < end) state = this.#keep(bytes, at, end);
    if (state !== "paused") this.#handOn(bytes, at);
    return state;
  }

  #begin(at: number): void {
    this.#runStart = at;
    this.#runEnd = at;
    this.#pieceStart = at;
    this.#count = 0;
  }

  /** Moves the good frames before `at` up to those before them. */
  #join(bytes: Buffer, at: number): void {
    if (this.#runEnd !== this.#pieceStart) bytes.copyWithin(this.#runEnd, this.#pieceStart, at);
    this.#runEnd += at - this.#pieceStart;
    this.#pieceStart = at;
  }

  #handOn(bytes: Buffer, at: number): void {
    if (this.#count > 0) {
      this.#join(bytes, at);
      this.#sink.frames(bytes, this.#runStart, this.#runEnd, this.#count);
    }
    this.#begin(at);
  }

  /** False when it cannot be rejected now. */
  #reject(fault: FrameFault, bytes: Buffer, at: number, end: number, size: number): boolean {
    if (this.ordered) {
      this.#handOn(bytes, at);
      if (!this.#sink.mayReject()) {
        this.#pause(at);
        return false;
      }
    }
    this.#sink.reject(fault, bytes, at, end, size);
    return true;
  }

  #pause(at: number): "paused" {
    this.pausedAt = at;
    return "paused";
  }

  /** What is wrong with a whole frame that may have too large a payload. */
  #faultOfLong(bytes: Buffer, at: number, size: number): FrameFault {
    const fault = faultOfPrefix(bytes, at, size, this.#limits.maxPayload);
    return fault === FrameFault.Ok ? this.#reader.read(bytes, at, at + size) : fault;
  }

  /** Keeps the beginning of a frame, unless that is enough to know that the stream is broken. */
  #keep(bytes: Buffer, at: number, end: number): SplitterState {
    const have = end - at;
    const size = have < 4 ? 0 : readInt32(bytes, at);
    if (size <= HEADROOM || have < PREFIX) {
      this.#partial = Buffer.from(bytes.subarray(at, end));
      this.#have = have;
      return "open";
    }
    const fault = faultOfPrefix(bytes, at, size, this.#limits.maxPayload);
    if (fault === FrameFault.Malformed) return this.#reject(fault, bytes, at, end, size) ? "broken" : "paused";
    if (fault !== FrameFault.Ok) {
      this.#partial = Buffer.from(bytes.subarray(at, at + PREFIX));
      this.#have = PREFIX;
      this.#skip = size - have;
      this.#skipFault = fault;
      this.#skipSize = size;
      return "open";
    }
    this.#gathering = size;
    this.#partial = Buffer.allocUnsafeSlow(Math.min(size, Math.max(FIRST_GATHERED, have * 2)));
    this.#have = bytes.copy(this.#partial, 0, at, end);
    return "open";
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
  if (isQuestion(apiKey)) return faultOfQuestion(bytes, at, size);
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
