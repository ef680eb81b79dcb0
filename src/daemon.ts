// The composition root: puts the rooms together, starts delivery first and stops inputs first.
import type { Settings } from "./config/settings.ts";
import { topicSettings } from "./config/settings.ts";
import { daemonStatus } from "./daemonStatus.ts";
import { Cluster } from "./deliver/cluster.ts";
import { Dispatcher } from "./deliver/dispatcher.ts";
import { Settlement } from "./deliver/settlement.ts";
import { watchTopics } from "./deliver/topicWatch.ts";
import { type Ingest, startIngest } from "./ingest/ingest.ts";
import { KafkaConnection } from "./kafka/connection.ts";
import { DiscardLog } from "./observe/discardLog.ts";
import { type HttpServer, startHttp } from "./observe/http.ts";
import { Ledger } from "./observe/ledger.ts";
import type { Log } from "./observe/log.ts";
import type { DaemonStatus, Readiness } from "./observe/status.ts";
import { BufferPool } from "./route/bufferPool.ts";
import { LingerClock } from "./route/lingerClock.ts";
import { LingerTimer } from "./route/lingerTimer.ts";
import { MemoryBudget } from "./route/memoryBudget.ts";
import { Router } from "./route/router.ts";
import { Topic } from "./route/topic.ts";
import { TopicTable } from "./route/topicTable.ts";
import { MemoryQueue } from "./spool/memoryQueue.ts";

/** Of buffer.memory: half between the threads, three eighths in batches, one eighth for topics that cannot be delivered. */
const QUEUE_SHARE = 1 / 2;
const BATCH_SHARE = 3 / 8;
const HELD_SHARE = 1 / 8;

export interface Daemon {
  /** Where it listens. */
  addresses: Ingest["addresses"] & { http?: { host: string; port: number } };
  status: () => DaemonStatus;
  /** Inputs first, then flush up to delivery.shutdown_timeout. Resolves with the number of messages that were given up. */
  stop(): Promise<number>;
}

/** Starts all of it. Rejects with an Error that says what to do when a socket or the HTTP port cannot be had. */
export async function startDaemon(settings: Settings, log: Log, version: string): Promise<Daemon> {
  const startedAt = Date.now();
  const now = () => performance.now();
  const random = Math.random;
  const { memory } = settings.buffer;
  let state: DaemonStatus["state"] = "starting";

  const queueCapacity = memory * QUEUE_SHARE;
  const queue = new MemoryQueue(queueCapacity);
  const ledger = new Ledger(settings.buffer.maxTopics);
  const discardLog = new DiscardLog(log);
  const settlement = new Settlement(ledger, queue, (topic, count, reason) => discardLog.note(topic, count, reason));

  const connect = (host: string, port: number) =>
    new KafkaConnection({
      host,
      port,
      clientId: settings.kafka.clientId,
      connectTimeout: settings.kafka.connectTimeout,
      requestTimeout: settings.kafka.requestTimeout,
      log,
    });
  const cluster = new Cluster({ kafka: settings.kafka, log, connect, now, random });
  const linger = new LingerClock();
  const around = {
    pool: new BufferPool(),
    memory: new MemoryBudget(memory * BATCH_SHARE),
    heldMemory: new MemoryBudget(memory * HELD_SHARE),
    linger,
  };
  const lingerTimer = new LingerTimer(linger, now);
  const dispatcher: Dispatcher = new Dispatcher({
    settings,
    cluster,
    connect,
    settlement,
    pool: around.pool,
    log,
    now,
    random,
    onRelease: (topic) => router.drainWaiting(topic),
  });
  const topics = new TopicTable(settings.buffer.maxTopics, (name) => {
    cluster.want(name);
    return new Topic(name, topicSettings(settings, name), ledger.topic(name), around, dispatcher);
  });
  const router = new Router({
    queue,
    topics,
    ledger,
    around,
    settle: settlement,
    now,
    onRouted: () => lingerTimer.arm(),
  });
  watchTopics({
    cluster,
    dispatcher,
    topic: (name) => topics.get(name),
    drainWaiting: (topic) => router.drainWaiting(topic),
    log,
  });

  cluster.start();
  router.start();

  let ingest: Ingest | undefined;
  const status = () =>
    daemonStatus({
      version,
      startedAt,
      settings,
      state: () => state,
      ledger,
      queue,
      queueCapacity,
      topics,
      memory: around.memory,
      heldMemory: around.heldMemory,
      dispatcher,
      cluster,
      inputs: () => ingest?.status() ?? [],
      now,
    });
  const ready = (): Readiness => readiness(state, queue, queueCapacity);
  let http: HttpServer | undefined;
  const abandon = async () => {
    cluster.stop();
    router.stop();
    dispatcher.stop();
    await http?.stop();
  };
  try {
    if (settings.http.enabled) http = await startHttp({ listen: settings.http.listen, status, ready, log });
    ingest = await startIngest({
      input: settings.input,
      maxRecord: largestRecord(settings),
      queue,
      log,
      onReport: (report) => {
        for (const { reason, topic, count, samples, input } of report.discards) {
          settlement.rejected(topic ?? undefined, count, reason);
          discardLog.sample(input, reason, samples);
        }
      },
      onFailure: ({ message }) => {
        log.error("no message can be taken any more, stopping", { why: message });
        process.kill(process.pid, "SIGTERM");
      },
    });
  } catch (error) {
    await abandon();
    throw error;
  }
  state = "running";

  return {
    addresses: { ...ingest.addresses, ...(http === undefined ? {} : { http: http.address }) },
    status,
    async stop() {
      state = "stopping";
      await ingest.stop();
      await flush();
      router.stop();
      const givenUp = router.discardUnread("shutdown") + settlement.abandonAll("shutdown");
      await ingest.closed;
      lingerTimer.stop();
      discardLog.flush();
      await abandon();
      return givenUp;
    },
  };

  /** Everything that was taken goes out, as far as Kafka takes it within the time that a stop may last. */
  async function flush(): Promise<void> {
    const end = now() + settings.delivery.shutdownTimeout;
    while (queue.unsettled > 0 && now() < end) {
      for (const topic of topics.values()) topic.hurry(now());
      await Bun.sleep(FLUSH_STEP);
    }
  }
}

/** How often a stop looks whether everything is out, and hurries what came into batches since. Milliseconds. */
const FLUSH_STEP = 5;

/** The input thread knows no topics: it turns away only what is too large for every one of them. */
function largestRecord(settings: Settings): number {
  return Math.max(settings.batch.maxRecord, ...settings.topics.map(({ overrides }) => overrides.maxRecord ?? 0));
}

function readiness(state: DaemonStatus["state"], queue: MemoryQueue, capacity: number): Readiness {
  if (state !== "running") return { ok: false, reason: `bruce is ${state}` };
  if (queue.bytesWaiting > capacity * 0.9) return { ok: false, reason: "the buffer is full" };
  return { ok: true };
}
