// The status of a running daemon, put together from what its rooms count.
import { brokerStatus } from "./brokerStatus.ts";
import type { Settings } from "./config/settings.ts";
import type { Dispatcher } from "./deliver/dispatcher.ts";
import { type Account, heldIn, openAccount } from "./observe/ledger.ts";
import { memoryFull, memoryOnly } from "./observe/memoryOnly.ts";
import type {
  AccountStatus,
  ConfigStatus,
  DaemonStatus,
  DiscardSample,
  HeldLogStatus,
  InputStatus,
  SpoolReport,
  TopicStatus,
} from "./observe/status.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Topic } from "./route/topic.ts";
import type { QueueReader } from "./spool/queue.ts";

export interface StatusParts {
  version: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  settings: Settings;
  config: ConfigStatus;
  state: DaemonStatus["state"];
  queue: QueueReader;
  queueCapacity: number;
  /** Left out: memory only. */
  spool?: SpoolReport;
  pipeline: Pipeline;
  inputs: InputStatus[];
  discardSamples: DiscardSample[];
}

export function daemonStatus(parts: StatusParts): DaemonStatus {
  const { queue, pipeline } = parts;
  const { ledger, cluster, around, dispatcher } = pipeline;
  const unrouted = queue.unread;
  const spool = parts.spool ?? memoryOnly(memoryFull(queue.bytesWaiting, parts.queueCapacity), queue.unsettled);
  const inHeldLogs = spool.held.reduce((sum, { messages }) => sum + messages, 0);
  const total = accountStatus(ledger.total, unrouted);
  return {
    version: parts.version,
    pid: process.pid,
    started_at: parts.startedAt,
    now: Date.now(),
    state: parts.state,
    acks: parts.settings.kafka.acks,
    config: parts.config,
    ledger: {
      ...total,
      balanced: total.held === queue.unsettled + inHeldLogs,
      no_topic: accountStatus(ledger.noTopic),
    },
    topics: topicStatuses(pipeline, spool),
    queue: { capacity: parts.queueCapacity, bytes: queue.bytesWaiting, messages: unrouted },
    buffer: spool.buffer,
    memory: { rss: process.memoryUsage.rss(), batches: around.memory.used + around.heldMemory.used },
    brokers: [...dispatcher.brokers()].map((broker) => brokerStatus(broker, pipeline.now())),
    inputs: parts.inputs,
    discard_samples: parts.discardSamples,
    metadata: {
      last_updated: cluster.lastUpdated ?? null,
      last_modified: cluster.lastModified ?? null,
      cluster_id: cluster.clusterId ?? null,
      failures: cluster.failures,
      ...(cluster.failure === undefined ? {} : { reason: cluster.failure }),
    },
  };
}

/** `unrouted`: messages received that no account has been told of yet. */
function accountStatus(account: Account, unrouted = 0): AccountStatus {
  return {
    received: account.received + unrouted,
    delivered: account.delivered,
    held: heldIn(account) + unrouted,
    discarded: account.discarded,
    discards_by_reason: Object.fromEntries(account.discardsByReason),
    possible_duplicates: account.possibleDuplicates,
  };
}

/** Topics of which all messages are still unread on the disk are among them. */
function topicStatuses(pipeline: Pipeline, { unread, held }: SpoolReport): TopicStatus[] {
  const logs = Map.groupBy(held, ({ topic }) => topic);
  const known = new Map(pipeline.ledger.topics());
  const unseen = [...unread.keys()].filter((name) => name !== "" && !known.has(name));
  const all: [string, Account][] = [...known, ...unseen.map((name): [string, Account] => [name, openAccount()])];
  return all.map(([name, account]) => ({
    ...topicStatus(name, account, logs.get(name) ?? [], pipeline),
    unread: unread.get(name) ?? 0,
  }));
}

function topicStatus(
  name: string,
  account: Account,
  logs: readonly HeldLogStatus[],
  { topics, dispatcher, now }: Pipeline,
): Omit<TopicStatus, "unread"> {
  const topic = topics.get(name);
  const reason = (topic === undefined ? undefined : whyHeld(topic, dispatcher)) ?? whyHeldOnDisk(logs);
  const inBatches = topic === undefined ? Number.NEGATIVE_INFINITY : now() - dispatcher.oldest(topic);
  const apart = topic === undefined ? [] : [...topic.allWaiting()].map(({ oldestAt }) => Date.now() - oldestAt);
  return {
    name,
    ...accountStatus(account),
    state: reason === undefined ? "live" : "held",
    ...(reason === undefined ? {} : { reason }),
    oldest_unsent_age: oldestAge(Math.max(inBatches, ...apart), logs),
    lag_bytes: (topic?.memory ?? 0) + logs.reduce((sum, log) => sum + log.bytes, 0),
    ...(topic === undefined || topic.limit.refusals === 0
      ? {}
      : { batch_limit: { bytes: topic.limit.known ?? null, refused: topic.limit.refusals } }),
    ...(logs.length === 0 ? {} : { held_logs: logs.map(({ topic: _, ...log }) => log) }),
  };
}

/** `inMemory`: minus infinity when there is nothing in memory. */
function oldestAge(inMemory: number, logs: readonly HeldLogStatus[]): number | null {
  const oldest = Math.max(inMemory, ...logs.flatMap(({ oldest_age: age }) => age ?? []));
  return Number.isFinite(oldest) ? Math.max(0, Math.round(oldest)) : null;
}

function whyHeldOnDisk(logs: readonly HeldLogStatus[]): string | undefined {
  for (const { reason, partition } of logs) {
    if (reason !== null) return partition === null ? reason : `partition ${partition}: ${reason}`;
  }
  return undefined;
}

function whyHeld(topic: Topic, dispatcher: Dispatcher): string | undefined {
  const { standing } = topic;
  switch (standing.kind) {
    case "held":
      return standing.reason;
    case "asking":
      return topic.waiting.count > 0 ? "Kafka has not said yet which partitions it has" : undefined;
    case "refused":
      return undefined;
    case "live":
      if (topic.parked !== undefined) return topic.parked;
      if (topic.leaderless) return "no partition of it has a leader";
      return Number.isFinite(dispatcher.oldest(topic)) ? dispatcher.noProducerId : undefined;
  }
}
