// A daemon's status for tests: everything is there, and the ledger balances.
import type { AccountStatus, DaemonStatus, TopicStatus } from "../../src/observe/status.ts";

export function account(received: number, delivered: number, discards: AccountStatus["discards_by_reason"] = {}) {
  const discarded = Object.values(discards).reduce((sum, count) => sum + count, 0);
  return {
    received,
    delivered,
    discarded,
    held: received - delivered - discarded,
    discards_by_reason: discards,
    possible_duplicates: 0,
  };
}

export function topic(name: string, received: number, delivered: number, more: Partial<TopicStatus> = {}): TopicStatus {
  const held = received - delivered;
  return {
    name,
    ...account(received, delivered),
    state: "live",
    oldest_unsent_age: held > 0 ? 1500 : null,
    lag_bytes: held * 200,
    unread: 0,
    ...more,
  };
}

export function sampleStatus(more: Partial<DaemonStatus> = {}): DaemonStatus {
  return {
    version: "1.2.3",
    pid: 4711,
    started_at: 1_700_000_000_000,
    now: 1_700_000_600_000,
    state: "running",
    acks: "all",
    config: {
      file: "/etc/bruce/bruce.toml",
      loaded_at: 1_700_000_000_000,
      error: null,
      failed_at: null,
      restart_needed: [],
    },
    ledger: {
      ...account(1112, 1000, { malformed: 2, queue_full: 10 }),
      possible_duplicates: 3,
      balanced: true,
      no_topic: account(2, 0, { malformed: 2 }),
    },
    topics: [
      topic("clicks", 1000, 1000),
      topic("orders", 110, 0, {
        ...account(110, 0, { queue_full: 10 }),
        state: "held",
        reason: "the topic does not exist",
        oldest_unsent_age: 90_000,
        lag_bytes: 20_000,
        unread: 15,
        held_logs: [
          { partition: null, reason: "the topic does not exist", messages: 90, bytes: 18_000, oldest_age: 90_000 },
        ],
      }),
    ],
    queue: { capacity: 67_108_864, bytes: 4096, messages: 20 },
    buffer: {
      mode: "disk",
      path: "/var/lib/bruce",
      full: false,
      limit: 4_294_967_296,
      used: 1_073_741_824,
      held_bytes: 18_000,
      journal_bytes: 65_536,
      quarantined_bytes: 512,
      segments: 17,
      synced_age: 400,
      sync_failures: 0,
      unreadable: null,
      unspooled: 3,
    },
    memory: { rss: 90_000_000, batches: 262_144 },
    brokers: [
      {
        id: 1,
        address: "kafka-1:9092",
        state: "up",
        in_flight: 2,
        throttled_until: null,
        throttled_ms: 1500,
        slow_replicas: [[1, 3]],
      },
      {
        id: 2,
        address: "kafka-2:9092",
        state: "down",
        in_flight: 0,
        throttled_until: null,
        throttled_ms: 0,
        slow_replicas: [],
        reason: "connection refused",
      },
    ],
    inputs: [
      {
        input: "datagram",
        address: "/run/bruce/bruce.sock",
        received: 1100,
        received_bytes: 220_000,
        connections_open: 0,
        connections_accepted: 0,
        unclean_disconnects: 0,
      },
      {
        input: "stream",
        address: "/run/bruce/bruce.stream.sock",
        received: 12,
        received_bytes: 2400,
        connections_open: 1,
        connections_accepted: 4,
        unclean_disconnects: 1,
      },
    ],
    discard_samples: [],
    metadata: {
      last_updated: 1_700_000_590_000,
      last_modified: 1_700_000_001_000,
      cluster_id: "MkU3OEVBNTcwNTJENDM2Qk",
      failures: 1,
    },
    ...more,
  };
}
