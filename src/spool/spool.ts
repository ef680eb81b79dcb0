// The disk buffer as one: what a start finds, the queue, the held logs, the journal and the checkpoints, put together.
import type { Settings } from "../config/settings.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { Log } from "../observe/log.ts";
import { rateLimited } from "../observe/logLimit.ts";
import type { HeldLogStatus, SpoolReport } from "../observe/status.ts";
import type { LedgerState } from "./checkpoint.ts";
import { Checkpointer, type Snapshot } from "./checkpointer.ts";
import { type DirectoryLock, type DirectoryProblem, openDataDirectory } from "./dataDirectory.ts";
import { DiskQueue } from "./diskQueue.ts";
import type { Files } from "./files.ts";
import { nodeFiles } from "./files.ts";
import type { FrameMark } from "./heldFrame.ts";
import { HeldLogs } from "./heldLogs.ts";
import { Journal } from "./journal.ts";
import { journalRoom, largestBlock, logLimit, segmentSize } from "./limits.ts";
import type { LogDamage } from "./logReader.ts";
import { NumberSet } from "./numberSet.ts";
import { MessageNumbers } from "./numbers.ts";
import { quarantinedBytes, setAside } from "./quarantine.ts";
import { Receipts } from "./receipts.ts";
import { type Recovered, recover } from "./recover.ts";

export interface SpoolParts {
  settings: Settings["buffer"];
  log: Log;
  /** Bytes between the threads while the disk refuses. */
  ringCapacity: number;
  files?: Files;
}

/** What the spool has to know of those who use it, once they are there. */
export interface SpoolUsers {
  ledger: LedgerState;
  topicsSeen: () => string[];
  /** Messages that are in no file any more, under no topic: they are received and discarded in one. */
  lost: (count: number, reason: DiscardReason) => void;
  /** The same of a held topic's, which were received. */
  lostOf: (topic: string, count: number) => void;
}

/** How often to look what is due. Milliseconds. */
const TURN = 250;
/** How often the volume is asked for its free space, and what waits is written down when `sync` says nothing. Milliseconds. */
const LOOK = 1000;
/** What two journal files have at least, beside room for more; with some entries. Bytes. */
const JOURNAL_HEADERS = 4096;
/** Between two lines about the same trouble. Milliseconds. */
const LOG_INTERVAL = 60_000;

/** Opens the data directory and takes over what is there. Nothing is written to a log yet. */
export function openSpool(parts: SpoolParts): { spool: Spool } | { problem: DirectoryProblem } {
  const { settings, log, files = nodeFiles } = parts;
  const opened = openDataDirectory(settings.path, files);
  if ("problem" in opened) return opened;
  try {
    const { machineId } = opened.lock;
    const recovered = recover(files, settings.path, { machineId, repair: true, log });
    return { spool: new Spool(parts, files, opened.lock, recovered) };
  } catch (error) {
    opened.lock.release();
    const why = error instanceof Error ? error.message : String(error);
    const message = `the data directory ${settings.path} (buffer.path) cannot be read: ${why}`;
    return { problem: { kind: "unusable", message } };
  }
}

export class Spool {
  readonly queue: DiskQueue;
  readonly held: HeldLogs;
  readonly journal: Journal;
  readonly receipts: Receipts;
  readonly recovered: Recovered;
  readonly #settings: Settings["buffer"];
  readonly #files: Files;
  readonly #lock: DirectoryLock;
  readonly #log: Log;
  readonly #limitedLog: ReturnType<typeof rateLimited>;
  #checkpointer: Checkpointer | undefined;
  #users: SpoolUsers | undefined;
  /** Sessions wait for what the start found of them: until `over`. */
  readonly #waits: { over: () => boolean; end: () => void }[] = [];
  #timers: ReturnType<typeof setInterval>[] = [];
  #journalTimer: ReturnType<typeof setInterval> | undefined;
  #degraded: string | undefined;
  #journalSync: Promise<void> | undefined;
  /** Damage was met, so what is missing behind it is missing because of it. */
  #damageMet: boolean;
  #quarantined = 0;
  /** Held logs that have messages of open entries, by topic. */
  #withOpen: Map<string, Recovered["held"]> | undefined;

  constructor({ settings, log, ringCapacity }: SpoolParts, files: Files, lock: DirectoryLock, recovered: Recovered) {
    this.#settings = settings;
    this.#files = files;
    this.#lock = lock;
    this.#log = log;
    this.#limitedLog = rateLimited(log, LOG_INTERVAL);
    this.recovered = recovered;
    this.#damageMet = recovered.problems.length > 0;
    this.#quarantined = quarantinedBytes(files, lock.paths.quarantine);
    const { disk, sync, segment } = settings;
    const { directoryId, sessions, openEntries, journalOrdinal, journalEnd } = recovered;
    const onDamage = (damage: LogDamage) => this.#damaged(damage);
    this.queue = new DiskQueue({
      files,
      directory: lock.paths.log,
      start: { ...recovered.log, directoryId, reserved: 0 },
      capacity: ringCapacity,
      segmentSize: segmentSize(segment, disk),
      largestBlock: largestBlock(disk),
      limit: disk,
      sync,
      onDamage,
      onLost: ({ from, to }) => this.#users?.lost(to - from, this.lostBecause),
      onState: (state, reason) => this.#stateChanged(state === "degraded" ? reason : undefined),
      onSyncFailure: (error) => log.error("the disk does not confirm what was written to it", { why: String(error) }),
      onReadFailure: ({ message }) =>
        this.#limitedLog.warn("the log cannot be read now, trying again", { why: message }, ""),
      onFull: () => this.#full(),
    });
    const next = () => this.queue.readPosition.number;
    this.receipts = new Receipts({ sessions, next });
    this.queue.watch(this.receipts);
    this.held = new HeldLogs({
      files,
      directory: lock.paths.held,
      directoryId,
      cap: settings.held,
      segment,
      hooks: this.receipts,
      onDamage,
      onLost: (topic, count) => this.#users?.lostOf(topic, count),
      onProblem: (topic, path, why) =>
        this.#limitedLog.warn("a held topic's messages cannot be kept on disk now", { topic, path, why }, topic),
    });
    this.held.restore(recovered.held);
    // Counted by now. A backlog has thousands of them.
    for (const { segments } of [recovered.log, ...recovered.held]) for (const each of segments) each.index = undefined;
    this.#waitForFound(sessions.map(([hex]) => hex));
    this.journal = Journal.open({
      files,
      directory: lock.paths.journal,
      ordinal: journalOrdinal,
      room: journalRoom(disk),
      directoryId,
      machineId: lock.machineId,
      last: journalEnd,
      carried: openEntries,
      onFailing: (why) => this.#journalFailing(why),
      wallClock: Date.now,
      later: (callback, ms) => {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
    });
  }

  /** Calls back with each of these messages of one topic that were in open entries at the start; see `LogReader.fetch`. */
  fetch(
    topic: string,
    numbers: MessageNumbers,
    visit: (number: number, bytes: Buffer, start: number, end: number) => void,
  ): void {
    const { log, held } = this.recovered;
    // Only from where they are known to be: to look for one in vain costs much, and there may be very many held logs.
    this.queue.fetch(inSet(numbers, log.open), visit);
    this.#withOpen ??= Map.groupBy(
      held.filter(({ open }) => open.size > 0),
      (each) => each.topic,
    );
    for (const { partition, open } of this.#withOpen.get(topic) ?? [])
      this.held.open(topic, partition ?? undefined).fetch(inSet(numbers, open), visit);
  }

  /** Writes what has to be on disk first; when it resolves, messages may be appended. A whole checkpoint follows at once. */
  async start(users: SpoolUsers): Promise<void> {
    this.#users = users;
    const { queue, held, journal } = this;
    const { nextNumber } = this.recovered.log;
    const checkpointer = new Checkpointer({
      store: this.recovered.checkpoints,
      journal,
      snapshot: () => this.#snapshot(),
      next: () => queue.head.number,
      // What the inputs discard is in the ledger alone.
      progress: () => queue.written + queue.settled - held.unsettled + held.noteReasons() + users.ledger.total.received,
      hasGarbage: () => this.hasGarbage || held.garbage().length > 0,
      journalNeedsIt: () => journal.lacks || (journal.crowded && (this.#degraded !== undefined || queue.full)),
      garbage: () => {
        const segments = queue.segmentsToDelete();
        const ofHeld = held.garbage();
        return () => {
          held.drop(ofHeld);
          queue.dropSegments(segments);
          this.#look();
        };
      },
      sync: async () => {
        const journalSafe = this.#syncJournal();
        await held.sync();
        await journalSafe;
      },
      reserved: nextNumber,
      onReserved: (reserved) => queue.reserve(reserved),
      onFailing: (why) => this.#checkpointFailing(why),
      now: () => performance.now(),
    });
    this.#checkpointer = checkpointer;
    this.#look();
    await checkpointer.begin(this.recovered.restated);
    void this.#writeWhole(checkpointer);
    this.#every(TURN, () => this.#turn());
    this.#every(LOOK, () => {
      this.#look();
      if (queue.full && queue.unsettled === 0) this.#full();
    });
    this.#syncJournalRegularly();
  }

  /** `disk`, `held`, `minFreeDisk` and `sync` are read again: they may be others than before. Not to be called after `stop`. */
  settingsChanged(): void {
    const { held, sync } = this.#settings;
    this.held.allow(held);
    this.queue.setSync(sync);
    this.#look();
    this.#syncJournalRegularly();
  }

  report(): SpoolReport {
    const { queue, held, journal } = this;
    const degraded = this.#degraded;
    return {
      buffer: {
        mode: degraded === undefined ? "disk" : "degraded",
        ...(degraded === undefined ? {} : { reason: degraded }),
        path: this.#settings.path,
        full: queue.full,
        limit: Math.min(this.#settings.disk, queue.limit + held.bytes + journal.bytes + this.#journalToCome),
        used: queue.bytesOnDisk + held.bytes + journal.bytes,
        held_bytes: held.bytes,
        journal_bytes: journal.bytes,
        quarantined_bytes: this.#quarantined,
        segments: queue.segments,
        synced_age: Math.round(queue.sync.age),
        sync_failures: queue.sync.failures,
        unreadable: queue.unreadable ?? held.unreadable ?? null,
        unspooled: queue.inMemoryAlone,
      },
      unread: queue.topicsUnread(),
      held: held.reports().map(({ oldestAge, ...log }): HeldLogStatus => ({ ...log, oldest_age: oldestAge })),
    };
  }

  /** Messages that are not settled. */
  get unsettled(): number {
    return this.queue.unsettled + this.held.unsettled;
  }

  /** Why messages that came before the start are in no file. */
  get lostBecause(): "damaged" | "not_spooled" {
    return this.#damageMet ? "damaged" : "not_spooled";
  }

  /** Of these, the messages that are in memory alone, since the disk refused them: a stop loses them. */
  get inMemoryAlone(): number {
    return this.queue.inMemoryAlone;
  }

  /** To whom a message belongs that was taken from the queue: what the held log that it moves to must know. */
  readonly markOf = (number: number, receivedAt: number): FrameMark =>
    this.receipts.markOf(this.queue.accountOf(number), receivedAt);

  /** Bytes of messages that have to go so that the disk gets any room: a segment goes as a whole. */
  get roomAtOnce(): number {
    return this.#settings.segment;
  }

  /** Files of the log can be deleted. */
  get hasGarbage(): boolean {
    return this.queue.segmentsToDelete().length > 0;
  }

  /** Messages were given up to make room: deletes what files it can. */
  async giveBack(): Promise<void> {
    if (this.hasGarbage) await this.#checkpointer?.write();
  }

  /** To be called when nothing is appended, read or delivered any more. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    clearInterval(this.#journalTimer);
    this.receipts.stop();
    this.journal.flush();
    await this.queue.stop();
    await this.#checkpointer?.write(true);
    this.journal.close();
    this.held.close();
    this.recovered.checkpoints.close();
    this.#lock.release();
  }

  /** What an earlier run left of sessions is not known by number: their connections wait until all of it was taken again. */
  #waitForFound(sessions: string[]): void {
    const { previousEnd, again, open: inBatches } = this.recovered.log;
    const open = new NumberSet();
    inBatches.forEachRange((from, to) => open.addRange(from, to));
    const over = () => {
      if (again.size > 0 || this.queue.readPosition.number < previousEnd) return false;
      const unsettled = this.queue.unsettledNumbers();
      while (open.size > 0 && !unsettled.has(open.first as number)) open.delete(open.first as number);
      return open.size === 0;
    };
    if (!over()) this.#waits.push({ over, end: this.receipts.waitFor(sessions) });
    for (const { topic, partition, sessions: held } of this.recovered.held) {
      const log = this.held.open(topic, partition ?? undefined);
      if (held.size === 0 || log.foundIsOut) continue;
      this.#waits.push({ over: () => log.foundIsOut, end: this.receipts.waitFor(held) });
    }
  }

  #every(ms: number, action: () => void): void {
    this.#timers.push(setInterval(action, ms));
  }

  #snapshot(): Snapshot {
    const { queue, held, receipts, recovered } = this;
    const users = this.#users as SpoolUsers;
    const { previousEnd, nextNumber } = recovered.log;
    return {
      directoryId: recovered.directoryId,
      machineId: this.#lock.machineId,
      log: { read: queue.readPosition, head: queue.head, unused: { from: previousEnd, to: nextNumber } },
      unsettled: queue.unsettledNumbers(),
      settled: queue.settledAhead(),
      held: held.states(),
      ledger: users.ledger,
      topicsSeen: users.topicsSeen(),
      sessions: receipts.sessions(),
    };
  }

  #turn(): void {
    this.#checkpointer?.turn();
    for (const [index, { over, end }] of [...this.#waits.entries()].reverse()) {
      if (!over()) continue;
      this.#waits.splice(index, 1);
      end();
    }
  }

  /** Bytes that the journal will take: each slot of the checkpoint has a file that it goes on from, when the next is begun. */
  get #journalToCome(): number {
    return Math.max(0, 3 * journalRoom(this.#settings.disk) + JOURNAL_HEADERS - this.journal.bytes);
  }

  /** Looks how much the log may take on disk now. */
  #look(): void {
    const { disk, minFreeDisk: minFree, path } = this.#settings;
    const { queue, held } = this;
    try {
      const free = this.#files.free(path);
      const { bytesOnDisk: log } = queue;
      const journal = { journal: this.journal.bytes, journalToCome: this.#journalToCome };
      queue.setLimit(logLimit({ disk, minFree, free, log, held: held.bytes, ...journal }));
      // With what the log has given back for it.
      held.freeze(free + log - queue.bytesOnDisk < minFree);
    } catch (error) {
      this.#limitedLog.warn("the volume does not say how much is free", { why: String(error) }, "free");
    }
  }

  /** Appending waits for room: makes what there can be. */
  #full(): void {
    this.#look();
    const { queue } = this;
    if (!queue.full) return;
    void this.#checkpointer?.write().then((written) => queue.goOnWithoutRoom(!written));
  }

  /** A checkpoint, and at first both slots, so that there is room for one on a disk that is full. */
  async #writeWhole(checkpointer: Checkpointer): Promise<void> {
    if ((await checkpointer.write()) && !this.recovered.checkpoints.hasRoom) await checkpointer.write();
  }

  #syncJournalRegularly(): void {
    const { sync } = this.#settings;
    clearInterval(this.#journalTimer);
    const look = () => {
      if (this.#journalSync === undefined) void this.#syncJournal();
    };
    this.#journalTimer = sync === "never" ? undefined : setInterval(look, sync === "always" ? LOOK : sync);
  }

  /** Resolves when all that the journal has now is safe from a power cut, or the disk refuses that. */
  async #syncJournal(): Promise<void> {
    // One that is on its way has begun before.
    while (this.#journalSync !== undefined) await this.#journalSync;
    this.#journalSync = this.journal.sync().finally(() => {
      this.#journalSync = undefined;
    });
    await this.#journalSync;
  }

  #damaged({ path, from, to, unreadable }: LogDamage): void {
    this.#damageMet = true;
    this.#log.error("a part of the buffer is damaged; it is set aside, and what is behind it is delivered", {
      ...{ path, from, to },
      why: unreadable ? "the disk does not give it" : "its checksum does not hold",
    });
    setAside(this.#files, this.#lock.paths.quarantine, path, from, to);
    this.#quarantined = quarantinedBytes(this.#files, this.#lock.paths.quarantine);
  }

  #stateChanged(why: string | undefined): void {
    this.#degraded = why;
    if (why !== undefined)
      this.#log.error("the disk takes no messages: they are kept in memory until it does", { why });
    else {
      const { inMemoryAlone } = this.queue;
      const left = inMemoryAlone === 0 ? {} : { still_in_memory_alone: inMemoryAlone };
      this.#log.info("the disk takes messages again, and has what was in memory", left);
      // What was delivered meanwhile, and is in what was just written down, must not be delivered again.
      void this.#checkpointer?.write();
    }
  }

  #journalFailing(why: string | undefined): void {
    if (why === undefined) this.#log.info("the delivery journal is written again");
    else this.#log.error("the delivery journal cannot be written: a crash now may repeat messages", { why });
  }

  #checkpointFailing(why: string | undefined): void {
    if (why === undefined) this.#log.info("checkpoints are written again");
    else this.#log.error("no checkpoint can be written, so nothing on disk is given back; trying again", { why });
  }
}

function inSet(numbers: MessageNumbers, set: NumberSet): MessageNumbers {
  const found = new MessageNumbers();
  numbers.forEach((number) => {
    if (set.has(number)) found.append(number);
  });
  return found;
}
