// The daemon's status as `/api/v1/status` gives it: a stable JSON, explained field by field in docs/status.md.
import type { DiscardReason } from "./discards.ts";

// Times are milliseconds since the epoch, ages and durations milliseconds, sizes bytes, everything else counts.
// Fields may be added; one that is here keeps its name and meaning.

/** What became of messages: received = delivered + held + discarded. */
export interface AccountStatus {
  received: number;
  delivered: number;
  /** Neither delivered nor discarded yet. */
  held: number;
  discarded: number;
  /** Reasons that never happened are left out. */
  discards_by_reason: Partial<Record<DiscardReason, number>>;
  /** Messages of batches sent again without knowing whether Kafka had them already. */
  possible_duplicates: number;
}

export interface LedgerStatus extends AccountStatus {
  /** Whether the books agree: with themselves, and with what the queue counts apart from them. */
  balanced: boolean;
  /** Messages under no topic: malformed, of an unknown kind, beyond `max_topics`. Part of the totals. */
  no_topic: AccountStatus;
}

export interface TopicStatus extends AccountStatus {
  name: string;
  /** "held": it cannot be delivered now, its messages wait; `reason` says why. */
  state: "live" | "held";
  reason?: string;
  /** Age of the oldest message that is not settled; null when there is none. */
  oldest_unsent_age: number | null;
  /** Bytes of the messages held. */
  lag_bytes: number;
  /** Messages of the backlog on disk that are known to be of this topic; part of `queue.messages`, not of `received`. */
  unread: number;
  /** Left out unless Kafka found batches of it too large. */
  batch_limit?: BatchLimitStatus;
  /** What waits on disk apart from all others, because it cannot be delivered; left out when there is nothing. */
  held_logs?: Omit<HeldLogStatus, "topic">[];
}

/** How large a batch Kafka takes, as learned from its answers. */
export interface BatchLimitStatus {
  /** As sent, that is compressed: batches are kept below it. null: it was raised, and nothing is known of the new one. */
  bytes: number | null;
  /** Batches of several messages that Kafka found too large, since the start. */
  refused: number;
}

/** Messages that wait in a log of their own. */
export interface HeldLogStatus {
  topic: string;
  /** null: of the whole topic. */
  partition: number | null;
  /** Why they cannot be delivered now; null: they are being delivered. */
  reason: string | null;
  /** Not settled: waiting there, or on their way from there. The main log counts them as settled. */
  messages: number;
  bytes: number;
  /** Of the oldest of them; null when it is not known. */
  oldest_age: number | null;
}

/**
 * Where messages wait. "memory": `disk` is 0. "degraded": the disk takes nothing now, so new messages are kept in memory
 * alone until it does again.
 */
export interface BufferStatus {
  mode: "disk" | "memory" | "degraded";
  /** Why it is degraded. */
  reason?: string;
  /** The directory; null with memory only. */
  path: string | null;
  /** Whether there is no room for new messages now: senders wait, or messages are dropped. */
  full: boolean;
  /** Bytes that may be on disk, by `disk`, `min_free_disk` and what the volume has; 0 with memory only. */
  limit: number;
  /** Bytes on disk: the log, held messages and the journal. */
  used: number;
  /** Of these: held messages, and the journal of what is being delivered. */
  held_bytes: number;
  journal_bytes: number;
  /** Bytes of damaged data that were set aside, not part of `used`. */
  quarantined_bytes: number;
  /** Files of the log. */
  segments: number;
  /** Age of the oldest message that a power cut would take; 0: none; null: it would take all (memory only). */
  synced_age: number | null;
  /** Times that the disk refused to force data to it, since the start. */
  sync_failures: number;
  /** Why a file cannot be read now (its path and the error): what is in it waits, and is tried again; null: all can be read. */
  unreadable: string | null;
  /** Messages that wait in memory alone, and are lost if the process ends before Kafka has them; with memory only: all. */
  unspooled: number;
}

/** What the spool tells of itself. */
export interface SpoolReport {
  buffer: BufferStatus;
  /** Messages on disk and not read yet, by topic, as far as is known without reading them. */
  unread: ReadonlyMap<string, number>;
  held: readonly HeldLogStatus[];
}

/**
 * "idle": known, but nothing was to be sent to it; "down": it cannot be reached, and is tried again; "refused": it does not let
 * us in (TLS, login, versions), and is tried again.
 */
export type BrokerState = "idle" | "connecting" | "up" | "down" | "refused";

export interface BrokerStatus {
  /** Kafka's node id. */
  id: number;
  /** "host:port". */
  address: string;
  state: BrokerState;
  /** Produce requests sent and not answered. */
  in_flight: number;
  /** When the broker's throttling ends; null when it does not throttle. */
  throttled_until: number | null;
  /** Milliseconds for which it throttled since the start. */
  throttled_ms: number;
  /** Sets of brokers, this one first, that took long to copy what this one leads; what is for others goes another way. */
  slow_replicas: number[][];
  /** Why it is down, or what it refused. */
  reason?: string;
}

export interface InputStatus {
  input: "datagram" | "stream" | "tcp";
  /** Path of the socket, or "host:port". */
  address: string;
  /** Messages taken, also those discarded later. */
  received: number;
  received_bytes: number;
  connections_open: number;
  connections_accepted: number;
  /** Connections that ended inside a message. */
  unclean_disconnects: number;
}

/** The beginning of something that was turned away. */
export interface DiscardSample {
  at: number;
  input: InputStatus["input"];
  reason: DiscardReason | "unclean_disconnect";
  /** base64 of at most its first 256 bytes. */
  prefix: string;
}

/** The configuration in force. */
export interface ConfigStatus {
  /** The file that it was read from; null: there was none, all is at its default or given by --set. */
  file: string | null;
  /** When it was read last and found good. */
  loaded_at: number;
  /** Why the last attempt to read it again changed nothing; null: it did not fail. */
  error: string | null;
  /** When that was. */
  failed_at: number | null;
  /** Settings that were changed in the file, and take effect with the next start only. */
  restart_needed: string[];
}

export interface DaemonStatus {
  version: string;
  pid: number;
  started_at: number;
  now: number;
  state: "starting" | "running" | "stopping";
  /** With 0, delivered means no more than written to the broker's socket. */
  acks: "all" | 1 | 0;
  config: ConfigStatus;
  ledger: LedgerStatus;
  topics: TopicStatus[];
  /** Topics left out of `topics`, because only some were asked for (`?topics=N`). */
  topics_omitted?: number;
  /** What was received and waits to be put into a batch. */
  queue: { capacity: number; bytes: number; messages: number };
  buffer: BufferStatus;
  /** `batches`: bytes of the batches being filled, waiting, or in flight. */
  memory: { rss: number; batches: number };
  brokers: BrokerStatus[];
  inputs: InputStatus[];
  /** The newest few of each reason. */
  discard_samples: DiscardSample[];
  metadata: {
    /** Last time that brokers and partitions were learned; null before the first. */
    last_updated: number | null;
    /** Last time that they differed from those before. */
    last_modified: number | null;
    cluster_id: string | null;
    /** Attempts that failed since the start. */
    failures: number;
    /** Why the last attempt failed; left out when it did not. */
    reason?: string;
  };
}

/** Whether bruce takes messages and has room for them; if not, `reason` says what keeps it from that. */
export interface Readiness {
  ok: boolean;
  reason?: string;
}
