// What a sealed segment ends in: how many messages of which topics it has, and where to find them.
//
//   index block => a block of kind 3, firstNumber is the number behind the segment's last; payload: JSON in UTF-8
//   footer      => 0 offset of the index block int64 | 8 magic "bruceidx"      the last 16 bytes of the file
//   JSON        => { first, end, messages, topics: {name: count}, sessions: {hex: [position behind, receivedAt]},
//                    offsets: [[number, offset], …] }
import { type Files, readAll } from "./files.ts";
import {
  BLOCK_HEADER,
  BlockHeader,
  BlockKind,
  endOfNumbers,
  framesStart,
  SEGMENT_HEADER,
  type SegmentHeader,
  writeBlockHeader,
} from "./format.ts";
import { readInt64, writeInt64 } from "./integers.ts";
import { TopicCounts } from "./topicCounts.ts";

export const INDEX_FOOTER = 16;
const FOOTER_MAGIC = Buffer.from("bruceidx", "latin1");
/** An offset is noted for each so many bytes of blocks. */
const OFFSET_EVERY = 65_536;
/** As many as are remembered at all; the newest count. */
const MAX_SESSIONS = 10_000;

export interface SegmentIndex {
  /** The number of the first message; that of the segment when there is none. */
  first: number;
  /** The number behind the last message. */
  end: number;
  messages: number;
  /** Messages by topic; under "" those of topics that were too many. */
  topics: Map<string, number>;
  /** By session, in hexadecimal: messages of it up to the end of its last block here, and when that came (ms). */
  sessions: Map<string, SessionEnd>;
  /** Where a block begins (bytes from the beginning of the file), and its first number; ascending. */
  offsets: [number: number, offset: number][];
  /** Where the blocks end. */
  dataEnd: number;
}

export interface SessionEnd {
  position: number;
  receivedAt: number;
}

/** Gathers an index while the blocks are written, or read again. Leaves no garbage for a message, little for a block. */
export class IndexBuilder {
  #first = 0;
  #end: number;
  #messages = 0;
  #dataEnd = SEGMENT_HEADER;
  #nextOffset = 0;
  readonly #topics = new TopicCounts();
  readonly #sessions = new Map<string, SessionEnd>();
  readonly #offsets: [number, number][] = [];
  /** The session that the last block had, as bytes and as its entry: most blocks have the one of the block before. */
  readonly #session = Buffer.alloc(16);
  #sessionEnd: SessionEnd | undefined;

  /** `firstNumber`: the segment's. */
  constructor(firstNumber: number) {
    this.#end = firstNumber;
  }

  get messages(): number {
    return this.#messages;
  }

  /** The number behind the last message. */
  get end(): number {
    return this.#end;
  }

  /** Takes the block at `at`, read into `block`; it lies at `offset` of the file. */
  add(block: BlockHeader, bytes: Buffer, at: number, offset: number): void {
    if (this.#messages === 0) this.#first = block.firstNumber;
    this.#messages += block.count;
    this.#end = endOfNumbers(block, bytes, at);
    this.#dataEnd = offset + block.size;
    if (offset >= this.#nextOffset) {
      this.#offsets.push([block.firstNumber, offset]);
      this.#nextOffset = offset + OFFSET_EVERY;
    }
    if (block.hasSession) this.#noteSession(block, bytes, at + 40);
    this.#topics.add(bytes, framesStart(block, bytes, at), at + block.size, block.count);
  }

  /** The index as it is now. */
  build(): SegmentIndex {
    return {
      first: this.#messages === 0 ? this.#end : this.#first,
      end: this.#end,
      messages: this.#messages,
      topics: this.#topics.toMap(),
      sessions: new Map([...this.#sessions].map(([session, end]) => [session, { ...end }])),
      offsets: [...this.#offsets],
      dataEnd: this.#dataEnd,
    };
  }

  #noteSession(block: BlockHeader, bytes: Buffer, sessionAt: number): void {
    let entry = this.#sessionEnd;
    if (entry === undefined || this.#session.compare(bytes, sessionAt, sessionAt + 16) !== 0) {
      bytes.copy(this.#session, 0, sessionAt, sessionAt + 16);
      const session = this.#session.toString("hex");
      entry = this.#sessions.get(session) ?? { position: 0, receivedAt: 0 };
      this.#sessions.delete(session); // the oldest are the first ones
      this.#sessions.set(session, entry);
      this.#sessionEnd = entry;
      if (this.#sessions.size > MAX_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value as string);
    }
    entry.position = block.position + block.count;
    entry.receivedAt = block.receivedAt;
  }
}

/** The index block and the footer, to be written at `offset`, where the last block ends. */
export function encodeIndex(index: SegmentIndex, offset: number, seed: number): Buffer {
  const { first, end, messages, offsets } = index;
  const topics = Object.fromEntries(index.topics);
  const sessions = Object.fromEntries(
    [...index.sessions].map(([session, { position, receivedAt }]) => [session, [position, receivedAt]]),
  );
  const payload = Buffer.from(JSON.stringify({ first, end, messages, topics, sessions, offsets }));
  const bytes = Buffer.alloc(BLOCK_HEADER + payload.length + INDEX_FOOTER);
  payload.copy(bytes, BLOCK_HEADER);
  const fields = { kind: BlockKind.Index, count: 0, source: 0, firstNumber: end, receivedAt: 0, position: 0 };
  writeBlockHeader(bytes, 0, { ...fields, session: undefined }, payload.length, seed);
  writeInt64(bytes, bytes.length - INDEX_FOOTER, offset);
  FOOTER_MAGIC.copy(bytes, bytes.length - 8);
  return bytes;
}

/** The index of a sealed segment, or nothing when it is not sealed, or when the index is damaged or cannot be read. */
export function readIndex(files: Files, fd: number, header: SegmentHeader): SegmentIndex | undefined {
  try {
    const size = files.size(fd);
    const footer = Buffer.alloc(INDEX_FOOTER);
    const footerAt = size - INDEX_FOOTER;
    if (readAll(files, fd, footer, 0, INDEX_FOOTER, Math.max(0, footerAt)) < INDEX_FOOTER) return undefined;
    const offset = readInt64(footer, 0);
    if (!FOOTER_MAGIC.equals(footer.subarray(8)) || !(offset >= BLOCK_HEADER && offset < footerAt)) return undefined;
    const bytes = Buffer.allocUnsafeSlow(footerAt - offset);
    const end = readAll(files, fd, bytes, 0, bytes.length, offset);
    const block = new BlockHeader();
    if (block.read(bytes, 0, end) !== "whole" || block.kind !== BlockKind.Index || block.size !== end) return undefined;
    if (!block.verify(bytes, 0, header.seed)) return undefined;
    return { ...parse(bytes.toString("utf8", BLOCK_HEADER, end)), dataEnd: offset };
  } catch {
    return undefined; // what is in the file is still there block by block
  }
}

/** The checksum says that it is ours, so its shape is what `encodeIndex` gave. */
function parse(json: string): Omit<SegmentIndex, "dataEnd"> {
  const index = JSON.parse(json) as {
    first: number;
    end: number;
    messages: number;
    topics: Record<string, number>;
    sessions: Record<string, [number, number]>;
    offsets: [number, number][];
  };
  return {
    first: index.first,
    end: index.end,
    messages: index.messages,
    topics: new Map(Object.entries(index.topics)),
    sessions: new Map(
      Object.entries(index.sessions).map(([session, [position, receivedAt]]) => [session, { position, receivedAt }]),
    ),
    offsets: index.offsets,
  };
}
