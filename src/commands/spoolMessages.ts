// The messages that wait in a buffer's directory, in the order in which they would be delivered.
import type { Files } from "../spool/files.ts";
import { BlockKind, framesStart, readNumbers } from "../spool/format.ts";
import { openSegment, SegmentCursor } from "../spool/scan.ts";
import { FrameFault, FrameReader } from "../wire/frame.ts";
import type { LogView, SpoolView } from "./spoolView.ts";

/** One frame: bytes[start, end) until the next one is asked for. */
export interface WaitingMessage {
  number: number;
  topic: string;
  bytes: Buffer;
  start: number;
  end: number;
}

export interface MessageSource {
  files: Files;
  /** Only messages of these topics; undefined: of all. */
  topics: ReadonlySet<string> | undefined;
  /** Bytes that are no block, or cannot be read. */
  onDamage(path: string, offset: number): void;
}

/**
 * All that wait. Within a topic they come by number, which is the order within each of its partitions: what is on its way
 * first, then what is held, then what nobody has read yet.
 */
export function* waitingMessages(view: SpoolView, source: MessageSource): Generator<WaitingMessage> {
  const [main, ...held] = view.logs;
  const byTopic = Map.groupBy(held, ({ topic }) => topic);
  // Of held topics these are few: they were being delivered when their topic was held, or are again.
  const early = new Map<string, WaitingMessage[]>();
  for (const message of messagesOf(main, source, 0, main.readFrom)) {
    if (!byTopic.has(message.topic)) yield message;
    else early.set(message.topic, [...(early.get(message.topic) ?? []), copyOf(message)]);
  }
  for (const [topic, logs] of byTopic) {
    const all = logs.map((log) => messagesOf(log, source, 0, Number.POSITIVE_INFINITY));
    yield* merged([(early.get(topic ?? "") ?? []).values(), ...all]);
  }
  yield* messagesOf(main, source, main.readFrom, Number.POSITIVE_INFINITY);
}

/** By number. Each iterator is asked for its next only when its last was used up. */
function* merged(iterators: Iterator<WaitingMessage>[]): Generator<WaitingMessage> {
  const heads = iterators.map((iterator) => ({ iterator, message: next(iterator) }));
  for (;;) {
    let first: { iterator: Iterator<WaitingMessage>; message: WaitingMessage | undefined } | undefined;
    for (const head of heads) {
      if (head.message === undefined) continue;
      if (first?.message === undefined || head.message.number < first.message.number) first = head;
    }
    if (first?.message === undefined) return;
    yield first.message;
    first.message = next(first.iterator);
  }
}

function next(iterator: Iterator<WaitingMessage>): WaitingMessage | undefined {
  const { done, value } = iterator.next();
  return done === true ? undefined : value;
}

function copyOf({ bytes, start, end, ...message }: WaitingMessage): WaitingMessage {
  return { ...message, bytes: Buffer.from(bytes.subarray(start, end)), start: 0, end: end - start };
}

/** Those of one log with numbers in [from, to). */
function* messagesOf(log: LogView, source: MessageSource, from: number, to: number): Generator<WaitingMessage> {
  if (source.topics !== undefined && log.topic !== undefined && !source.topics.has(log.topic)) return;
  for (const [index, { path, end, firstNumber }] of log.segments.entries()) {
    if (firstNumber >= to || end <= from || !log.mayWait(firstNumber, end)) continue;
    const opened = openSegment(source.files, path);
    if ("problem" in opened) {
      // A segment that is gone was delivered.
      if (source.files.exists(path)) source.onDamage(path, 0);
      continue;
    }
    try {
      const cursor = new SegmentCursor(source.files, opened.fd, opened.header);
      // A whole block may be left of an append that failed: its messages are in the next segment.
      const nextFirst = log.segments[index + 1]?.firstNumber ?? Number.POSITIVE_INFINITY;
      const limit = opened.size;
      let tried = -1;
      for (let step = cursor.step(limit); step !== "end"; step = cursor.step(limit)) {
        if (step === "damage") {
          // All of it was delivered meanwhile, and the daemon writes a new segment over it.
          if (!source.files.exists(path)) break;
          // Where it writes, this may have been read in the middle of it: what is right now counts.
          if (tried !== cursor.offset) {
            tried = cursor.offset;
            cursor.rest();
            cursor.moveTo(tried);
          } else source.onDamage(path, cursor.offset);
        } else if (cursor.block.firstNumber >= Math.min(to, nextFirst)) break;
        else yield* messagesIn(cursor, log, source, from, to);
      }
    } finally {
      source.files.close(opened.fd);
    }
  }
}

function* messagesIn(
  { block, bytes, at }: SegmentCursor,
  log: LogView,
  { topics }: MessageSource,
  from: number,
  to: number,
): Generator<WaitingMessage> {
  const frame = new FrameReader();
  const numbers: number[] = [];
  if (block.kind === BlockKind.Numbered) readNumbers(block, bytes, at)?.forEach((number) => void numbers.push(number));
  const { count, firstNumber } = block;
  const blockEnd = at + block.size;
  let start = framesStart(block, bytes, at);
  for (let index = 0; index < count; index++) {
    if (frame.locate(bytes, start, blockEnd) !== FrameFault.Ok) return;
    const end = start + frame.size;
    const number = numbers[index] ?? firstNumber + index;
    if (number >= from && number < to && log.waits(number)) {
      const topic = bytes.toString("latin1", frame.topicStart, frame.topicEnd);
      if (topics === undefined || topics.has(topic)) yield { number, topic, bytes, start, end };
    }
    start = end;
  }
}
