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
}

/** "idle": known, but nothing was to be sent to it; "down": it cannot be reached, and is tried again. */
export type BrokerState = "idle" | "connecting" | "up" | "down";

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
  /** Why it is down. */
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

export interface DaemonStatus {
  version: string;
  pid: number;
  started_at: number;
  now: number;
  state: "starting" | "running" | "stopping";
  /** With 0, delivered means no more than written to the broker's socket. */
  acks: "all" | 1 | 0;
  ledger: LedgerStatus;
  topics: TopicStatus[];
  /** Topics left out of `topics`, because only some were asked for (`?topics=N`). */
  topics_omitted?: number;
  /** What was received and waits to be put into a batch. */
  queue: { capacity: number; bytes: number; messages: number };
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
  };
}

/** Whether bruce takes messages and has room for them; if not, `reason` says what keeps it from that. */
export interface Readiness {
  ok: boolean;
  reason?: string;
}
