// Logs on a file system in memory, for the tests of what reads them.
import type { Block } from "../../src/spool/block.ts";
import type { LogPosition } from "../../src/spool/checkpoint.ts";
import { BLOCK_HEADER } from "../../src/spool/format.ts";
import { type LogDamage, LogReader, type LogReaderParts, type LostMessages } from "../../src/spool/logReader.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { FrameFault, FrameReader } from "../../src/wire/frame.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { blockOf, frameOf } from "../support/segments.ts";

export const DIRECTORY_ID = "00112233445566778899aabbccddeeff";

export function numbersOf(values: Iterable<number>): MessageNumbers {
  const numbers = new MessageNumbers();
  for (const value of values) numbers.append(value);
  return numbers;
}

export function setOf(values: Iterable<number>): NumberSet {
  const set = new NumberSet();
  for (const value of values) set.add(value);
  return set;
}

export function valuesOf(set: NumberSet): number[] {
  const values: number[] = [];
  set.forEach((value) => void values.push(value));
  return values;
}

/** The message with that number has the number in its value. */
export function frameFor(number: number, length = 0): Buffer {
  return frameOf(number % 3 === 0 ? "thirds" : "others", `${number} `.padEnd(length, "x"));
}

/** The messages of a block that are not passed over: number and value. Fails when the two do not belong together. */
export function messagesIn(block: Block): number[] {
  const reader = new FrameReader();
  const found: number[] = [];
  let index = 0;
  for (let at = block.start; at < block.end; at += reader.size, index++) {
    if (reader.read(block.bytes, at, block.end) !== FrameFault.Ok) throw new Error("a bad frame");
    const number = block.numbers === undefined ? block.firstNumber + index : (block.numbers[index] as number);
    const value = Number.parseInt(block.bytes.toString("latin1", reader.valueStart, reader.valueEnd), 10);
    if (value !== number) throw new Error(`message ${number} has the value of ${value}`);
    if (block.skip?.has(number) !== true) found.push(number);
  }
  if (index !== block.count) throw new Error(`a block of ${block.count} has ${index} frames`);
  if (found.length !== block.live) throw new Error(`${block.live} are said to be live, ${found.length} are`);
  return found;
}

/** A log that is written as the test says. */
export class LogFixture {
  readonly files = new FakeFiles();
  readonly directory = "/log";
  readonly segments: { ordinal: number; path: string; firstNumber: number; previousEnd: number }[] = [];
  readonly damage: LogDamage[] = [];
  readonly lost: LostMessages[] = [];
  head: LogPosition = { number: 1, segment: 0, offset: 0 };
  writer: SegmentWriter | undefined;
  /** Where each block lies. */
  readonly blocks: { ordinal: number; firstNumber: number; offset: number; size: number; path: string }[] = [];

  constructor() {
    this.files.makeDirectory(this.directory);
  }

  /** Begins a segment; what came before it is not written to any more. */
  segment(how: { seal?: boolean; firstNumber?: number; previousEnd?: number } = {}): void {
    const { seal = true, firstNumber = this.head.number } = how;
    const { previousEnd = firstNumber } = how;
    if (this.writer !== undefined) {
      if (seal) this.writer.seal();
      this.writer.close();
    }
    const ordinal = (this.segments.at(-1)?.ordinal ?? 0) + 1;
    const start = { directory: this.directory, ordinal, firstNumber, previousEnd, directoryId: DIRECTORY_ID };
    this.writer = SegmentWriter.create(this.files, start);
    this.segments.push({ ordinal, path: this.writer.path, firstNumber, previousEnd });
    this.head = { number: firstNumber, segment: ordinal, offset: this.writer.offset };
  }

  /** Writes a block with `count` messages. */
  block(count: number, length = 0): void {
    const first = this.head.number;
    const frames = Array.from({ length: count }, (_, index) => frameFor(first + index, length));
    this.#append(frames, first, undefined);
  }

  /** Writes a block with these numbers. */
  numbered(numbers: number[]): void {
    this.#append(
      numbers.map((number) => frameFor(number)),
      numbers[0] as number,
      numbers,
    );
  }

  reader(more: Partial<LogReaderParts> = {}): LogReader {
    return new LogReader({
      files: this.files,
      directory: this.directory,
      segments: this.segments,
      at: { number: 1, segment: 0, offset: 0 },
      head: () => this.head,
      onDamage: (damage) => this.damage.push(damage),
      onLost: (lost) => this.lost.push(lost),
      ...more,
    });
  }

  /** Makes the payload of that block, by the order written, something else. */
  harm(index: number): void {
    const block = this.blocks[index];
    if (block === undefined) throw new RangeError("no such block");
    const content = Buffer.from(this.files.content(block.path));
    const at = block.offset + BLOCK_HEADER + 20;
    content[at] = (content[at] as number) ^ 0x40;
    this.files.put(block.path, content);
  }

  #append(frames: Buffer[], firstNumber: number, numbers: number[] | undefined): void {
    const writer = this.writer;
    if (writer === undefined) throw new Error("begin a segment first");
    const bytes = blockOf(writer.seed, frames, { firstNumber }, numbers);
    const offset = writer.append(bytes, 0, bytes.length);
    const last = numbers?.at(-1) ?? firstNumber + frames.length - 1;
    this.blocks.push({ ordinal: writer.ordinal, firstNumber, offset, size: bytes.length, path: writer.path });
    this.head = { number: last + 1, segment: writer.ordinal, offset: writer.offset };
  }
}

/** All messages that are to be read now, block by block. */
export function readAllOf(reader: LogReader, most?: number): number[] {
  const found: number[] = [];
  for (let block = reader.next(most); block !== undefined; block = reader.next(most)) found.push(...messagesIn(block));
  return found;
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}
