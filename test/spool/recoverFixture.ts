// A data directory in the middle of everything, the way a crash leaves it, and what must be found in it.
import { expect } from "bun:test";
import type { Account } from "../../src/observe/ledger.ts";
import { CheckpointStore, type LogPosition } from "../../src/spool/checkpoint.ts";
import type { Journal } from "../../src/spool/journal.ts";
import { LogReader } from "../../src/spool/logReader.ts";
import { type Recovered, type RecoverOptions, recover } from "../../src/spool/recover.ts";
import type { RecoveredLog } from "../../src/spool/recoverLogs.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { blockOf } from "../support/segments.ts";
import { DIRECTORY_ID, frameFor, range, readAllOf, setOf } from "./logFixture.ts";
import { accountOf, entryOf, MACHINE_ID, openJournal, stateOf } from "./stateFixture.ts";

const DATA = "/data";
/** Bytes of a value: with it, the world below has 16 KiB. */
const VALUE = 190;

/** Segments of one log. */
class LogWriter {
  readonly #files: FakeFiles;
  readonly #directory: string;
  #writer: SegmentWriter | undefined;
  #ordinal = 0;
  #number = 1;

  constructor(files: FakeFiles, directory: string) {
    files.makeDirectory(directory);
    this.#files = files;
    this.#directory = directory;
  }

  get head(): LogPosition {
    return { number: this.#number, segment: this.#ordinal, offset: this.#writer?.offset ?? 0 };
  }

  /** Begins a segment; the one before is sealed, if it is to be. */
  segment(seal = true, firstNumber = this.#number): void {
    if (seal) this.#writer?.seal();
    this.#writer?.close();
    const start = { directory: this.#directory, ordinal: ++this.#ordinal, firstNumber, directoryId: DIRECTORY_ID };
    this.#writer = SegmentWriter.create(this.#files, { ...start, previousEnd: this.#number });
    this.#number = firstNumber;
  }

  seal(): void {
    this.#writer?.seal();
  }

  /** Writes one block, numbered when the log has gaps. */
  block(numbers: number[], gaps = false, session?: { id: Buffer; position: number }): void {
    const writer = this.#writer as SegmentWriter;
    const frames = numbers.map((number) => frameFor(number, VALUE));
    const fields = { firstNumber: numbers[0] as number, session: session?.id, position: session?.position ?? 0 };
    const bytes = blockOf(writer.seed, frames, fields, gaps ? numbers : undefined);
    writer.append(bytes, 0, bytes.length);
    this.#number = (numbers.at(-1) as number) + 1;
  }

  close(): void {
    this.#writer?.close();
  }
}

export class World {
  readonly files: FakeFiles;
  readonly main: LogWriter;
  readonly checkpoints: CheckpointStore;

  constructor(seed = 1) {
    this.files = new FakeFiles(seed);
    for (const name of ["log", "held", "journal", "quarantine"]) this.files.makeDirectory(`${DATA}/${name}`);
    this.main = new LogWriter(this.files, `${DATA}/log`);
    this.checkpoints = new CheckpointStore(this.files, DATA, () => 5000);
  }

  held(name: string): LogWriter {
    return new LogWriter(this.files, `${DATA}/held/${name}`);
  }

  journal(): Journal {
    return openJournal(this.files, { directory: `${DATA}/journal` });
  }

  recover(options: Partial<RecoverOptions> = {}): Recovered {
    return recover(this.files, DATA, { machineId: MACHINE_ID, repair: true, ...options });
  }
}

/** The ledger of a checkpoint: received, delivered and rejected by the broker, by topic. */
function ledgerOf(topics: Record<string, [received: number, delivered: number, discarded: number]>) {
  const accounts = Object.entries(topics).map(([name, [received, delivered, discarded]]): [string, Account] => {
    const account = accountOf(received, delivered);
    if (discarded > 0) account.discardsByReason.set("rejected_by_broker", discarded);
    return [name, { ...account, discarded }];
  });
  const total = accountOf();
  for (const [, { received, delivered, discarded }] of accounts) {
    total.received += received;
    total.delivered += delivered;
    total.discarded += discarded;
    const rejected = (total.discardsByReason.get("rejected_by_broker") ?? 0) + discarded;
    if (rejected > 0) total.discardsByReason.set("rejected_by_broker", rejected);
  }
  return { total, noTopic: accountOf(), topics: () => accounts };
}

/**
 * Forty messages in three segments of the main log, those of the topic "thirds" (the multiples of three) in a held log
 * as far as they were taken, two checkpoints, and the journals behind them.
 */
export async function eventfulWorld(): Promise<World> {
  const world = new World();
  const { main, checkpoints } = world;
  main.segment();
  for (const first of [1, 5, 9]) main.block(range(first, first + 4));
  const thirds = world.held("thirds");
  thirds.segment();
  thirds.block([3, 6, 9, 12], true);
  const journal = world.journal();
  journal.sending([entryOf("others", 0, [7, 8])]);
  await checkpoints.write(
    stateOf({
      journal: journal.rotate(),
      log: { read: main.head, head: main.head },
      unsettled: setOf([7, 8, 10, 11]),
      held: [heldState({ read: { number: 1, segment: 0, offset: 0 }, head: thirds.head, unread: 4 })],
      ledger: ledgerOf({ others: [8, 4, 0], thirds: [4, 0, 0] }),
    }),
  );
  const behindFirstHeld = thirds.head;

  main.segment();
  for (const first of [13, 17, 21]) main.block(range(first, first + 4));
  journal.sending([entryOf("others", 1, [10, 11]), entryOf("thirds", 0, [3])]);
  journal.sending([entryOf("others", 0, [13, 14]), entryOf("others", 2, [16, 17])]);
  journal.ended("others", 2, { kind: "discarded", reason: "rejected_by_broker" });
  journal.ended("thirds", 0, { kind: "delivered" });
  thirds.block([15, 18], true);
  main.segment();
  for (const first of [25, 29]) main.block(range(first, first + 4));
  await checkpoints.write(
    stateOf({
      journal: journal.rotate(),
      log: { read: { number: 25, segment: 3, offset: 64 }, head: main.head },
      unsettled: setOf([10, 11, 13, 14, 19, 20, 21, 22, 23, 24]),
      held: [
        heldState({
          read: { ...behindFirstHeld, number: 13 },
          head: thirds.head,
          unread: 2,
          unsettled: setOf([6, 9, 12]),
        }),
      ],
      ledger: ledgerOf({ others: [16, 6, 2], thirds: [8, 1, 0] }),
      topicsSeen: ["others"],
    }),
  );

  for (const first of [33, 37]) main.block(range(first, first + 4));
  journal.sending([entryOf("thirds", 0, [6, 9]), entryOf("others", 2, [19, 20]), entryOf("others", 3, [25, 26])]);
  journal.ended("others", 1, { kind: "delivered" });
  journal.sending([entryOf("thirds", 0, [12]), entryOf("others", 3, [28, 29])]);
  thirds.segment();
  thirds.block([21, 24, 27], true);
  main.close();
  thirds.close();
  journal.close();
  checkpoints.close();
  return world;
}

/** What there is to be found in it. */
export const EVENTFUL = {
  delivered: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 25, 26],
  discarded: [16, 17],
  open: [12, 13, 14, 19, 20, 28, 29],
  held: [15, 18, 21, 24, 27],
  main: [22, 23, ...range(30, 41)],
};

export function heldState(more: object) {
  const none = { settled: setOf([]), unsettled: setOf([]) };
  const state = { name: "thirds", topic: "thirds", partition: null, reason: "missing", unread: 0, ...none };
  return { ...state, read: { number: 0, segment: 0, offset: 0 }, head: { number: 0, segment: 0, offset: 0 }, ...more };
}

export interface Outcome {
  main: number[];
  held: number[];
  open: number[];
  /** Of the main log, by number. */
  lost: number[];
  /** Of held logs, found out when they were read. */
  heldLost: number;
}

/** Reads all logs to their ends, the way their owners do. */
export function readAll(files: FakeFiles, recovered: Recovered): Outcome {
  const { log, held, openEntries } = recovered;
  const outcome: Outcome = { main: [], held: [], open: [], lost: [], heldLost: 0 };
  for (const { numbers } of openEntries) numbers.forEach((number) => void outcome.open.push(number));
  const read = (each: RecoveredLog, directory: string, end: number, gaps: boolean) => {
    const last = each.segments.at(-1);
    const reader = new LogReader({
      files,
      directory,
      segments: each.segments,
      at: each.read,
      again: each.again,
      skip: each.skip,
      gaps,
      head: () => ({ number: end, segment: last?.ordinal ?? 0, offset: last?.size ?? 0 }),
      onDamage: () => {},
      onLost: ({ from, to }) => (gaps ? undefined : outcome.lost.push(...range(from, to))),
    });
    return readAllOf(reader);
  };
  outcome.main = read(log, `${DATA}/log`, log.previousEnd, false);
  for (const each of held) {
    const found = read(each, `${DATA}/held/${each.name}`, (each.segments.at(-1)?.end ?? 0) + 0, true);
    outcome.held.push(...found);
    outcome.heldLost += each.unread - found.length;
  }
  const sort = (numbers: number[]) => numbers.sort((a, b) => a - b);
  for (const list of [outcome.main, outcome.held, outcome.open, outcome.lost]) sort(list);
  return outcome;
}

/** The files of a world, by path, to begin others from. */
export function filesOf({ files }: World): Map<string, Buffer> {
  const directories = ["", "/log", "/held/thirds", "/journal"].map((name) => DATA + name);
  const paths = directories.flatMap((directory) => files.list(directory).map((name) => `${directory}/${name}`));
  return new Map(paths.filter((path) => path.includes(".")).map((path) => [path, contentOf(files, path)]));
}

/** Of a journal with little of the room behind its entries: zeros that are all alike. */
function contentOf(files: FakeFiles, path: string): Buffer {
  const bytes = Buffer.from(files.content(path));
  if (!path.endsWith(".journal")) return bytes;
  return bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 32);
}

/** A world with these files. */
export function worldOf(files: Map<string, Buffer>): World {
  const world = new World();
  for (const [path, bytes] of files) world.files.put(path, bytes);
  return world;
}

/** All of them in the long form of a test, which BRUCE_LONG=1 asks for; else one of `step`, and those near the ends. */
export function some(count: number, step: number): number[] {
  const all = Array.from({ length: count }, (_, index) => index);
  if (process.env.BRUCE_LONG === "1") return all;
  return all.filter((index) => index < 4 || index >= count - 4 || index % step === 0);
}

/** Per account: received = delivered + discarded + what waits, where what is read from the main log comes later. */
export function expectBalance({ ledger, held, openEntries }: Recovered): void {
  const waits = (topic: string) =>
    held.reduce((sum, log) => sum + (log.topic === topic ? log.unread : 0), 0) +
    openEntries.reduce((sum, entry) => sum + (entry.topic === topic ? entry.numbers.count : 0), 0);
  const sum = { received: 0, delivered: 0, discarded: 0 };
  const accounts: [string, Account][] = [...ledger.topics(), ["", ledger.noTopic]];
  for (const [topic, account] of accounts) {
    expect([topic, account.received]).toEqual([topic, account.delivered + account.discarded + waits(topic)]);
    expect([...account.discardsByReason.values()].reduce((a, b) => a + b, 0)).toBe(account.discarded);
    sum.received += account.received;
    sum.delivered += account.delivered;
    sum.discarded += account.discarded;
  }
  expect(ledger.total).toMatchObject(sum);
}
