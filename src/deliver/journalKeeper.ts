// Keeps the delivery journal: each batch is told of before it is sent, and what became of it after.
import type { DiscardReason } from "../observe/discards.ts";
import type { Batch } from "../route/batch.ts";
import type { EntryEnd, JournalEntry } from "../spool/journal.ts";
import type { DeliveryJournal } from "./deliveryJournal.ts";
import type { Outbox } from "./outbox.ts";
import type { Parcel } from "./parcel.ts";

/** The id that a cluster without one, or one that is not known yet, goes by. */
export const NO_CLUSTER_ID = "";

/**
 * Of each partition, at most one entry is open: that of the batch that Kafka may have. It stays open, whatever happens to
 * the batch, until another batch or another stamp takes its place: so a crash in between finds what was sent before.
 */
export class JournalKeeper {
  readonly #journal: DeliveryJournal | undefined;
  readonly #clusterId: () => string;
  /** Milliseconds since the epoch. */
  readonly #wallClock: () => number;

  /** Without a journal (memory only), nothing is kept. */
  constructor(journal: DeliveryJournal | undefined, clusterId: () => string, wallClock: () => number) {
    this.#journal = journal;
    this.#clusterId = clusterId;
    this.#wallClock = wallClock;
  }

  /** Before a request is sent, its batches stamped. One that is sent again under the same stamp is on record already. */
  sending(parcels: readonly Parcel[]): void {
    if (this.#journal === undefined) return;
    const entries: JournalEntry[] = [];
    for (const { outbox, batch } of parcels) {
      if (isOnRecord(outbox, batch)) continue;
      this.returned(outbox);
      const { producer, nextSequence } = outbox;
      outbox.journaled = { batch, producer, baseSequence: nextSequence };
      entries.push({
        topic: outbox.partition.topic.name,
        partition: outbox.partition.id,
        clusterId: producer?.clusterId ?? this.#clusterId(),
        producerId: producer?.producerId ?? -1n,
        producerEpoch: producer?.producerEpoch ?? -1,
        baseSequence: producer === undefined ? -1 : nextSequence,
        sentAt: this.#wallClock(),
        numbers: batch.numbers,
        checksum: batch.checksum,
      });
    }
    if (entries.length > 0) this.#journal.sending(entries);
  }

  /** Before it is settled. */
  delivered(outbox: Outbox): void {
    this.#end(outbox, { kind: "delivered" });
  }

  /** Before `batch` is settled. */
  discarded(outbox: Outbox, batch: Batch, reason: DiscardReason): void {
    // Of a batch that was split, only a part is given up here: a restart would come to the same end with that part.
    const whole = outbox.journaled?.batch === batch;
    this.#end(outbox, whole ? { kind: "discarded", reason } : { kind: "returned" });
  }

  /** What the open entry is about is sent in another form or another way, or some of it is settled by itself. */
  returned(outbox: Outbox): void {
    this.#end(outbox, { kind: "returned" });
  }

  #end(outbox: Outbox, how: EntryEnd): void {
    if (outbox.journaled === undefined) return;
    outbox.journaled = undefined;
    this.#journal?.ended(outbox.partition.topic.name, outbox.partition.id, how);
  }
}

function isOnRecord({ journaled, producer, nextSequence }: Outbox, batch: Batch): boolean {
  if (journaled === undefined || journaled.batch !== batch || journaled.producer !== producer) return false;
  return producer === undefined || journaled.baseSequence === nextSequence;
}
