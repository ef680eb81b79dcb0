// Puts together, at a start, what the data directory says: where each log stands, what is on its way, and the books.
//
// What holds, whatever is in the files:
// - It answers. What cannot be read is told of as a problem, and set aside as far as the disk lets it.
// - A message that is unsettled is in one log only, and is read from it again, or is in an open entry.
// - In the ledger is what was settled, what is in open entries and what is in held logs. Messages of the main log are
//   received when they are read, also if they were read before the stop; those that are lost are received as they are discarded.
import { randomBytes } from "node:crypto";
import type { Log } from "../observe/log.ts";
import {
  type Checkpoint,
  type CheckpointState,
  CheckpointStore,
  type LedgerState,
  type LogPosition,
  type LogState,
  type SessionState,
} from "./checkpoint.ts";
import { directoryPaths } from "./dataDirectory.ts";
import { codeOf, type Files, readWhole } from "./files.ts";
import type { JournalEntry } from "./journal.ts";
import type { JournalEnd } from "./journalFile.ts";
import type { JournalHeader } from "./journalFormat.ts";
import { type Replay, replayJournal } from "./journalReplay.ts";
import { NumberSet } from "./numberSet.ts";
import { setFileAside } from "./quarantine.ts";
import { type FoundHeld, findHeldLogs } from "./recoverHeld.ts";
import { RecoveredLedger } from "./recoverLedger.ts";
import { type RecoveredHeld, type RecoveredLog, recoveredHeld, recoveredLog } from "./recoverLogs.ts";
import { assignOwners, type Changes, type Fact, type LogChanges } from "./recoverOwners.ts";
import { type FoundSegments, findSegments, passes, type RecoveryProblem } from "./recoverSegments.ts";
import { listSegments, openSegment } from "./scan.ts";
import { isLater } from "./sessions.ts";

export interface RecoveredMain extends RecoveredLog {
  /** The number of the next message. */
  nextNumber: number;
  /** The numbers from here up to `nextNumber` were never used (see SegmentHeader). */
  previousEnd: number;
}

export interface Recovered {
  directoryId: string;
  /** A graceful stop was the last thing that happened. */
  clean: boolean;
  /** This machine and this directory wrote the open entries: their producer ids are ours. */
  bindingOk: boolean;
  log: RecoveredMain;
  held: RecoveredHeld[];
  openEntries: JournalEntry[];
  /** Of the next journal file. */
  journalOrdinal: number;
  /** The journal's newest file, if it is sound and ours. */
  journalEnd: JournalEnd | undefined;
  ledger: LedgerState;
  topicsSeen: string[];
  sessions: SessionState[];
  /**
   * What the newest checkpoint said, as it holds for this start as well, but for numbers to be reserved: nothing has to be
   * made safe from a power cut for it. Undefined without one.
   */
  restated: Omit<CheckpointState, "reserved"> | undefined;
  /** What was not as it should be, in the order it was found. */
  problems: RecoveryProblem[];
  /** Knows the slots already, and writes over the older one. */
  checkpoints: CheckpointStore;
}

export interface RecoverOptions {
  /** See DirectoryLock. */
  machineId: string;
  /** False: only looks, and changes nothing. For that the lock is not needed. */
  repair: boolean;
  log?: Pick<Log, "warn">;
}

/** Numbers that are passed over when nobody knows how many were given away beyond those that were found. */
const UNKNOWN_RESERVE = 2 ** 24;
/** As many as are remembered at all; the newest count. */
const MAX_SESSIONS = 10_000;
const BEGINNING: LogPosition = { number: 0, segment: 0, offset: 0 };

/**
 * Throws only when the directory itself cannot be read, or (to `repair`) some file in it for a reason that passes, like its
 * owner: to go on without would be to lose, or to repeat, what is whole.
 */
export function recover(files: Files, path: string, { machineId, repair, log: lines }: RecoverOptions): Recovered {
  const problems: RecoveryProblem[] = [];
  const onProblem = (problem: RecoveryProblem) => {
    problems.push(problem);
    lines?.warn("something in the data directory was not as it should be", { ...problem });
  };
  let refused: string | undefined;
  const onRefused = (why: string) => {
    refused ??= why;
  };
  const paths = directoryPaths(path);
  const checkpoints = new CheckpointStore(files, path);
  if (repair) {
    for (const slot of checkpoints.paths)
      if (!makeWay(files, slot, paths.quarantine, onRefused))
        onProblem({ path: slot, from: 0, to: 0, why: "it was no file, and was set aside" });
  }
  const { checkpoint, damaged } = checkpoints.load();
  for (const slot of damaged) onProblem({ path: slot, from: 0, to: 0, why: "this slot of the checkpoint is damaged" });

  const directoryId = checkpoint?.directoryId ?? knownId(files, paths.log) ?? randomBytes(16).toString("hex");
  const search = { files, quarantine: paths.quarantine, directoryId, repair, onProblem, onRefused };
  const sessions = new Map(checkpoint?.sessions.map(([session, ...rest]) => [session, rest]));
  const noteSession = (session: string, position: number, lastAt: number) => {
    const known = sessions.get(session);
    if (known === undefined || isLater(position, lastAt, known)) sessions.set(session, [position, lastAt]);
  };

  const found = findSegments({
    ...search,
    directory: paths.log,
    state: checkpoint?.log,
    gaps: false,
    onBlock: ({ position, count, receivedAt }, session) => {
      if (session !== "") noteSession(session, position + count, receivedAt);
    },
  });
  for (const { index } of found.segments)
    for (const [session, end] of index?.sessions ?? []) noteSession(session, end.position, end.receivedAt);
  const held = findHeldLogs({
    ...search,
    directory: paths.held,
    states: checkpoint?.held ?? [],
    onDamage: (path, from, to) =>
      lines?.warn("held messages are damaged: they count as lost at the latest when the others are delivered", {
        ...{ path, from, to },
      }),
  });

  const facts: Fact[] = [];
  const replay = replayJournal(files, paths.journal, checkpoint?.journal ?? 0, (entry, how) =>
    facts.push({ entry, how }),
  );
  for (const { code, ...problem } of replay.problems) {
    onProblem(problem);
    if (passes(code)) onRefused(problem.why);
  }
  if (repair && refused !== undefined) throw new Error(`${refused}; ${adviceFor(refused)}`);
  for (const entry of replay.open) facts.push({ entry, how: "open" });

  const unsettled = checkpoint?.unsettled ?? new NumberSet();
  const settled = checkpoint?.settled ?? new NumberSet();
  // Without a checkpoint nobody knows whether the messages before the first segment were settled: it was deleted for that.
  const beginning = { ...BEGINNING, number: found.segments[0]?.firstNumber ?? 1 };
  const { read, head } = checkpoint?.log ?? { read: beginning, head: BEGINNING };
  const main = { read, head, unsettled, settled };
  const changes = assignOwners({ files, main, held, checkpointed: checkpoint !== undefined }, facts);

  const openEntries = keepWhole(replay.open, facts, changes);

  const ledger = new RecoveredLedger(checkpoint?.ledger);
  for (const [fact, count] of changes.counts) ledger.settle(fact, count);
  for (const [topic, count] of replay.repeated) ledger.repeat(topic, count);
  const heldLogs = held.map((each, index) => recoveredHeld(files, each, changes.held[index] as LogChanges, ledger));

  const numbers = nextNumbers(checkpoint, found, held, facts);
  const log = recoveredLog(found, main, changes.main);
  const passedOver = numbersPassedOver(log, checkpoint?.log.unused, numbers.log.previousEnd);
  if (passedOver !== undefined) log.skip.addRange(...passedOver);
  return {
    directoryId,
    clean: numbers.clean,
    bindingOk: isBound(checkpoint, replay.header, directoryId, machineId),
    log: { ...log, ...numbers.log },
    held: heldLogs,
    openEntries,
    journalOrdinal: replay.lastOrdinal + 1,
    journalEnd: journalEnd(replay, directoryId, machineId),
    ledger,
    topicsSeen: checkpoint?.topicsSeen ?? [],
    sessions: [...sessions]
      .map(([session, [position, lastAt]]): SessionState => [session, position, lastAt])
      .sort(([, , a], [, , b]) => b - a)
      .slice(0, MAX_SESSIONS),
    restated: checkpoint && restate(checkpoint, numbers.log, passedOver),
    problems,
    checkpoints,
  };
}

/** What is no file and stands in the place of one is moved away, since it could never be written: false then. */
function makeWay(files: Files, path: string, quarantine: string, onRefused: (why: string) => void): boolean {
  try {
    readWhole(files, path, 1);
  } catch (error) {
    const code = codeOf(error);
    if (passes(code)) onRefused(error instanceof Error ? error.message : String(error));
    if (code === "EISDIR") return !setFileAside(files, quarantine, path, 0);
  }
  return true;
}

function adviceFor(why: string): string {
  const ours = why.includes("EACCES") || why.includes("EPERM");
  const id = process.getuid?.() ?? "unknown";
  return ours
    ? `give its owner or mode back to this user (id ${id}), and start again`
    : "start again when there is more";
}

/**
 * The open entries whose messages are all unsettled still. Any other is one that ended, and whose end is not readable any
 * more: what of it is unsettled is read again like anything else.
 */
function keepWhole(open: readonly JournalEntry[], facts: readonly Fact[], changes: Changes): JournalEntry[] {
  const whole = new Set(open);
  for (const fact of facts) {
    if (fact.how !== "open" || changes.counts.get(fact) === fact.entry.numbers.count) continue;
    whole.delete(fact.entry);
    changes.counts.delete(fact);
    fact.entry.numbers.forEach((number) => {
      for (const { open } of [changes.main, ...changes.held]) open.delete(number);
    });
  }
  return [...whole];
}

/** The number that the next message gets: one that no message ever had. */
function nextNumbers(
  checkpoint: Checkpoint | undefined,
  found: FoundSegments,
  held: readonly FoundHeld[],
  facts: readonly Fact[],
): { clean: boolean; log: Pick<RecoveredMain, "nextNumber" | "previousEnd"> } {
  let known = Math.max(found.end, found.claimedEnd);
  for (const { entry } of facts) known = Math.max(known, entry.numbers.last + 1);
  for (const log of held) known = Math.max(known, log.found.end, log.state.head.number);
  if (checkpoint === undefined) {
    const previousEnd = Math.max(known, 1);
    return { clean: false, log: { previousEnd, nextNumber: known === 0 ? 1 : known + UNKNOWN_RESERVE } };
  }
  const { log, unsettled, settled, reserved } = checkpoint;
  for (const last of [unsettled.last, settled.last]) if (last !== undefined) known = Math.max(known, last + 1);
  // Numbers that the last run passed over are no messages, if it got no further.
  const { from, to } = log.unused ?? { from: 0, to: 0 };
  const passedOver = log.head.number === to && log.read.number <= to && known <= from;
  const previousEnd = passedOver ? Math.max(known, from) : Math.max(known, log.head.number, log.read.number);
  const clean =
    checkpoint.clean && Math.max(previousEnd, to) === log.head.number && found.lastOrdinal <= log.head.segment;
  const nextNumber = clean ? log.head.number : Math.max(previousEnd, reserved);
  return { clean, log: { previousEnd, nextNumber } };
}

/** Numbers that the last run passed over, when the segment whose header says that is not there any more: [from, to). */
function numbersPassedOver(
  { segments, read }: RecoveredLog,
  unused: LogState["unused"],
  previousEnd: number,
): [number, number] | undefined {
  if (unused === undefined || unused.to > previousEnd || read.number >= unused.to) return undefined;
  if (segments.some(({ firstNumber }) => firstNumber >= unused.to)) return undefined;
  return [Math.max(unused.from, read.number), unused.to];
}

/**
 * The checkpoint, for a start that goes on at `nextNumber`. All that it refers to was made safe before it was written. What came
 * behind it the next start finds as this one did: no file goes before a checkpoint of this run is on disk.
 */
function restate(
  { generation: _, writtenAt: __, reserved: ___, ...state }: Checkpoint,
  { previousEnd, nextNumber }: Pick<RecoveredMain, "previousEnd" | "nextNumber">,
  passedOver: [number, number] | undefined,
): Omit<CheckpointState, "reserved"> {
  const { read, head } = state.log;
  const settled = new NumberSet();
  state.settled.forEachRange((from, to) => settled.addRange(from, to));
  if (passedOver !== undefined) settled.addRange(...passedOver);
  const log = { read, head: { ...head, number: nextNumber }, unused: { from: previousEnd, to: nextNumber } };
  return { ...state, clean: false, log, settled };
}

function journalEnd({ header, end, lastOrdinal }: Replay, directoryId: string, machineId: string) {
  const isOurs = header?.directoryId === directoryId && header.machineId === machineId;
  return isOurs && header.ordinal === lastOrdinal ? { header, end } : undefined;
}

function isBound(
  checkpoint: Checkpoint | undefined,
  journal: JournalHeader | undefined,
  directoryId: string,
  machineId: string,
): boolean {
  if (checkpoint !== undefined && checkpoint.machineId !== machineId) return false;
  return journal === undefined || (journal.machineId === machineId && journal.directoryId === directoryId);
}

/** What the directory is called by its newest segment. */
function knownId(files: Files, log: string): string | undefined {
  for (const { path } of listSegments(files, log).reverse()) {
    const opened = openSegment(files, path);
    if ("problem" in opened) continue;
    files.close(opened.fd);
    return opened.header.directoryId;
  }
  return undefined;
}
