// One life of everything that writes to the data directory, put together as the spool does it, without clocks or threads.
import { Ledger, receive } from "../../src/observe/ledger.ts";
import { Checkpointer } from "../../src/spool/checkpointer.ts";
import { directoryPaths } from "../../src/spool/dataDirectory.ts";
import { DiskQueue } from "../../src/spool/diskQueue.ts";
import { DiskWriter } from "../../src/spool/diskWriter.ts";
import { type FrameSource, NO_MARK } from "../../src/spool/heldFrame.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import type { EntryEnd, JournalEntry } from "../../src/spool/journal.ts";
import { Journal } from "../../src/spool/journal.ts";
import { ReadFailure } from "../../src/spool/logSegments.ts";
import type { MessageNumbers } from "../../src/spool/numbers.ts";
import type { SettledHow } from "../../src/spool/queue.ts";
import { type Recovered, recover } from "../../src/spool/recover.ts";
import { FrameFault, FrameReader } from "../../src/wire/frame.ts";
import type { FakeFiles } from "../support/fakeFiles.ts";
import { frameOf } from "../support/segments.ts";
import { numbersOf } from "./logFixture.ts";
import { entryOf, MACHINE_ID, Timers } from "./stateFixture.ts";

export const TOPICS = ["a", "b"] as const;
const PATH = "/data";
const SEGMENT = 2048;

/** A message that was taken, and is in no batch. */
interface Pending {
  number: number;
  frame: Buffer;
}

export interface Told {
  /** A message was read: its number and what it says. */
  read: (number: number, value: string) => void;
  lost: (count: number) => void;
}

export class Life {
  readonly recovered: Recovered;
  readonly queue: DiskQueue;
  readonly writer: DiskWriter;
  readonly held: HeldLogs;
  readonly journal: Journal;
  readonly ledger: Ledger;
  /** By topic, ascending. */
  readonly pending = new Map<string, Pending[]>(TOPICS.map((topic) => [topic, []]));
  /** On their way, by topic and partition. */
  readonly open = new Map<string, JournalEntry>();
  readonly #checkpointer: Checkpointer;
  readonly #told: Told;
  readonly #batches = new Map<JournalEntry, Pending[]>();
  readonly #frame = new FrameReader();
  degraded = false;

  constructor(files: FakeFiles, told: Told) {
    const paths = directoryPaths(PATH);
    this.#told = told;
    this.recovered = recover(files, PATH, { machineId: MACHINE_ID, repair: true });
    const { log, held, openEntries, directoryId, checkpoints, topicsSeen, sessions } = this.recovered;
    const { journalOrdinal, journalEnd } = this.recovered;
    this.ledger = new Ledger(100, this.recovered.ledger);
    const lost = (count: number) => {
      this.#book(undefined, count);
      told.lost(count);
    };
    this.queue = new DiskQueue({
      files,
      directory: paths.log,
      start: { ...log, reserved: 0, directoryId },
      capacity: 1 << 16,
      credit: 1 << 10,
      segmentSize: SEGMENT,
      largestBlock: 1 << 12,
      limit: 1 << 30,
      sync: "never",
      onLost: ({ from, to }) => lost(to - from),
      onDamage: () => {},
      onState: (state) => {
        this.degraded = state === "degraded";
      },
      onSyncFailure: () => {},
      onReadFailure: () => {},
      onFull: () => {},
    });
    const { order } = this.queue;
    if (order.kind !== "disk") throw new Error("not a queue on disk");
    this.writer = new DiskWriter({
      order,
      files,
      wake: () => {},
      tell: (message) => this.queue.told(structuredClone(message)),
      clock: () => Number.POSITIVE_INFINITY,
      collect: () => {},
    });
    this.held = new HeldLogs({
      files,
      directory: paths.held,
      directoryId,
      cap: 1 << 30,
      segment: SEGMENT,
      onLost: (topic, count) => {
        this.ledger.topic(topic).discarded += count;
        this.ledger.total.discarded += count;
        told.lost(count);
      },
      now: () => Number.POSITIVE_INFINITY,
    });
    this.held.restore(held);
    this.journal = Journal.open({
      files,
      directory: paths.journal,
      ordinal: journalOrdinal,
      directoryId,
      machineId: MACHINE_ID,
      last: journalEnd,
      carried: openEntries,
      onFailing: () => {},
      wallClock: () => 0,
      later: new Timers().later,
    });
    for (const entry of openEntries) this.#restore(entry);
    const unused = { from: log.previousEnd, to: log.nextNumber };
    this.#checkpointer = new Checkpointer({
      store: checkpoints,
      journal: this.journal,
      snapshot: () => ({
        directoryId,
        machineId: MACHINE_ID,
        log: { read: this.queue.readPosition, head: this.queue.head, unused },
        unsettled: this.queue.unsettledNumbers(),
        settled: this.queue.settledAhead(),
        held: this.held.states(),
        ledger: this.ledger,
        topicsSeen,
        sessions,
      }),
      next: () => this.queue.head.number,
      progress: () => 0,
      hasGarbage: () => false,
      journalNeedsIt: () => false,
      garbage: () => {
        const segments = this.queue.segmentsToDelete();
        const garbage = this.held.garbage();
        return () => {
          this.held.drop(garbage);
          this.queue.dropSegments(segments);
        };
      },
      sync: () => this.held.sync(),
      reserved: log.nextNumber,
      onReserved: (reserved) => this.queue.reserve(reserved),
      onFailing: () => {},
      now: () => 0,
    });
  }

  /** Writes a checkpoint; answers whether it is on disk. */
  checkpoint(clean = false): Promise<boolean> {
    return this.#checkpointer.write(clean);
  }

  async start(): Promise<void> {
    await this.#checkpointer.begin(this.recovered.restated);
  }

  /** Appends a block with these values under a topic each. Answers the number of the first; 0: no room. */
  append(messages: { topic: string; value: string }[]): number {
    const bytes = Buffer.concat(messages.map(({ topic, value }) => frameOf(topic, value)));
    return this.writer.append(0, 5, bytes, 0, bytes.length, messages.length);
  }

  /** Takes the next block. */
  take(): boolean {
    const block = this.queue.read();
    if (block === undefined) return false;
    let number = block.firstNumber;
    for (let at = block.start; at < block.end; number++) {
      const frame = this.#locate(block.bytes, at, block.end);
      if (block.skip?.has(number) !== true) {
        const { topic } = this.#note(number, frame);
        receive(this.ledger.total, 1);
        receive(this.ledger.topic(topic), 1);
      }
      at += frame.length;
    }
    this.queue.release();
    return true;
  }

  /** The topic's first messages go out as a batch. */
  send(topic: string, partition: number, count: number, baseSequence: number): JournalEntry {
    const messages = this.#pendingOf(topic).splice(0, count);
    const numbers = messages.map(({ number }) => number);
    const entry = entryOf(topic, partition, numbers, { baseSequence });
    this.#batches.set(entry, messages);
    this.journal.sending([entry]);
    this.open.set(`${topic} ${partition}`, entry);
    return entry;
  }

  /** A batch comes to its end. */
  end(entry: JournalEntry, how: EntryEnd): void {
    const { topic, partition, numbers } = entry;
    this.open.delete(`${topic} ${partition}`);
    this.journal.ended(topic, partition, how);
    if (how.kind === "returned") {
      for (const message of this.#batches.get(entry) ?? []) this.#wait(topic, message);
      return;
    }
    for (const account of [this.ledger.total, this.ledger.topic(topic)]) {
      if (how.kind === "delivered") account.delivered += numbers.count;
      else account.discarded += numbers.count;
    }
    this.settle(topic, numbers, how.kind);
  }

  /** A message is given up before it was ever sent. */
  discard(topic: string): void {
    const message = this.#pendingOf(topic).shift();
    if (message === undefined) return;
    for (const account of [this.ledger.total, this.ledger.topic(topic)]) account.discarded++;
    this.settle(topic, numbersOf([message.number]), "discarded");
  }

  /** What waits for the topic, and is in no log of its own, moves to one. */
  hold(topic: string): void {
    const log = this.held.open(topic, undefined);
    const all = this.#pendingOf(topic);
    // What came from the log goes back to it; behind that, the others.
    const back = all.filter(({ number }) => log.has(number));
    for (const { number } of back.reverse()) log.untake(number);
    const moving = all.filter(({ number }) => !back.some((each) => each.number === number));
    // Lower numbers than are in its files may not come behind them.
    const waiting = moving.filter(({ number }) => number <= log.last);
    const source = sourceOf(moving.filter((each) => !waiting.includes(each)));
    log.take(source, (numbers) => this.queue.settle(numbers, "moved"));
    this.pending.set(
      topic,
      [...waiting, ...source.left()].sort((a, b) => a.number - b.number),
    );
  }

  /** Messages come back from the topic's log. */
  drain(topic: string, most: number): void {
    let left = most;
    this.held.open(topic, undefined).drain(
      () => left > 0,
      (number, bytes, start, end) => {
        left--;
        this.#note(number, Buffer.from(bytes.subarray(start, end)));
        return true;
      },
    );
  }

  settle(topic: string, numbers: MessageNumbers, how: SettledHow): void {
    this.queue.settle(this.held.settle(topic, numbers, how), how);
  }

  /** Makes a batch again that was on its way; what is not there any more is given up. */
  #restore(entry: JournalEntry): void {
    const { topic, partition, numbers } = entry;
    const found = this.#fetch(topic, numbers);
    const missing: number[] = [];
    numbers.forEach((number) => {
      if (!found.has(number)) missing.push(number);
    });
    const messages = [...found].map(([number, frame]) => ({ number, frame }));
    if (missing.length === 0) {
      this.#batches.set(entry, messages);
      this.open.set(`${topic} ${partition}`, entry);
      return;
    }
    this.journal.ended(topic, partition, { kind: "returned" });
    for (const account of [this.ledger.total, this.ledger.topic(topic)]) account.discarded += missing.length;
    this.#told.lost(missing.length);
    this.settle(topic, numbersOf(missing), "discarded");
    for (const message of messages) this.#wait(topic, message);
  }

  #fetch(topic: string, numbers: MessageNumbers): Map<number, Buffer> {
    const found = new Map<number, Buffer>();
    const visit = (number: number, bytes: Buffer, start: number, end: number) =>
      void found.set(number, Buffer.from(bytes.subarray(start, end)));
    for (let attempt = 0; attempt < 50; attempt++) {
      try {
        this.queue.fetch(numbers, visit);
        this.held.fetch(topic, numbers, visit);
        break;
      } catch (error) {
        if (!(error instanceof ReadFailure)) throw error;
      }
    }
    return found;
  }

  /** Per account and in all: what was received is delivered, discarded, waits, or is on its way. */
  imbalance(): string | undefined {
    const accounts = [...this.ledger.topics()];
    for (const [topic, { received, delivered, discarded }] of accounts) {
      let waits = this.held.open(topic, undefined).count + this.#pendingOf(topic).length;
      for (const entry of this.open.values()) if (entry.topic === topic) waits += entry.numbers.count;
      if (received !== delivered + discarded + waits)
        return `${topic}: received ${received}, delivered ${delivered}, discarded ${discarded}, waiting ${waits}`;
    }
    const { total, noTopic } = this.ledger;
    const sum = accounts.reduce((all, [, { received }]) => all + received, noTopic.received);
    if (sum !== total.received) return `in all ${total.received}, by topic ${sum}`;
    const waiting = this.queue.unsettled - this.queue.unread + this.held.unsettled;
    const unsettled = total.received - total.delivered - total.discarded;
    return waiting === unsettled ? undefined : `the ledger has ${unsettled} unsettled, the logs ${waiting}`;
  }

  /** It is no more: whatever it has under way must not touch a disk any more. */
  kill(): void {
    this.queue.stop().catch(() => {});
  }

  #pendingOf(topic: string): Pending[] {
    return this.pending.get(topic) as Pending[];
  }

  #locate(bytes: Buffer, at: number, end: number): Buffer {
    if (this.#frame.read(bytes, at, end) !== FrameFault.Ok) throw new Error("a bad frame");
    return Buffer.from(bytes.subarray(at, at + this.#frame.size));
  }

  #note(number: number, frame: Buffer): { topic: string } {
    this.#frame.read(frame, 0, frame.length);
    const { topicStart, topicEnd, valueStart, valueEnd } = this.#frame;
    const topic = frame.toString("latin1", topicStart, topicEnd);
    this.#told.read(number, frame.toString("latin1", valueStart, valueEnd));
    this.#wait(topic, { number, frame });
    return { topic };
  }

  #wait(topic: string, message: Pending): void {
    const pending = this.#pendingOf(topic);
    pending.push(message);
    pending.sort((a, b) => a.number - b.number);
  }

  #book(topic: string | undefined, count: number): void {
    const account = topic === undefined ? this.ledger.noTopic : this.ledger.topic(topic);
    for (const each of [this.ledger.total, account]) {
      each.received += count;
      each.discarded += count;
    }
  }
}

function sourceOf(messages: Pending[]): FrameSource & { left(): Pending[] } {
  let rest = messages;
  return {
    get count() {
      return rest.length;
    },
    look(visit) {
      for (const { number, frame } of rest) if (!visit(number, frame, 0, frame.length, NO_MARK)) return;
    },
    drop(count) {
      rest = rest.slice(count);
    },
    left: () => rest,
  };
}
