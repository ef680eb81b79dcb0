// What delivery writes down before and after it sends a batch, so that after a crash it can tell what Kafka may have.
import type { EntryEnd, JournalEntry } from "../spool/journal.ts";

/** A journal as delivery uses it. Never throws: one that fails says so by itself, and delivery goes on. */
export interface DeliveryJournal {
  /**
   * Called before a request is sent, with those of its batches that no open entry tells of: each opens one, and a partition
   * has at most one. Answers whether they are written.
   */
  sending(entries: readonly JournalEntry[]): boolean;
  /** What became of the open entry of a partition. "delivered" may be written later; the others are when it returns. */
  ended(topic: string, partition: number, how: EntryEnd): void;
  /** Why it cannot be written now; undefined: it can. */
  readonly failing: string | undefined;
  /** How often that began since the start. */
  readonly failures: number;
}
