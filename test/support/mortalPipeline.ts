// A delivery side that can be killed at any moment, with what outlives it: the messages, the journal and the broker.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Settings } from "../../src/config/settings.ts";
import type { DeliveryJournal } from "../../src/deliver/deliveryJournal.ts";
import type { RestoreParts } from "../../src/deliver/restore.ts";
import { type DevBroker, type DevBrokerOptions, startDevBroker } from "../../src/dev/devBroker.ts";
import type { DiscardReason } from "../../src/observe/discards.ts";
import { type Books, Ledger, receive } from "../../src/observe/ledger.ts";
import { createLogger } from "../../src/observe/log.ts";
import { type Pipeline, startPipeline } from "../../src/pipeline.ts";
import { emptyBlock } from "../../src/spool/block.ts";
import { type Files, nodeFiles } from "../../src/spool/files.ts";
import { Journal, type JournalEntry } from "../../src/spool/journal.ts";
import { replayJournal } from "../../src/spool/journalReplay.ts";
import type { QueueReader } from "../../src/spool/queue.ts";
import { frameOf, quickSettings, type TestMessage } from "./testPipeline.ts";

/** What a start finds when it looks at what the last run left; a test may falsify it. */
export interface Found {
  entries: JournalEntry[];
  bound: boolean;
  topicsSeen: string[];
  fetch: RestoreParts["fetch"];
  /** What is in the entries counts as received, and as nothing else. */
  books: Books;
}

/** One life of the process. */
export interface Life {
  pipeline: Pipeline;
  discards: { topic: string | undefined; count: number; reason: DiscardReason }[];
  /** Ends it as kill -9 does: nothing more is written, to disk or broker, but what is in a socket still arrives. */
  kill(): void;
  /** Resolves when every message appended so far is settled. */
  settled(): Promise<void>;
  /** Has it killed after so many more journal entries, before their batches are sent; resolves then. */
  killAtEntry(count: number): Promise<void>;
  /** As a checkpoint does: what is settled by now is known for good, and the journal begins a new file. */
  checkpoint(): void;
  journal: Pick<Journal, "failing">;
  log(): string;
}

export interface Mortal {
  broker: DevBroker;
  append(...messages: TestMessage[]): void;
  /** The same for messages that the disk refused: the end of this life takes them with it. */
  appendInMemory(...messages: TestMessage[]): void;
  /** Starts it, or starts it again. `change`: its settings; `falsify`: what it is told of the last life. */
  live(change?: (settings: Settings) => void, falsify?: (found: Found) => void): Life;
  /** While it is true, the disk takes nothing. */
  diskFull: boolean;
  /** Bytes of a message are gone from the log. */
  lose(number: number): void;
  /** Remembers what is on the disk now. What it answers, called after a life, has all that came since not be there. */
  powerCut(): () => void;
  /** What the journal says is open. */
  open(): JournalEntry[];
  values(topic?: string, partition?: number): string[];
  [Symbol.asyncDispose](): Promise<void>;
}

const IDS = { directoryId: "d".repeat(32), machineId: "e".repeat(32) };

export async function mortal(brokerOptions: DevBrokerOptions = {}): Promise<Mortal> {
  const broker = await startDevBroker(brokerOptions);
  const directory = mkdtempSync(join(tmpdir(), "bruce-mortal-"));
  /** The log: message n is at n - 1; undefined when it is damaged. */
  const frames: (Buffer | undefined)[] = [];
  /** Numbers of those that are in memory alone. */
  const alone = new Set<number>();
  let known = { journal: 0, settled: new Set<number>(), topicsSeen: [] as string[] };
  let life: Life | undefined;
  let wake = () => {};

  const replay = (settled: Set<number>) =>
    replayJournal(nodeFiles, directory, known.journal, ({ numbers }) => numbers.forEach((n) => void settled.add(n)));

  function live(change: (settings: Settings) => void = () => {}, falsify: (found: Found) => void = () => {}): Life {
    life?.kill();
    const settings = quickSettings();
    settings.kafka.brokers = broker.addresses;
    change(settings);
    const settled = new Set(known.settled);
    const { open: left, lastOrdinal, repeated, header, end } = replay(settled);
    // As recovery does: one of which a checkpoint knows that it is over.
    const open = left.filter(({ numbers }) => !listOf(numbers).some((number) => settled.has(number)));
    let dead = false;
    let entriesLeft = Number.POSITIVE_INFINITY;
    let killed = () => {};
    let text = "";
    const discards: Life["discards"] = [];
    const log = createLogger({ level: "debug", format: "json", file: "" }, { write: (line) => (text += line) });
    const write: Files["write"] = (fd, bytes, start, end, at) => {
      if (dead) return end - start;
      if (it.diskFull) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
      return nodeFiles.write(fd, bytes, start, end, at);
    };
    const journal = Journal.open({
      files: { ...nodeFiles, write },
      directory,
      ordinal: lastOrdinal + 1,
      ...IDS,
      last: header?.ordinal === lastOrdinal ? { header, end } : undefined,
      carried: open,
      onFailing: (why) => {
        if (why !== undefined && !dead && !it.diskFull) throw new Error(why);
      },
      wallClock: Date.now,
    });
    const openOf = (topic: string, partition: number) =>
      journal.openEntries().find((entry) => entry.topic === topic && entry.partition === partition);
    const watched: DeliveryJournal = {
      get failures() {
        return journal.failures;
      },
      get failing() {
        return journal.failing;
      },
      sending(entries) {
        if (dead) return true;
        for (const { topic, partition, numbers } of entries)
          if (!(openOf(topic, partition)?.numbers.equals(numbers) ?? true))
            throw new Error(`nothing was said of the open entry of ${topic} ${partition}`);
        const written = journal.sending(entries);
        entriesLeft -= entries.length;
        if (entriesLeft <= 0) kill();
        return written;
      },
      ended(topic, partition, how) {
        if (dead) return;
        if (!openOf(topic, partition)) throw new Error(`there is no open entry of ${topic} ${partition}`);
        journal.ended(topic, partition, how);
      },
    };
    const queue = logQueue(frames, alone, settled, open, () => dead);
    wake = queue.wake;
    const fetch: Found["fetch"] = (_topic, numbers, visit) =>
      numbers.forEach((number) => {
        const frame = frames[number - 1];
        if (frame !== undefined) visit(number, frame, 0, frame.length);
      });
    const found: Found = {
      entries: open,
      bound: true,
      topicsSeen: known.topicsSeen,
      fetch,
      books: booksOf(open, repeated),
    };
    falsify(found);
    const pipeline = startPipeline({
      settings,
      queue,
      log,
      onDiscard: (topic, count, reason) => void (dead || discards.push({ topic, count, reason })),
      journal: watched,
      hold: { times: { gone: 20, every: 5 } },
      restored: found,
    });
    function kill() {
      if (dead) return;
      dead = true;
      pipeline.stop();
      journal.close();
      for (const number of alone) frames[number - 1] = undefined;
      alone.clear();
      killed();
    }
    life = {
      pipeline,
      discards,
      journal,
      kill,
      async settled() {
        const is = (frame: Buffer | undefined, index: number) => frame === undefined || settled.has(index + 1);
        while (!frames.every(is)) await Bun.sleep(1);
      },
      killAtEntry(count) {
        entriesLeft = count;
        return new Promise((resolve) => {
          killed = resolve;
        });
      },
      checkpoint() {
        const topicsSeen = pipeline.cluster.topicsSeen();
        known = { journal: journal.rotate(), settled: new Set(settled), topicsSeen };
        journal.removeBefore(known.journal);
      },
      log: () => text,
    };
    return life;
  }

  const it: Mortal = {
    broker,
    diskFull: false,
    append(...messages) {
      for (const message of messages) frames.push(frameOf(message));
      wake();
    },
    appendInMemory(...messages) {
      for (const message of messages) alone.add(frames.push(frameOf(message)));
      wake();
    },
    live,
    lose(number) {
      frames[number - 1] = undefined;
    },
    powerCut() {
      const count = frames.length;
      const then = known;
      const files = readdirSync(directory).map((name) => ({ name, bytes: readFileSync(join(directory, name)) }));
      return () => {
        frames.length = count;
        known = then;
        for (const name of readdirSync(directory)) rmSync(join(directory, name));
        for (const { name, bytes } of files) writeFileSync(join(directory, name), bytes);
      };
    },
    open: () => replay(new Set()).open,
    values: (topic = "t", partition) =>
      broker.records(topic, partition).map(({ value }) => value?.toString() ?? "(null)"),
    async [Symbol.asyncDispose]() {
      life?.kill();
      await broker.stop();
      rmSync(directory, { recursive: true });
    },
  };
  return it;
}

function listOf(numbers: JournalEntry["numbers"]): number[] {
  const list: number[] = [];
  numbers.forEach((number) => void list.push(number));
  return list;
}

function booksOf(entries: readonly JournalEntry[], repeated: ReadonlyMap<string, number>): Books {
  const books = new Ledger(entries.length + repeated.size);
  for (const [topic, count] of repeated)
    for (const account of [books.total, books.topic(topic)]) account.possibleDuplicates += count;
  for (const { topic, numbers } of entries)
    for (const account of [books.total, books.topic(topic)]) receive(account, numbers.count);
  return books;
}

/** Messages in a block at most. */
const BLOCK = 50;

/** Hands out what is not settled and not in an open entry, by number; each must be settled once. */
function logQueue(
  frames: readonly (Buffer | undefined)[],
  alone: ReadonlySet<number>,
  settled: Set<number>,
  open: readonly JournalEntry[],
  dead: () => boolean,
): QueueReader & { wake: () => void } {
  const waiting = new Set<number>();
  for (const { numbers } of open) numbers.forEach((number) => void waiting.add(number));
  const skip = new Set([...settled, ...waiting]);
  const block = emptyBlock(Buffer.alloc(0));
  let next = 1;
  let taken = 0;
  let onReadable = () => {};
  const isToRead = (number: number) => number <= frames.length && !skip.has(number) && frames[number - 1] !== undefined;
  return {
    read() {
      if (dead()) return undefined;
      while (next <= frames.length && !isToRead(next)) next++;
      const first = next;
      while (next < first + BLOCK && isToRead(next)) waiting.add(next++);
      if (next === first) return undefined;
      taken += next - first;
      const bytes = Buffer.concat(frames.slice(first - 1, next - 1) as Buffer[]);
      Object.assign(block, { firstNumber: first, count: next - first, live: next - first });
      return Object.assign(block, { bytes, start: 0, end: bytes.length });
    },
    release() {},
    onReadable(callback) {
      onReadable = callback;
    },
    settle(numbers) {
      if (dead()) return;
      numbers.forEach((number) => {
        if (!waiting.delete(number)) throw new RangeError(`message ${number} is settled twice, or was never read`);
        settled.add(number);
      });
    },
    seams(numbers) {
      const kinds: boolean[] = [];
      numbers.forEach((number) => void kinds.push(alone.has(number)));
      return [...kinds.keys()].filter((index) => index > 0 && kinds[index] !== kinds[index - 1]);
    },
    wake: () => onReadable(),
    get written() {
      return frames.length;
    },
    get taken() {
      return taken;
    },
    get settled() {
      return settled.size;
    },
    get unread() {
      return frames.length - next + 1;
    },
    get unsettled() {
      return frames.length - settled.size;
    },
    bytesWaiting: 0,
    writerWaits: false,
  };
}
