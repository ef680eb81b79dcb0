// A queue on disk with both of its sides in one thread, on a file system in memory.
import type { Block } from "../../src/spool/block.ts";
import { DiskQueue, type DiskQueueParts } from "../../src/spool/diskQueue.ts";
import { DiskWriter } from "../../src/spool/diskWriter.ts";
import type { Files } from "../../src/spool/files.ts";
import type { LogDamage, LostMessages } from "../../src/spool/logReader.ts";
import type { SegmentInfo } from "../../src/spool/logSegments.ts";
import type { LogStart } from "../../src/spool/logStart.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import type { QueueState, SessionMark, SettledHow, WriterMessage } from "../../src/spool/queue.ts";
import { listSegments, openSegment, scanSegment } from "../../src/spool/scan.ts";
import { IndexBuilder } from "../../src/spool/segmentIndex.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { DIRECTORY_ID, frameFor, messagesIn, numbersOf } from "./logFixture.ts";

export function freshStart(): LogStart {
  return {
    segments: [],
    read: { number: 1, segment: 0, offset: 0 },
    again: new NumberSet(),
    skip: new NumberSet(),
    nextNumber: 1,
    previousEnd: 1,
    reserved: 2 ** 40,
    directoryId: DIRECTORY_ID,
  };
}

/** What a start finds in the directory: each segment as it is, read from its beginning to its end. */
export function segmentsIn(files: Files, directory = "/log"): SegmentInfo[] {
  return listSegments(files, directory).map(({ ordinal, path }) => {
    const opened = openSegment(files, path);
    if ("problem" in opened) throw new Error(opened.problem.message);
    const { fd, header } = opened;
    const builder = new IndexBuilder(header.firstNumber);
    const { sealed, end } = scanSegment({
      files,
      fd,
      header,
      visit: (block, bytes, at, offset) => builder.add(block, bytes, at, offset),
      damaged: () => {},
    });
    const size = sealed ? files.size(fd) : end;
    files.close(fd);
    const index = builder.build();
    const { firstNumber, previousEnd } = header;
    return { ordinal, path, size, firstNumber, previousEnd, end: index.end, messages: index.messages, sealed, index };
  });
}

export class DiskBench {
  readonly files: FakeFiles;
  readonly queue: DiskQueue;
  readonly writer: DiskWriter;
  readonly lost: LostMessages[] = [];
  readonly damage: LogDamage[] = [];
  readonly states: QueueState[] = [];
  readonly calls = { wake: 0, room: 0, full: 0, readFailures: 0, syncFailures: 0, collect: 0 };
  /** Milliseconds: the writer's clock. */
  now = 0;
  #held: WriterMessage[] | undefined;

  constructor(parts: Partial<DiskQueueParts> = {}, files = new FakeFiles()) {
    this.files = files;
    if (!files.exists("/log")) {
      files.makeDirectory("/log");
      files.syncDirectory("/");
    }
    this.queue = new DiskQueue({
      files,
      directory: "/log",
      start: freshStart(),
      capacity: 1 << 20,
      credit: 1 << 19,
      segmentSize: 1 << 16,
      largestBlock: 1 << 16,
      limit: 1 << 30,
      sync: "never",
      onLost: (lost) => void this.lost.push(lost),
      onDamage: (damage) => void this.damage.push(damage),
      onState: (state) => void this.states.push(state),
      onSyncFailure: () => void this.calls.syncFailures++,
      onReadFailure: () => void this.calls.readFailures++,
      onFull: () => void this.calls.full++,
      ...parts,
    });
    const { order } = this.queue;
    if (order.kind !== "disk") throw new Error("not a queue on disk");
    this.queue.onRoom(() => {
      this.calls.room++;
      this.writer.tend();
    });
    this.writer = new DiskWriter({
      order,
      files,
      wake: () => {
        this.calls.wake++;
        this.queue.wake();
      },
      tell: (message) => {
        const word = structuredClone(message);
        if (this.#held === undefined) this.queue.told(word);
        else this.#held.push(word);
      },
      clock: () => this.now,
      collect: () => void this.calls.collect++,
    });
  }

  /** What the writer tells from now on is on its way until the answer is called. */
  holdWords(): () => void {
    const held: WriterMessage[] = [];
    this.#held = held;
    return () => {
      this.#held = undefined;
      for (const word of held) this.queue.told(word);
    };
  }

  /** Appends a block of `count` messages, each of which says its number. Answers the first one's; 0: no room. */
  append(count: number, length = 0, session?: SessionMark, source = 1): number {
    const first = this.writer.lastNumber + 1;
    const frames = Array.from({ length: count }, (_, index) => frameFor(first + index, length));
    // Where there is room in front of them they are written without being copied, and nobody may notice.
    const before = Buffer.alloc((first % 3) * 50, 7);
    const bytes = Buffer.concat([before, ...frames]);
    const copy = Buffer.from(bytes);
    const number = this.writer.append(source, 5, bytes, before.length, bytes.length, count, session);
    if (!bytes.equals(copy)) throw new Error("what was appended is not as it was before");
    return number;
  }

  /** Takes the next block: the numbers of its messages. */
  take(): number[] | undefined {
    const block = this.queue.read();
    if (block === undefined) return undefined;
    const numbers = messagesIn(block);
    this.queue.release();
    return numbers;
  }

  /** The message cannot be made safe from a power cut. */
  refused(number: number): boolean {
    return this.writer.refusedSync(number, number) > 0;
  }

  takeAll(look: (block: Block) => void = () => {}): number[] {
    const all: number[] = [];
    for (let block = this.queue.read(); block !== undefined; block = this.queue.read()) {
      look(block);
      all.push(...messagesIn(block));
      this.queue.release();
    }
    return all;
  }

  settle(numbers: number[], how: SettledHow = "delivered"): void {
    this.queue.settle(numbersOf(numbers), how);
  }

  /** What a checkpoint does at last. */
  dropSettled(): number[] {
    const done = this.queue.segmentsToDelete();
    this.queue.dropSegments(done);
    return done;
  }
}
