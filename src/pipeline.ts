// From the queue to Kafka: the rooms behind the input thread, put together.
import { type Settings, topicSettings } from "./config/settings.ts";
import { Cluster } from "./deliver/cluster.ts";
import type { DeliveryJournal } from "./deliver/deliveryJournal.ts";
import { Dispatcher } from "./deliver/dispatcher.ts";
import { FlushWatch } from "./deliver/flushWatch.ts";
import { Holder, type HolderParts } from "./deliver/hold.ts";
import { type RestoreParts, restoreBatches } from "./deliver/restore.ts";
import { restoreHeld } from "./deliver/restoreHeld.ts";
import { type DiscardListener, Settlement } from "./deliver/settlement.ts";
import { watchTopics } from "./deliver/topicWatch.ts";
import { KafkaConnection } from "./kafka/connection.ts";
import type { SecuritySource } from "./kafka/security.ts";
import { type Books, Ledger } from "./observe/ledger.ts";
import type { Log } from "./observe/log.ts";
import type { Changed } from "./reload.ts";
import type { BatchSurroundings } from "./route/batchQueue.ts";
import { BufferPool } from "./route/bufferPool.ts";
import { Expiry } from "./route/expiry.ts";
import { LingerClock } from "./route/lingerClock.ts";
import { LingerTimer } from "./route/lingerTimer.ts";
import { MemoryBudget } from "./route/memoryBudget.ts";
import { type Clocks, MessageAge } from "./route/messageAge.ts";
import { Router } from "./route/router.ts";
import { Topic } from "./route/topic.ts";
import { TopicTable } from "./route/topicTable.ts";
import type { HeldLogs } from "./spool/heldLogs.ts";
import type { QueueReader } from "./spool/queue.ts";

/**
 * Of buffer.memory: half waits between the threads, five sixteenths in batches, one eighth for what cannot be delivered. The
 * last sixteenth is for what is not counted: message numbers, what a socket holds of a request, garbage.
 */
export const QUEUE_SHARE = 1 / 2;
const BATCH_SHARE = 5 / 16;
const HELD_SHARE = 1 / 8;

/** How often a flush looks whether everything is out, and hurries what came into batches since. Milliseconds. */
const FLUSH_STEP = 5;

export interface PipelineParts {
  settings: Settings;
  /** How connections are made secure from now on; left out: not at all. */
  security?: { readonly current: SecuritySource };
  queue: QueueReader;
  log: Log;
  onDiscard: DiscardListener;
  /** Without one (memory only), a crash forgets what was sent. */
  journal?: DeliveryJournal;
  /** The logs on disk of what cannot be delivered; left out: it is held in memory. */
  held?: HeldLogs;
  hold?: Pick<HolderParts, "markOf" | "times">;
  /** The clock by which messages were received, and the one that it is watched by; for tests. */
  ageClocks?: Clocks;
  /** What an earlier run left. */
  restored?: Pick<RestoreParts, "entries" | "bound" | "fetch" | "lostBecause"> & {
    topicsSeen: Iterable<string>;
    books?: Books;
  };
}

export interface Pipeline {
  ledger: Ledger;
  topics: TopicTable;
  around: BatchSurroundings;
  settlement: Settlement;
  cluster: Cluster;
  dispatcher: Dispatcher;
  /** Milliseconds, monotonic: the clock of all ages in here. */
  now: () => number;
  /**
   * Sends everything in the queue, whatever its linger; resolves when all is settled, when waiting is of no use (see
   * FlushWatch), or after `patience` ms.
   */
  flush(patience: number): Promise<void>;
  /** To be called when `settings`, or what `security` is, has changed in place: what was made of them is brought up to date. */
  settingsChanged(changed: Changed): void;
  /**
   * To be called when `settings` was changed in place: each topic gets its own anew, and they hold for all that was not sent
   * yet. What is in a batch keeps the partition it was given.
   */
  topicSettingsChanged(): void;
  /** See `Router.dropOldest`. */
  dropOldest(bytes: number): number;
  /** See `Router.dropForWriter`. */
  dropForWriter(): void;
  /**
   * Ends it at once. With a journal, what is not settled is delivered after the next start; otherwise it is given up. Returns
   * how many messages were given up.
   */
  stop(): number;
}

/** Starts to take from the queue and to deliver. */
export function startPipeline({
  settings,
  security,
  queue,
  log,
  onDiscard,
  journal,
  held,
  hold,
  ageClocks = { wall: Date.now, monotonic: () => performance.now() },
  restored,
}: PipelineParts): Pipeline {
  const now = () => performance.now();
  const random = Math.random;
  const { memory, maxTopics } = settings.buffer;

  const ledger = new Ledger(maxTopics, restored?.books);
  const settlement = new Settlement(ledger, queue, onDiscard, held);
  const linger = new LingerClock();
  const lingerTimer = new LingerTimer(linger, now);
  const pool = new BufferPool(memory * (BATCH_SHARE + HELD_SHARE));
  const batchMemory = new MemoryBudget(memory * BATCH_SHARE);
  const around: BatchSurroundings = {
    pool,
    memory: batchMemory,
    heldMemory: new MemoryBudget(memory * HELD_SHARE, batchMemory),
    linger,
    openHeld: held?.open,
  };

  const connect = (host: string, port: number) => {
    const { clientId, connectTimeout, requestTimeout } = settings.kafka;
    const secure = security?.current.forHost(host);
    return new KafkaConnection({ host, port, clientId, connectTimeout, requestTimeout, log, ...secure });
  };
  const topicsSeen = restored?.topicsSeen ?? [];
  const { kafka, delivery } = settings;
  const cluster = new Cluster({ kafka, delivery, log, connect, now, random, topicsSeen });
  const age = new MessageAge(ageClocks);
  const expiry = new Expiry({ topics: () => topics.values(), settle: settlement, age });
  const drainWaiting = (topic: Topic) => router.drainWaiting(topic);
  const dispatcher = new Dispatcher({
    settings,
    cluster,
    connect,
    settlement,
    journal,
    pool,
    log,
    now,
    random,
    seams: (numbers) => queue.seams(numbers),
    isOver: (topic, batch) => expiry.isOver(topic, batch),
    onRelease: drainWaiting,
  });
  const topics = new TopicTable(maxTopics, (name) => {
    cluster.want(name);
    const topic = new Topic(name, topicSettings(settings, name), ledger.topic(name), around, dispatcher);
    topic.onHeld = () => holder.held(topic);
    return topic;
  });
  const router: Router = new Router({
    queue,
    topics,
    ledger,
    around,
    settle: settlement,
    age,
    now,
    onRouted: () => lingerTimer.arm(),
    onFull: () => holder.look(true),
  });
  const holder: Holder = new Holder({
    topics: () => topics.values(),
    brokers: () => dispatcher.brokers(),
    around,
    settle: settlement,
    router,
    takeGone: (partition) => dispatcher.takeGone(partition),
    now,
    wallClock: ageClocks.wall,
    log,
    ...hold,
  });
  if (held !== undefined) {
    held.reasonOf = (name, partition) => {
      const topic = topics.get(name);
      const isKnown = topic !== undefined && topic.standing.kind !== "asking";
      return topic?.whyApart(partition) ?? (isKnown ? null : undefined);
    };
  }
  const watch = watchTopics({
    kafka: settings.kafka,
    cluster,
    dispatcher,
    topic: (name) => topics.get(name),
    drainWaiting,
    log,
  });
  const topic = (name: string) => topics.find(Buffer.from(name, "latin1"), 0, name.length);
  if (held !== undefined) restoreHeld({ held, topic, log });
  if (restored !== undefined && journal !== undefined) {
    restoreBatches({ ...restored, topic, dispatcher, settlement, journal, pool, log, now });
  }
  const topicSettingsChanged = () => {
    for (const topic of topics.values()) {
      const changed = topicSettings(settings, topic.name);
      if (Bun.deepEquals(changed, topic.settings)) continue;
      topic.settings = changed;
      watch.settingsChanged(topic);
    }
  };
  cluster.start();
  router.start();
  holder.start();
  expiry.start();

  return {
    ledger,
    topics,
    around,
    settlement,
    cluster,
    dispatcher,
    now,
    async flush(patience) {
      const end = now() + patience;
      const survives = journal !== undefined;
      const watch = new FlushWatch({ queue, topics: () => topics.values(), cluster, dispatcher, survives, now });
      while (queue.unsettled > 0 && now() < end && !watch.over) {
        for (const topic of topics.values()) topic.hurry();
        await Bun.sleep(FLUSH_STEP);
      }
    },
    settingsChanged(changed) {
      topics.limit = ledger.maxTopics = settings.buffer.maxTopics;
      if (changed("topics", "batch", "compression", "delivery")) topicSettingsChanged();
      if (changed("kafka.brokers")) cluster.setBootstrap(kafka.brokers);
      const why = whyReconnect(changed);
      if (why !== undefined) {
        cluster.renewConnection(why);
        dispatcher.renewConnections(why);
      } else if (changed("kafka.metadata_refresh", "kafka.auto_create_topics")) cluster.refresh("settings changed");
    },
    topicSettingsChanged,
    dropOldest: (bytes) => router.dropOldest(bytes),
    dropForWriter: () => router.dropForWriter(),
    stop() {
      holder.stop();
      expiry.stop();
      router.stop();
      lingerTimer.stop();
      cluster.stop();
      dispatcher.stop();
      return journal === undefined ? router.discardUnread("shutdown") + settlement.abandonAll("shutdown") : 0;
    },
  };
}

/** Why the connections to brokers are to be made anew; undefined: they need not. */
function whyReconnect(changed: Changed): string | undefined {
  if (changed("kafka.tls", "kafka.sasl")) return "TLS or login changed";
  if (changed("kafka.client_id", "kafka.request_timeout")) return "settings of connections changed";
  return undefined;
}
