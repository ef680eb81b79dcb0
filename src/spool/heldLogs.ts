// All held logs: finds whose a message is, and speaks for all of them to checkpoint, limits and status.
import type { HeldLogState } from "./checkpoint.ts";
import { HeldCommon, type HeldParts } from "./heldCommon.ts";
import { HeldLog, type RestoredHeld } from "./heldLog.ts";
import { MessageNumbers } from "./numbers.ts";
import type { SettledHow } from "./queue.ts";
import { syncNames } from "./syncNames.ts";

/** What can be removed from the disk once a checkpoint knows that nothing of it is wanted. */
export type HeldGarbage = { log: HeldLog; ordinals: number[] }[];

/** A held log, for people. */
export interface HeldReport {
  topic: string;
  /** null: the whole topic. */
  partition: number | null;
  /** Why it is held; null: it no longer is. */
  reason: string | null;
  /** Not settled. */
  messages: number;
  /** Bytes of its files. */
  bytes: number;
  /** Milliseconds since its oldest message came, about; null when there is none. */
  oldestAge: number | null;
}

/** So many are made safe from a power cut at a time. */
const SYNCS = 8;

export class HeldLogs {
  /** Why a topic, or that partition of it, is held now; null: it is not; undefined: that is not known yet. */
  reasonOf: (topic: string, partition: number | undefined) => string | null | undefined = () => undefined;
  readonly #common: HeldCommon;
  /** By topic: that of the topic itself, and those of its partitions. */
  readonly #byTopic = new Map<string, HeldLog[]>();
  #newReasons = 0;

  constructor(parts: HeldParts) {
    this.#common = new HeldCommon(parts);
  }

  /** The log for a topic, or for one partition of it. It takes no disk before something is written to it. */
  readonly open = (topic: string, partition: number | undefined): HeldLog => {
    const logs = this.#byTopic.get(topic) ?? [];
    const known = logs.find((log) => log.partition === partition);
    if (known !== undefined) return known;
    const log = new HeldLog(this.#common, { topic, partition });
    logs.push(log);
    this.#byTopic.set(topic, logs);
    return log;
  };

  /** Takes over what a start found. */
  restore(found: Iterable<RestoredHeld>): void {
    for (const each of found) this.open(each.topic, each.partition ?? undefined).restore(each);
  }

  *all(): Generator<HeldLog> {
    for (const logs of this.#byTopic.values()) yield* logs;
  }

  /** Settles those of a topic's messages that are in one of its logs; answers the others. */
  settle(topic: string, numbers: MessageNumbers, how: SettledHow): MessageNumbers {
    const logs = this.#byTopic.get(topic)?.filter(({ out }) => out > 0);
    if (logs === undefined || logs.length === 0) return numbers;
    const mine = logs.map(() => new MessageNumbers());
    const others = new MessageNumbers();
    numbers.forEach((number) => {
      const index = logs.findIndex((log) => log.has(number));
      (mine[index] ?? others).append(number);
    });
    for (const [index, log] of logs.entries()) log.settle(mine[index] as MessageNumbers, how);
    return others;
  }

  /** Why one of them cannot be read now; undefined: all can. */
  get unreadable(): string | undefined {
    for (const { unreadable } of this.all()) if (unreadable !== undefined) return unreadable;
    return undefined;
  }

  /** Bytes of files. */
  get bytes(): number {
    return this.#common.used;
  }

  /** Messages that are not settled. */
  get unsettled(): number {
    let sum = 0;
    for (const log of this.all()) sum += log.count + log.out;
    return sum;
  }

  /** No log takes anything while this is set: the volume is nearly full. */
  freeze(frozen: boolean): void {
    this.#common.frozen = frozen;
  }

  /** Bytes that all of them together may take from now on. */
  allow(cap: number): void {
    this.#common.allow(cap);
  }

  /**
   * Notes why each is held now: how often that was found to be another reason than before. What a run before this one knew
   * stays until it is known anew.
   */
  noteReasons(): number {
    for (const log of this.all()) {
      const reason = this.reasonOf(log.topic, log.partition);
      if (reason === undefined || (reason ?? "") === log.reason) continue;
      log.reason = reason ?? "";
      this.#newReasons++;
    }
    return this.#newReasons;
  }

  /** For the checkpoint. */
  states(): HeldLogState[] {
    this.noteReasons();
    return [...this.all()].flatMap((log) => log.state() ?? []);
  }

  /** To be asked for at the moment of a checkpoint, and dropped when that is on disk. */
  garbage(): HeldGarbage {
    const garbage: HeldGarbage = [];
    for (const log of this.all()) {
      const ordinals = log.garbage();
      if (ordinals.length > 0) garbage.push({ log, ordinals });
    }
    return garbage;
  }

  drop(garbage: HeldGarbage): void {
    for (const { log, ordinals } of garbage) log.drop(ordinals);
  }

  /** Makes all that is in them now safe from a power cut. Rejects when the disk refuses. */
  async sync(): Promise<void> {
    const { files, directory } = this.#common.parts;
    const logs = [...this.all()].values();
    const named: HeldLog[] = [];
    const some = async () => {
      for (const log of logs) if (await log.sync()) named.push(log);
    };
    let error: unknown;
    for (const result of await Promise.allSettled(Array.from({ length: SYNCS }, some)))
      if (result.status === "rejected") error ??= result.reason;
    try {
      if (error !== undefined) throw error;
      // Once for all of them: there may be very many.
      if (named.length > 0) await syncNames(files, directory);
    } catch (failure) {
      for (const log of named) log.namesInDoubt();
      throw failure;
    }
  }

  /** Calls back with each of these messages of a topic that is in one of its logs. See `LogReader.fetch`. */
  fetch(
    topic: string,
    numbers: MessageNumbers,
    visit: (number: number, bytes: Buffer, start: number, end: number) => void,
  ): number {
    let found = 0;
    for (const log of this.#byTopic.get(topic) ?? []) found += log.fetch(numbers, visit);
    return found;
  }

  /** What is in them, for people. */
  reports(): HeldReport[] {
    const now = this.#common.wallClock();
    this.noteReasons();
    const reports: HeldReport[] = [];
    for (const log of this.all()) {
      const messages = log.count + log.out;
      if (messages === 0) continue;
      const { topic, partition = null, bytes, oldestAt } = log;
      const reason = log.reason === "" ? null : log.reason;
      const oldestAge = oldestAt === undefined ? null : Math.max(0, now - oldestAt);
      reports.push({ topic, partition, reason, messages, bytes, oldestAge });
    }
    return reports;
  }

  close(): void {
    for (const log of this.all()) log.close();
  }
}
