// The status as Prometheus reads it. Nothing is counted here: each scrape is made from one status.
import { readdirSync } from "node:fs";
import { Counter, Gauge, Registry } from "prom-client";
import type { AccountStatus, BufferStatus, DaemonStatus, HeldLogStatus } from "./status.ts";

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

type Labels = Record<string, string | number>;
type Put = (value: number, labels?: Labels) => void;

interface Family {
  name: string;
  help: string;
  kind: "counter" | "gauge";
  labels: string[];
  samples(status: DaemonStatus, put: Put): void;
}

/**
 * The text of a scrape. One family at a time, each in a turn of its own: 10,000 topics make 50,000 lines, 100 ms in all
 * but 25 ms at most in one piece, so that deliveries go on in between. A registry per family and scrape keeps nothing.
 */
export async function renderMetrics(status: DaemonStatus): Promise<string> {
  const texts: string[] = [];
  for (const family of FAMILIES) {
    texts.push(await renderFamily(family, status));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return texts.join("");
}

async function renderFamily(family: Family, status: DaemonStatus): Promise<string> {
  const registry = new Registry();
  const options = { name: family.name, help: family.help, labelNames: family.labels, registers: [registry] };
  const metric = family.kind === "counter" ? new Counter(options) : new Gauge(options);
  let put = 0;
  family.samples(status, (value, labels = {}) => {
    // prom-client throws on these. A number that went wrong must not take all the others from whoever watches.
    if (!Number.isFinite(value) || (value < 0 && family.kind === "counter")) return;
    metric.inc(labels, value);
    put++;
  });
  // Without labels prom-client would say 0 for what is not known.
  if (put === 0 && family.labels.length === 0) return "";
  return registry.metrics();
}

/** What was taken under no topic has the empty topic, which to Prometheus is no label. */
function accounts(status: DaemonStatus, each: (topic: string, account: AccountStatus) => void): void {
  each("", status.ledger.no_topic);
  for (const topic of status.topics) each(topic.name, topic);
}

function perTopic(pick: (account: AccountStatus) => number): Family["samples"] {
  return (status, put) => accounts(status, (topic, account) => put(pick(account), { topic }));
}

function perInput(pick: (input: DaemonStatus["inputs"][number]) => number): Family["samples"] {
  return (status, put) => {
    for (const input of status.inputs) put(pick(input), { input: input.input });
  };
}

function perBroker(pick: (broker: DaemonStatus["brokers"][number]) => number): Family["samples"] {
  return (status, put) => {
    for (const broker of status.brokers) put(pick(broker), { broker: broker.id, address: broker.address });
  };
}

function single(pick: (status: DaemonStatus) => number): Family["samples"] {
  return (status, put) => put(pick(status));
}

/** Of what is on disk: left out with memory only. */
function onDisk(pick: (buffer: BufferStatus) => number | null): Family["samples"] {
  return ({ buffer }, put) => {
    const value = buffer.mode === "memory" ? null : pick(buffer);
    if (value !== null) put(value);
  };
}

function perHeldLog(pick: (log: Omit<HeldLogStatus, "topic">) => number): Family["samples"] {
  return (status, put) => {
    for (const { name, held_logs: logs = [] } of status.topics) {
      for (const log of logs) put(pick(log), { topic: name, partition: log.partition ?? "" });
    }
  };
}

const counter = (name: string, help: string, labels: string[], samples: Family["samples"]): Family => {
  return { name, help, kind: "counter", labels, samples };
};
const gauge = (name: string, help: string, labels: string[], samples: Family["samples"]): Family => {
  return { name, help, kind: "gauge", labels, samples };
};

const MODES: BufferStatus["mode"][] = ["disk", "memory", "degraded"];
const BROKER = ["broker", "address"];

const FAMILIES: Family[] = [
  gauge("bruce_build_info", "Version of bruce; always 1.", ["version"], (s, put) => put(1, { version: s.version })),

  gauge(
    "bruce_config_last_reload_successful",
    "0 when the configuration was to be read again and was not good: what was in force before still is.",
    [],
    single((s) => (s.config.error === null ? 1 : 0)),
  ),
  gauge(
    "bruce_config_last_reload_success_timestamp_seconds",
    "When the configuration was last read and found good.",
    [],
    single((s) => s.config.loaded_at / 1000),
  ),
  gauge(
    "bruce_config_restart_needed",
    "Settings that were changed and take effect with the next start only.",
    [],
    single((s) => s.config.restart_needed.length),
  ),

  counter(
    "bruce_messages_received_total",
    "Messages taken.",
    ["topic"],
    perTopic((a) => a.received),
  ),
  counter(
    "bruce_messages_delivered_total",
    "Messages that Kafka acknowledged.",
    ["topic"],
    perTopic((a) => a.delivered),
  ),
  counter("bruce_messages_discarded_total", "Messages given up, by reason.", ["topic", "reason"], (s, put) =>
    accounts(s, (topic, account) => {
      for (const [reason, count] of Object.entries(account.discards_by_reason)) put(count, { topic, reason });
    }),
  ),
  gauge(
    "bruce_messages_held",
    "Messages neither delivered nor discarded yet.",
    ["topic"],
    perTopic((a) => a.held),
  ),
  counter(
    "bruce_possible_duplicates_total",
    "Messages sent again without knowing whether Kafka had them.",
    [],
    single((s) => s.ledger.possible_duplicates),
  ),
  gauge(
    "bruce_ledger_balanced",
    "1 while the ledger balances.",
    [],
    single((s) => (s.ledger.balanced ? 1 : 0)),
  ),

  gauge(
    "bruce_topics",
    "Topics that messages were received for.",
    [],
    single((s) => s.topics.length),
  ),
  gauge("bruce_topic_on_hold", "1 for each topic that cannot be delivered now.", ["topic"], (s, put) => {
    for (const topic of s.topics) if (topic.state === "held") put(1, { topic: topic.name });
  }),
  counter(
    "bruce_batches_too_large_total",
    "Batches of several messages that Kafka found too large, for topics that had any.",
    ["topic"],
    (s, put) => {
      for (const { name, batch_limit: limit } of s.topics) if (limit !== undefined) put(limit.refused, { topic: name });
    },
  ),
  gauge("bruce_topic_lag_bytes", "Bytes of the messages held, for topics that have any.", ["topic"], (s, put) => {
    for (const topic of s.topics) if (topic.lag_bytes > 0) put(topic.lag_bytes, { topic: topic.name });
  }),
  gauge("bruce_topic_oldest_unsent_seconds", "Age of the oldest message held, by topic.", ["topic"], (s, put) => {
    for (const { name, oldest_unsent_age: age } of s.topics) if (age !== null) put(age / 1000, { topic: name });
  }),
  gauge(
    "bruce_oldest_unsent_seconds",
    "Age of the oldest message held; 0 when there is none.",
    [],
    single((s) => s.topics.reduce((oldest, topic) => Math.max(oldest, topic.oldest_unsent_age ?? 0), 0) / 1000),
  ),

  gauge(
    "bruce_topic_unread_messages",
    "Messages of the backlog on disk, by topic, as far as known.",
    ["topic"],
    (s, put) => {
      for (const topic of s.topics) if (topic.unread > 0) put(topic.unread, { topic: topic.name });
    },
  ),
  gauge(
    "bruce_held_log_messages",
    "Messages that wait on disk apart from others, by topic, or by topic and partition.",
    ["topic", "partition"],
    perHeldLog((log) => log.messages),
  ),
  gauge(
    "bruce_held_log_bytes",
    "Bytes of these.",
    ["topic", "partition"],
    perHeldLog((log) => log.bytes),
  ),

  gauge("bruce_buffer_mode", "1 for the mode that the buffer is in, 0 for the others.", ["mode"], (s, put) => {
    for (const mode of MODES) put(s.buffer.mode === mode ? 1 : 0, { mode });
  }),
  gauge(
    "bruce_buffer_unspooled_messages",
    "Messages that wait in memory alone: a crash would take them.",
    [],
    onDisk((b) => b.unspooled),
  ),
  gauge(
    "bruce_buffer_full",
    "1 while there is no room for new messages.",
    [],
    single((s) => (s.buffer.full ? 1 : 0)),
  ),
  gauge(
    "bruce_buffer_limit_bytes",
    "Bytes that may be on disk.",
    [],
    onDisk((b) => b.limit),
  ),
  gauge(
    "bruce_buffer_used_bytes",
    "Bytes on disk.",
    [],
    onDisk((b) => b.used),
  ),
  gauge(
    "bruce_buffer_held_bytes",
    "Bytes on disk of messages that cannot be delivered now.",
    [],
    onDisk((b) => b.held_bytes),
  ),
  gauge(
    "bruce_buffer_journal_bytes",
    "Bytes on disk of the journal of deliveries.",
    [],
    onDisk((b) => b.journal_bytes),
  ),
  gauge(
    "bruce_buffer_quarantined_bytes",
    "Bytes of damaged data that were set aside.",
    [],
    onDisk((b) => b.quarantined_bytes),
  ),
  gauge(
    "bruce_buffer_segments",
    "Files of the log on disk.",
    [],
    onDisk((b) => b.segments),
  ),
  gauge(
    "bruce_buffer_unsynced_seconds",
    "Age of the oldest message that a power cut would take; 0 when there is none.",
    [],
    onDisk((b) => (b.synced_age === null ? null : b.synced_age / 1000)),
  ),
  counter(
    "bruce_buffer_sync_failures_total",
    "Times that the disk refused to force data to it.",
    [],
    onDisk((b) => b.sync_failures),
  ),
  gauge(
    "bruce_buffer_unreadable",
    "1 while a file of the buffer cannot be read, so that what is in it waits.",
    [],
    onDisk((b) => (b.unreadable === null ? 0 : 1)),
  ),

  gauge(
    "bruce_queue_bytes",
    "Bytes received that wait to be put into a batch.",
    [],
    single((s) => s.queue.bytes),
  ),
  gauge(
    "bruce_queue_messages",
    "Messages that wait to be put into a batch.",
    [],
    single((s) => s.queue.messages),
  ),
  gauge(
    "bruce_queue_capacity_bytes",
    "Bytes that may wait.",
    [],
    single((s) => s.queue.capacity),
  ),
  gauge(
    "bruce_batches_bytes",
    "Bytes of batches being filled or sent.",
    [],
    single((s) => s.memory.batches),
  ),

  gauge("bruce_broker_up", "0 while the broker cannot be reached, or does not let us in.", BROKER, perBroker(brokerUp)),
  counter(
    "bruce_broker_throttled_seconds_total",
    "Time for which the broker wanted no requests, because of a quota.",
    BROKER,
    perBroker((b) => b.throttled_ms / 1000),
  ),
  gauge(
    "bruce_broker_slow_replica_sets",
    "Sets of brokers that take long to copy what this one leads.",
    BROKER,
    perBroker((b) => b.slow_replicas.length),
  ),
  gauge(
    "bruce_broker_in_flight",
    "Produce requests sent and not answered.",
    BROKER,
    perBroker((b) => b.in_flight),
  ),

  counter(
    "bruce_input_messages_total",
    "Messages taken, by input.",
    ["input"],
    perInput((i) => i.received),
  ),
  counter(
    "bruce_input_bytes_total",
    "Bytes of messages taken, by input.",
    ["input"],
    perInput((i) => i.received_bytes),
  ),
  gauge(
    "bruce_input_connections",
    "Connections open.",
    ["input"],
    perInput((i) => i.connections_open),
  ),
  counter(
    "bruce_input_connections_total",
    "Connections accepted.",
    ["input"],
    perInput((i) => i.connections_accepted),
  ),
  counter(
    "bruce_input_unclean_disconnects_total",
    "Connections that ended inside a message.",
    ["input"],
    perInput((i) => i.unclean_disconnects),
  ),

  gauge("bruce_metadata_updated_timestamp_seconds", "When metadata was last fetched.", [], (s, put) => {
    if (s.metadata.last_updated !== null) put(s.metadata.last_updated / 1000);
  }),
  counter(
    "bruce_metadata_failures_total",
    "Failed fetches of metadata.",
    [],
    single((s) => s.metadata.failures),
  ),

  counter(
    "process_cpu_user_seconds_total",
    "User CPU time.",
    [],
    single(() => process.cpuUsage().user / 1e6),
  ),
  counter(
    "process_cpu_system_seconds_total",
    "System CPU time.",
    [],
    single(() => process.cpuUsage().system / 1e6),
  ),
  counter("process_cpu_seconds_total", "User and system CPU time.", [], (_status, put) => {
    const { user, system } = process.cpuUsage();
    put((user + system) / 1e6);
  }),
  gauge(
    "process_resident_memory_bytes",
    "Resident memory.",
    [],
    single((s) => s.memory.rss),
  ),
  gauge(
    "process_start_time_seconds",
    "Start time since the epoch.",
    [],
    single((s) => s.started_at / 1000),
  ),
  gauge("process_open_fds", "Open file descriptors.", [], (_status, put) => {
    const count = openFiles();
    if (count !== undefined) put(count);
  }),
];

/** A broker that nothing was to be sent to is not known to be away. */
function brokerUp(broker: DaemonStatus["brokers"][number]): number {
  return broker.state === "up" || broker.state === "idle" ? 1 : 0;
}

function openFiles(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}
