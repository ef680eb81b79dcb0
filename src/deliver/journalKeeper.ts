// Keeps the delivery journal: each batch is told of before it is sent, and what became of it after.
import type { DiscardReason } from "../observe/discards.ts";
import type { Batch } from "../route/batch.ts";
import type { EntryEnd, JournalEntry } from "../spool/journal.ts";
import type { DeliveryJournal } from "./deliveryJournal.ts";
import type { Outbox } from "./outbox.ts";
import type { Parcel } from "./parcel.ts";
import type { ProducerIdentity } from "./producerIds.ts";

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

  /** Producer ids are not spoilt by the journal's failure of this count. */
  #spoilt = 0;

  /** Without a journal (memory only), nothing is kept. */
  constructor(journal: DeliveryJournal | undefined, clusterId: () => string, wallClock: () => number) {
    this.#journal = journal;
    this.#clusterId = clusterId;
    this.#wallClock = wallClock;
  }

  /**
   * Whether producer ids that were in use are not to be used any more for what is sent first now: it cannot be written down,
   * and after a crash, the batch on record would be sent again, and others under the sequences behind it. A broker would take
   * these for what it got under them, and drop them. True once each time that the journal comes to fail.
   */
  takeSpoilt(): boolean {
    const { failing, failures = 0 } = this.#journal ?? {};
    if (failing === undefined || failures === this.#spoilt) return false;
    this.#spoilt = failures;
    return true;
  }

  /** Whether the batch may be sent with the producer id that its partition has. */
  mayKeepProducer(outbox: Outbox, batch: Batch, current: ProducerIdentity | undefined): boolean {
    return this.#journal?.failing === undefined || outbox.producer === current || isOnRecord(outbox, batch);
  }

  /**
   * Before a request is sent, its batches stamped. One that is sent again under the same stamp is on record already. False: it
   * must not be sent so, since producer ids have just been spoilt (see `takeSpoilt`).
   */
  sending(parcels: readonly Parcel[]): boolean {
    if (this.#journal === undefined) return true;
    const entries: JournalEntry[] = [];
    const told: Outbox[] = [];
    for (const { outbox, batch } of parcels) {
      if (isOnRecord(outbox, batch)) continue;
      const { numbers } = batch;
      // One with the same messages takes its place: in between, a crash would find neither.
      if (!(outbox.journaled?.numbers.equals(numbers) ?? false)) this.returned(outbox);
      told.push(outbox);
      const { producer, nextSequence } = outbox;
      outbox.journaled = { batch, producer, baseSequence: nextSequence, numbers };
      entries.push({
        topic: outbox.partition.topic.name,
        partition: outbox.partition.id,
        clusterId: producer?.clusterId ?? this.#clusterId(),
        producerId: producer?.producerId ?? -1n,
        producerEpoch: producer?.producerEpoch ?? -1,
        baseSequence: producer === undefined ? -1 : nextSequence,
        sentAt: this.#wallClock(),
        numbers,
        checksum: batch.checksum,
        repeats: batch.untold,
      });
      batch.untold = false;
    }
    if (entries.length === 0 || this.#journal.sending(entries)) return true;
    if (this.#journal.failures === this.#spoilt) return true;
    const stamped = told.filter(({ producer }) => producer !== undefined);
    for (const { journaled } of stamped) if (journaled !== undefined) journaled.batch = undefined;
    return stamped.length === 0;
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
  if (batch.untold) return false;
  return producer === undefined || journaled.baseSequence === nextSequence;
}
