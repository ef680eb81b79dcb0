// After a restart: makes the batches that Kafka may have, or not, again from their messages, and puts them first in line.
import type { DiscardReason } from "../observe/discards.ts";
import type { Log } from "../observe/log.ts";
import type { Batch } from "../route/batch.ts";
import { BatchBuilder } from "../route/batchBuilder.ts";
import type { BufferPool } from "../route/bufferPool.ts";
import type { Partition, Topic } from "../route/topic.ts";
import type { JournalEntry } from "../spool/journal.ts";
import { MessageNumbers } from "../spool/numbers.ts";
import { FrameFault, FrameReader } from "../wire/frame.ts";
import type { DeliveryJournal } from "./deliveryJournal.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Settlement } from "./settlement.ts";

export interface RestoreParts {
  /** The open entries: at most one of each partition. */
  entries: Iterable<JournalEntry>;
  /** Why messages of them are in no log: asked for after those that are there were fetched. */
  lostBecause?: () => DiscardReason;
  /** Whether machine and data directory are those that the entries were written on. */
  bound: boolean;
  /** Finds or makes the topic; undefined when there are too many. */
  topic: (name: string) => Topic | undefined;
  /**
   * Hands over the frame bytes[start, end) of each number that any log has, in any order; bytes are valid during the call.
   * May throw what a file system throws.
   */
  fetch: (
    topic: string,
    numbers: MessageNumbers,
    visit: (number: number, bytes: Buffer, start: number, end: number) => void,
  ) => void;
  dispatcher: Pick<Dispatcher, "restore">;
  settlement: Pick<Settlement, "discarded" | "discardedUnder">;
  journal: DeliveryJournal;
  pool: BufferPool;
  log: Pick<Log, "info" | "warn">;
  /** Milliseconds, monotonic. */
  now: () => number;
}

/** Called once, before anything is routed: what comes first in line must be what was sent first. */
export function restoreBatches(parts: RestoreParts): void {
  const { entries, bound, topic: find, dispatcher, settlement, journal, log, lostBecause = () => "damaged" } = parts;
  let batches = 0;
  let messages = 0;
  for (const entry of entries) {
    const about = { topic: entry.topic, partition: entry.partition, messages: entry.numbers.count };
    const topic = find(entry.topic);
    if (topic === undefined) {
      log.warn("a batch that was on its way is given up: there are too many topics, raise buffer.max_topics", about);
      journal.ended(entry.topic, entry.partition, { kind: "discarded", reason: "max_topics" });
      settlement.discardedUnder(entry.topic, entry.numbers, "max_topics");
      continue;
    }
    const partition = topic.ensurePartition(entry.partition);
    const { batch, missing } = rebuildFromFrames(entry, partition, parts);
    if (missing.count > 0) {
      log.warn("messages of a batch that was on its way are damaged or gone", { ...about, missing: missing.count });
      // The others are a batch of their own now, and these are settled: a restart must not look for all of them again.
      journal.ended(entry.topic, entry.partition, { kind: "returned" });
      settlement.discarded(topic, missing, lostBecause());
    }
    if (batch === undefined) continue;
    const unchanged = batch.checksum === entry.checksum;
    if (!bound) log.warn("another machine or data directory than before: a batch may come twice", about);
    else if (!unchanged) log.warn("a batch cannot be made as it was: it may come twice", about);
    const as = missing.count > 0 ? "partly" : bound && unchanged ? "same" : "changed";
    dispatcher.restore(partition, batch, entry, as);
    batches++;
    messages += batch.count;
  }
  if (batches > 0) log.info("batches were on their way when bruce ended; they are sent again", { batches, messages });
}

/** The batch of an entry, and the messages that no log has. Whether it is the same batch, its checksum tells. */
function rebuildFromFrames(
  entry: JournalEntry,
  partition: Partition,
  { fetch, pool, log, now }: RestoreParts,
): { batch: Batch | undefined; missing: MessageNumbers } {
  const name = Buffer.from(entry.topic, "latin1");
  const reader = new FrameReader();
  const frames = new Map<number, Buffer>();
  try {
    fetch(entry.topic, entry.numbers, (number, bytes, start, end) => {
      if (frames.has(number) || reader.read(bytes, start, end) !== FrameFault.Ok) return;
      // Numbers that name other messages than they did: the files are not those that belong together.
      if (name.compare(bytes, reader.topicStart, reader.topicEnd) !== 0) return;
      frames.set(number, Buffer.from(bytes.subarray(start, end)));
    });
  } catch (error) {
    // What cannot be read is as good as gone, and must not prevent the start.
    const why = error instanceof Error ? error.message : String(error);
    log.warn("a batch that was on its way cannot be read", { topic: entry.topic, partition: entry.partition, why });
  }
  const missing = new MessageNumbers();
  const builder = new BatchBuilder(pool, partition.keyed.memory, now());
  entry.numbers.forEach((number) => {
    const frame = frames.get(number);
    if (frame === undefined) {
      missing.append(number);
      return;
    }
    reader.locate(frame, 0, frame.length);
    builder.append(number, frame, reader);
  });
  if (builder.count > 0) return { batch: builder.close(partition.topic.settings), missing };
  builder.abandon();
  return { batch: undefined, missing };
}
