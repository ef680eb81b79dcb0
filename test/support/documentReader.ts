// A reader of the disk buffer written from docs/spool-format.md alone: it shares no code with what writes the files.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { crc32 } from "node:zlib";

export interface ReadMessage {
  number: number;
  /** Where its block begins in the segment's file. */
  offset: number;
  topic: string;
  value: string;
  source: number;
  receivedAt: number;
  /** 32 hexadecimal digits; zeros without one. */
  session: string;
}

interface ReadIndex {
  first: number;
  end: number;
  messages: number;
  topics: Record<string, number>;
  sessions: Record<string, [number, number]>;
  offsets: [number, number][];
}

export interface ReadSegment {
  ordinal: number;
  firstNumber: number;
  previousEnd: number;
  directoryId: string;
  messages: ReadMessage[];
  /** [from, to) in the file; a torn end is not among them. */
  damaged: [number, number][];
  torn: boolean;
  index: ReadIndex | undefined;
}

const int64 = (bytes: Buffer, at: number) => Number(bytes.readBigInt64BE(at));

/** Undefined: the file was never begun, or its header is damaged. `below`: the FirstNumber of the log's next segment. */
function readSegment(bytes: Buffer, below: number): ReadSegment | undefined {
  if (bytes.length < 64 || bytes.toString("latin1", 0, 8) !== "bruceseg") return undefined;
  if (crc32(bytes.subarray(0, 60)) !== bytes.readUInt32BE(60) || bytes.readUInt32BE(8) !== 1) return undefined;
  const seed = bytes.readUInt32BE(56);
  const isBlock = (at: number) => {
    if (at + 64 > bytes.length || bytes.readUInt32BE(at) !== 0x62726b31) return false;
    const end = at + 64 + bytes.readUInt32BE(at + 4);
    if (end > bytes.length) return false;
    const check = crc32(Buffer.concat([bytes.subarray(at + 4, at + 8), bytes.subarray(at + 16, at + 64)]), seed);
    if (check % 2 ** 24 !== bytes.readUIntBE(at + 13, 3)) return false;
    return crc32(bytes.subarray(at + 12, end), seed) === bytes.readUInt32BE(at + 8);
  };
  const segment: ReadSegment = {
    ordinal: bytes.readUInt32BE(12),
    firstNumber: int64(bytes, 16),
    previousEnd: int64(bytes, 24),
    directoryId: bytes.toString("hex", 40, 56),
    messages: [],
    damaged: [],
    torn: false,
    index: undefined,
  };
  for (let at = 64; at < bytes.length; ) {
    if (!isBlock(at)) {
      let next = at + 1;
      while (next < bytes.length && !isBlock(next)) next++;
      if (next === bytes.length) {
        segment.torn = bytes.subarray(at, at + 64).some((byte) => byte !== 0);
        break;
      }
      segment.damaged.push([at, next]);
      at = next;
      continue;
    }
    const end = at + 64 + bytes.readUInt32BE(at + 4);
    if (bytes[at + 12] === 3) {
      segment.index = JSON.parse(bytes.toString("utf8", at + 64, end)) as ReadIndex;
      if (int64(bytes, end) !== at || bytes.toString("latin1", end + 8) !== "bruceidx") throw new Error("footer");
      break;
    }
    if (int64(bytes, at + 24) >= below) break;
    segment.messages.push(...readBlock(bytes.subarray(at, end), at));
    at = end;
  }
  return segment;
}

function readBlock(block: Buffer, offset: number): ReadMessage[] {
  const count = block.readUInt32BE(16);
  const first = int64(block, 24);
  let numbers = Array.from({ length: count }, (_, index) => first + index);
  let at = 64;
  if (block[12] === 2) {
    at = 68 + block.readUInt32BE(64);
    numbers = readNumbers(first, block.subarray(68, at));
  }
  if (numbers.length !== count) throw new Error("a block has as many numbers as messages");
  const messages = numbers.map((number) => {
    const frame = block.subarray(at, at + block.readInt32BE(at));
    at += frame.length;
    const topicAt = frame.readInt16BE(4) === 257 ? 14 : 10;
    const topicEnd = topicAt + 2 + frame.readInt16BE(topicAt);
    const valueAt = topicEnd + 12 + frame.readInt32BE(topicEnd + 8) + 4;
    return {
      number,
      offset,
      topic: frame.toString("latin1", topicAt + 2, topicEnd),
      value: frame.toString("latin1", valueAt),
      source: block.readUInt32BE(20),
      receivedAt: int64(block, 32),
      session: block.toString("hex", 40, 56),
    };
  });
  if (at !== block.length) throw new Error("a block has nothing behind its frames");
  return messages;
}

function* varints(bytes: Uint8Array): Iterable<number> {
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte % 128) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    yield value;
    value = 0;
    scale = 1;
  }
}

function readNumbers(first: number, deltas: Uint8Array): number[] {
  const numbers = [first];
  for (const delta of varints(deltas)) numbers.push((numbers.at(-1) as number) + delta);
  return numbers;
}

function readSet(text: string): Set<number> {
  const set = new Set<number>();
  const values = [...varints(Buffer.from(text, "base64"))];
  let end = 0;
  for (let index = 0; index < values.length; index += 2) {
    const from = end + (values[index] as number);
    end = from + (values[index + 1] as number);
    for (let number = from; number < end; number++) set.add(number);
  }
  return set;
}

function filesOf(directory: string, extension: string): string[] {
  if (!existsSync(directory)) return [];
  const name = new RegExp(`^\\d{10}\\.${extension}$`);
  return readdirSync(directory)
    .filter((file) => name.test(file))
    .sort()
    .map((file) => `${directory}/${file}`);
}

/** The segments of one log, in order. */
export function readLog(directory: string): ReadSegment[] {
  const files = filesOf(directory, "segment").map((path) => readFileSync(path));
  let below = Number.POSITIVE_INFINITY;
  const segments: ReadSegment[] = [];
  for (const bytes of files.reverse()) {
    const segment = readSegment(bytes, below);
    if (segment === undefined) continue;
    below = segment.firstNumber;
    segments.unshift(segment);
  }
  return segments;
}

interface Place {
  number: number;
  segment: number;
  offset: number;
}

interface LogState {
  read: Place;
  head: Place;
}

interface Numbers {
  unsettled: string;
  settled: string;
}

export interface ReadCheckpoint extends Numbers {
  generation: number;
  directoryId: string;
  machineId: string;
  clean: boolean;
  reserved: number;
  journal: number;
  log: LogState;
  held: (LogState & Numbers & { name: string; topic: string; partition: number | null; reason: string })[];
  ledger: { total: Account; noTopic: Account; topics: Record<string, Account> };
  topicsSeen: string[];
  sessions: [string, number, number][];
}

interface Account {
  received: number;
  delivered: number;
  discarded: number;
  discardsByReason: Record<string, number>;
  possibleDuplicates: number;
}

/** The checkpoint that counts. */
export function readCheckpoint(directory: string): ReadCheckpoint | undefined {
  const slots = ["checkpoint.0", "checkpoint.1"].flatMap((name) => {
    const path = `${directory}/${name}`;
    const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    if (bytes.length < 32 || bytes.toString("latin1", 0, 8) !== "brucechk" || bytes.readUInt32BE(8) !== 1) return [];
    const content = bytes.subarray(32, 32 + bytes.readUInt32BE(20));
    if (crc32(content, crc32(bytes.subarray(0, 24))) !== bytes.readUInt32BE(24)) return [];
    const generation = int64(bytes, 12);
    return [{ ...(JSON.parse(content.toString()) as Omit<ReadCheckpoint, "generation">), generation }];
  });
  return slots.sort((a, b) => b.generation - a.generation)[0];
}

export interface ReadBatch {
  topic: string;
  partition: number;
  clusterId: string;
  producerId: number;
  epoch: number;
  baseSequence: number;
  sentAt: number;
  checksum: number;
  numbers: number[];
}

export interface ReadJournal {
  open: ReadBatch[];
  delivered: ReadBatch[];
  discarded: { batch: ReadBatch; reason: string }[];
  /** Counted as possible duplicates. */
  repeated: ReadBatch[];
}

/** Takes a body apart, field by field. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(length: number): Buffer {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint = (length: number) => this.take(length).readUIntBE(0, length);
  int = (length: number) => this.take(length).readIntBE(0, length);
  int64 = () => int64(this.take(8), 0);
  text = () => this.take(this.uint(2)).toString();
}

/** What the journal files from `from` on say. */
export function readJournal(directory: string, from: number): ReadJournal {
  const open = new Map<string, ReadBatch>();
  const journal: ReadJournal = { open: [], delivered: [], discarded: [], repeated: [] };
  for (const path of filesOf(directory, "journal")) {
    const bytes = readFileSync(path);
    if (bytes.length < 64 || bytes.toString("latin1", 0, 8) !== "brucejnl") continue;
    if (crc32(bytes.subarray(0, 60)) !== bytes.readUInt32BE(60) || bytes.readUInt32BE(12) < from) continue;
    const seed = bytes.readUInt32BE(56);
    for (let at = 64; at + 12 <= bytes.length; ) {
      const end = at + 12 + bytes.readUInt32BE(at + 8);
      const good = bytes.readUInt32BE(at) === 0x62726a31 && end <= bytes.length;
      if (good && crc32(bytes.subarray(at + 8, end), seed) === bytes.readUInt32BE(at + 4)) {
        replay(new Fields(bytes.subarray(at + 12, end)), open, journal);
        at = end;
      } else {
        at++;
      }
    }
  }
  journal.open = [...open.values()];
  return journal;
}

function replay(body: Fields, open: Map<string, ReadBatch>, journal: ReadJournal): void {
  const kind = body.uint(1);
  const topic = body.text();
  const partition = body.int(4);
  const key = `${topic}@${partition}`;
  const before = open.get(key);
  if (kind === 1 || kind === 2 || kind === 6) {
    const batch = readBatch(body, topic, partition);
    const isOther = String(before?.numbers) !== String(batch.numbers);
    const ends: [number, number][] = [];
    for (let count = kind === 2 ? 0 : body.uint(1); count > 0; count--) ends.push([body.int64(), body.uint(1)]);
    const end = ends.find(([first]) => first === before?.numbers[0]);
    if (before !== undefined && isOther && end?.[1] === 1) journal.delivered.push(before);
    if (kind === 6) journal.repeated.push(batch);
    open.set(key, batch);
  } else {
    if (before === undefined || before.numbers[0] !== body.int64()) return;
    open.delete(key);
    if (kind === 3) journal.delivered.push(before);
    if (kind === 4) journal.discarded.push({ batch: before, reason: body.text() });
  }
}

function readBatch(body: Fields, topic: string, partition: number): ReadBatch {
  const clusterId = body.text();
  const producerId = body.int64();
  const [epoch, baseSequence, sentAt, checksum] = [body.int(2), body.int(4), body.int64(), body.uint(4)];
  const count = body.uint(4);
  const first = body.int64();
  const numbers = readNumbers(first, body.take(body.uint(4)));
  if (numbers.length !== count) throw new Error("a batch has as many numbers as messages");
  return { topic, partition, clusterId, producerId, epoch, baseSequence, sentAt, checksum, numbers };
}

/** What is still to be delivered: the messages of the main log, and those of each held log by its name. */
export function readWaiting(directory: string): { log: ReadMessage[]; held: Record<string, ReadMessage[]> } {
  const checkpoint = readCheckpoint(directory);
  const journal = readJournal(`${directory}/journal`, checkpoint?.journal ?? 0);
  const ended = new Set(
    [...journal.delivered, ...journal.discarded.map(({ batch }) => batch)].flatMap((b) => b.numbers),
  );
  const waiting = (messages: ReadMessage[], state: (Numbers & { read: Place }) | undefined) => {
    const unsettled = readSet(state?.unsettled ?? "");
    const settled = readSet(state?.settled ?? "");
    const from = state?.read.number ?? 0;
    return messages.filter(
      ({ number }) => (unsettled.has(number) || (number >= from && !settled.has(number))) && !ended.has(number),
    );
  };
  const known = checkpoint?.held ?? [];
  const listed = existsSync(`${directory}/held`) ? readdirSync(`${directory}/held`).sort() : [];
  const logs = [...new Set([...known.map(({ name }) => name), ...listed])].map((name) => {
    const state = known.find((log) => log.name === name);
    const segments = readLog(`${directory}/held/${name}`);
    const head = state?.head ?? { segment: 0, offset: 0 };
    const behind = segments.flatMap(({ ordinal, messages }) =>
      messages.filter(({ offset }) => ordinal > head.segment || (ordinal === head.segment && offset >= head.offset)),
    );
    const messages = segments.flatMap((segment) => segment.messages);
    return { name, topic: name.split("@")[0], state, messages, since: new Set(behind.map(({ number }) => number)) };
  });
  const held: Record<string, ReadMessage[]> = {};
  for (const [index, log] of logs.entries()) {
    const movedOn = (number: number) =>
      logs.some(
        (other, at) =>
          at !== index &&
          other.topic === log.topic &&
          other.since.has(number) &&
          (at > index || !log.since.has(number)),
      );
    held[log.name] = waiting(log.messages, log.state).filter(({ number }) => !movedOn(number));
  }
  const moved = new Set(logs.flatMap(({ messages }) => messages.map(({ number }) => number)));
  const log = readLog(`${directory}/log`).flatMap((segment) => segment.messages);
  const main = checkpoint && { ...checkpoint, read: checkpoint.log.read };
  return { log: waiting(log, main).filter(({ number }) => !moved.has(number)), held };
}
