// Makes blocks of held frames: each of one connection or session, with the numbers of its messages in front.
import { BLOCK_HEADER, BlockKind, numbersLength, writeBlockHeader, writeNumbers } from "./format.ts";
import type { FrameMark, FrameSource } from "./heldFrame.ts";
import { MessageNumbers } from "./numbers.ts";

/** Bytes of frames that a block has at most, unless it is a single one. */
const BLOCK_BYTES = 65_536;
/** How far apart the messages of a block were received at most, in ms: the block has one time for all of them. */
const BLOCK_TIME = 1000;

/** Keeps one block at a time, in memory that is used again. */
export class HeldBlock {
  /** Of the frames in it. */
  readonly numbers = new MessageNumbers();
  bytes: Buffer = Buffer.allocUnsafeSlow(2 * BLOCK_BYTES);
  /** The block is bytes[0, length). */
  length = 0;
  /** When the youngest of them was received: none of them may seem older than it is. Milliseconds since the epoch. */
  receivedAt = 0;
  #mark: FrameMark | undefined;

  /** Takes as many of the first of `frames` as one block has, without taking them out. Without the checksum yet. */
  form(frames: FrameSource): void {
    const { numbers } = this;
    numbers.clear();
    let size = 0;
    let mark: FrameMark | undefined;
    let youngest = 0;
    frames.look((number, _bytes, start, end, its) => {
      if (mark !== undefined && (size + end - start > BLOCK_BYTES || !together(its, mark))) return false;
      mark ??= its;
      if (its.receivedAt > youngest) youngest = its.receivedAt;
      size += end - start;
      numbers.append(number);
      return true;
    });
    const length = numbersLength(numbers) + size;
    if (this.bytes.length < BLOCK_HEADER + length || this.bytes.length > 4 * (BLOCK_HEADER + length + BLOCK_BYTES))
      this.bytes = Buffer.allocUnsafeSlow(Math.max(2 * BLOCK_BYTES, BLOCK_HEADER + length));
    let at = writeNumbers(this.bytes, BLOCK_HEADER, numbers);
    let left = numbers.count;
    frames.look((_number, bytes, start, end) => {
      if (left-- === 0) return false;
      at += bytes.copy(this.bytes, at, start, end);
      return true;
    });
    this.length = BLOCK_HEADER + length;
    this.receivedAt = youngest;
    this.#mark = mark;
  }

  /** The connection that they came by; 0 is the datagram socket. */
  get source(): number {
    return this.#mark?.source ?? 0;
  }

  /** The 16 bytes of its session. */
  get session(): Buffer | undefined {
    return this.#mark?.session;
  }

  /** Writes the header, with the checksum that a segment of that seed wants. */
  seal(seed: number): void {
    const { receivedAt, source, session } = this;
    const { count, first } = this.numbers;
    // The position in the session is the main log's to say.
    const fields = { kind: BlockKind.Numbered, count, source, firstNumber: first, receivedAt, session, position: 0 };
    writeBlockHeader(this.bytes, 0, fields, this.length - BLOCK_HEADER, seed);
  }
}

/** Of one origin, and of about one time. */
function together(a: FrameMark, b: FrameMark): boolean {
  if (a === b) return true;
  if (Math.abs(a.receivedAt - b.receivedAt) > BLOCK_TIME) return false;
  if (a.source !== b.source) return false;
  return a.session === undefined ? b.session === undefined : b.session !== undefined && a.session.equals(b.session);
}
