// A backlog while Kafka is away: what it costs in memory, at the next start, and how fast it goes when Kafka is back.
import type { DaemonStatus } from "../../src/observe/status.ts";
import { startBruce } from "../support/bruce.ts";
import type { Kafka } from "../support/kafka.ts";
import { peakMemory } from "../support/processRest.ts";
import { readBack } from "../support/readBack.ts";
import { BulkAccount, writeBulk } from "./bulk.ts";

export interface BacklogOptions {
  kafka: Kafka;
  /** Exists; the backlog is kept there. */
  directory: string;
  /** Another, empty one: what a start without a backlog takes. */
  emptyDirectory: string;
  topic: string;
  count: number;
  /** Bytes of a value. */
  size: number;
  /** Starts of each kind, alternating. */
  starts: number;
  set?: string[];
}

export interface BacklogResult {
  /** Bytes of memory: while it was written, and while it was drained. */
  peakWriting: number;
  peakDraining: number;
  /** Milliseconds from the start of the process to its line "ready", medians. */
  startEmpty: number;
  startWithBacklog: number;
  /** Messages a second. */
  writeRate: number;
  drainRate: number;
  /** The same messages, without a backlog, with Kafka there all the time. */
  directRate: number;
  missing: number;
  twice: number;
  unexpected: number;
  status: DaemonStatus;
}

/** Kafka runs when this is called, and when it resolves. */
export async function backlog(options: BacklogOptions): Promise<BacklogResult> {
  const { kafka, directory, emptyDirectory, topic, count, size, set = [] } = options;
  await kafka.createTopic(topic, 4);
  const start = (where: string) => startBruce({ bootstrap: kafka.bootstrap, directory: where, set });

  // Without a backlog, for comparison.
  const direct = `${topic}-direct`;
  await kafka.createTopic(direct, 4);
  let bruce = await start(emptyDirectory);
  let began = performance.now();
  await writeBulk(bruce.sockets.stream, { topic: direct, count, size });
  await bruce.until(({ ledger }) => ledger.delivered === count);
  const directRate = (count / (performance.now() - began)) * 1000;
  await bruce.stop();
  await kafka.deleteTopic(direct);

  await kafka.kill(1);
  bruce = await start(directory);
  began = performance.now();
  await writeBulk(bruce.sockets.stream, { topic, count, size });
  const writeRate = (count / (performance.now() - began)) * 1000;
  const peakWriting = await peakMemory(bruce.pid);
  await bruce.kill("SIGKILL");

  const empty: number[] = [];
  const full: number[] = [];
  for (let at = 0; at < options.starts; at++) {
    for (const [where, times] of [
      [emptyDirectory, empty],
      [directory, full],
    ] as const) {
      const since = performance.now();
      const each = await start(where);
      times.push(performance.now() - since);
      await each.kill("SIGKILL");
    }
  }

  bruce = await start(directory);
  await kafka.start(1);
  await bruce.until(({ ledger }) => ledger.delivered > 0);
  began = performance.now();
  const from = (await bruce.status()).ledger.delivered;
  const status = await bruce.until(({ ledger }) => ledger.held === 0);
  const drainRate = ((count - from) / (performance.now() - began)) * 1000;
  const peakDraining = await peakMemory(bruce.pid);
  await bruce.stop();

  const account = new BulkAccount(count);
  await readBack(kafka.bootstrap, topic, ({ value }) => account.found(value ?? Buffer.alloc(0)));
  const { missing, twice, unexpected } = account;
  return {
    ...{ peakWriting, peakDraining, startEmpty: median(empty), startWithBacklog: median(full) },
    ...{ writeRate, drainRate, directRate, missing, twice, unexpected, status },
  };
}

function median(numbers: number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}
