// The delivery journal: which batch of each partition is on its way, and what became of those before it, since the checkpoint.
import type { MessageNumbers } from "./numbers.ts";

/** One batch that was, or is about to be, sent. */
export interface JournalEntry {
  topic: string;
  /** The partition's id. */
  partition: number;
  /** "" when the cluster has none. */
  clusterId: string;
  /** -1n without idempotence; then epoch and sequence are -1. */
  producerId: bigint;
  producerEpoch: number;
  baseSequence: number;
  /** When it was first sent, in ms since the epoch. */
  sentAt: number;
  /** In the order of the records. */
  numbers: MessageNumbers;
  /** zlib's CRC-32 over the uncompressed records. */
  checksum: number;
}

/** What became of a batch. "returned": it was not delivered, and its messages go otherwise (split, moved, a new producer). */
export type EntryEnd = { kind: "delivered" } | { kind: "discarded"; reason: string } | { kind: "returned" };
