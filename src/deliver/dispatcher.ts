// Brings due batches to the brokers: one batch in flight per partition, several partitions in one request.
import type { Settings } from "../config/settings.ts";
import { type ProduceResponse, produceRequest } from "../kafka/produce.ts";
import { NO_PRODUCER, stampBatch } from "../kafka/recordBatch.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { Log } from "../observe/log.ts";
import { rateLimited } from "../observe/logLimit.ts";
import type { Batch } from "../route/batch.ts";
import type { BufferPool } from "../route/bufferPool.ts";
import type { DueListener, Partition, Topic } from "../route/topic.ts";
import type { JournalEntry } from "../spool/journal.ts";
import { type After, afterDelay } from "./after.ts";
import { Answers, heldByBroker } from "./answers.ts";
import type { Broker } from "./broker.ts";
import { Brokers } from "./brokers.ts";
import { choosePartition } from "./choosePartition.ts";
import type { Cluster } from "./cluster.ts";
import type { DeliveryJournal } from "./deliveryJournal.ts";
import { JournalKeeper, NO_CLUSTER_ID } from "./journalKeeper.ts";
import type { Lane, LaneConnection } from "./lane.ts";
import { Outbox, type RestoredAs } from "./outbox.ts";
import { judge, type PartitionAnswer } from "./outcome.ts";
import { byTopic, type Parcel } from "./parcel.ts";
import { ProducerIds } from "./producerIds.ts";
import { cutBatch } from "./rebuildBatch.ts";
import type { Settlement } from "./settlement.ts";

export interface DispatcherParts {
  settings: Pick<Settings, "kafka" | "batch" | "delivery">;
  cluster: Cluster;
  connect: (host: string, port: number) => LaneConnection;
  settlement: Settlement;
  /** Without one (memory only), a crash forgets what was sent. */
  journal?: DeliveryJournal;
  pool: BufferPool;
  log: Log;
  /** Milliseconds, monotonic. */
  now: () => number;
  random: () => number;
  after?: After;
  /** Whether a batch that was never sent is too old to be. */
  isOver: (topic: Topic, batch: Batch) => boolean;
  /** A held topic is live again: what waits for it can move. */
  onRelease: (topic: Topic) => void;
}

/** The answer to a batch that wants none (acks 0): written to the socket is delivered. */
const WRITTEN: PartitionAnswer = { errorCode: 0, errorMessage: null, recordErrors: [] };

/** Of the request timeout, what the replicas may take: so the leader says that they did not confirm before we give it up. */
const REPLICATION_SHARE = 2 / 3;

/** Between two lines about the same trouble: brokers are tried, and refuse, many times a second. Milliseconds. */
const LOG_INTERVAL = 10_000;

export class Dispatcher implements DueListener {
  readonly #parts: Required<Omit<DispatcherParts, "journal">>;
  readonly #brokers: Brokers;
  readonly #answers: Answers;
  readonly #producerIds: ProducerIds;
  readonly #journal: JournalKeeper;
  readonly #outboxes = new Map<Partition, Outbox>();
  /** Topics with a due batch and no partition that could take it. */
  readonly #stranded = new Set<Topic>();
  /** Partitions that could send if their leader were known. */
  readonly #homeless = new Set<Outbox>();
  /** Index of the partition that got the last batch, for round-robin. */
  readonly #lastIndex = new Map<Topic, number>();
  /** Lanes that send at the end of this turn. */
  readonly #ready = new Set<Lane>();
  /** What wakes the lanes whose brokers want no requests for now. */
  readonly #throttled = new Map<Lane, () => void>();
  #stopped = false;

  constructor(parts: DispatcherParts) {
    this.#parts = { after: afterDelay, ...parts };
    const { cluster } = parts;
    const log = rateLimited(parts.log, LOG_INTERVAL);
    const onKnown = () => this.#wakeLanes();
    const clusterId = () => cluster.clusterId ?? NO_CLUSTER_ID;
    this.#producerIds = new ProducerIds({ ...parts, clusterId, onKnown });
    this.#journal = new JournalKeeper(parts.journal, clusterId, Date.now);
    this.#brokers = new Brokers({
      ...parts,
      onReady: (lane) => {
        this.#wake(lane);
        this.#wakeStranded();
      },
      onFailure: ({ host, port }, lane, why, delay) => {
        const fields = { broker: `${host}:${port}`, why, in_ms: Math.round(delay) };
        log.warn("a broker cannot be reached, trying again", fields, fields.broker);
        cluster.refresh(why);
        // What is for any partition need not wait for this one.
        for (const { partition } of lane.line) if (partition.topic.any.due) this.#stranded.add(partition.topic);
        this.#wakeStranded();
      },
    });
    this.#answers = new Answers({
      ...parts,
      journal: this.#journal,
      log,
      enqueue: (outbox) => this.#enqueue(outbox),
      onRelease: (topic) => {
        parts.onRelease(topic);
        this.topicChanged(topic);
      },
      refreshMetadata: (why) => cluster.refresh(why),
      renewProducerId: () => this.#producerIds.renew(),
    });
  }

  anyDue(topic: Topic): void {
    if (topic.standing.kind !== "live" || this.#stopped) return;
    const free = topic.partitions.filter((partition) => this.#isFree(partition));
    if (free.length === 0) {
      this.#stranded.add(topic);
      return;
    }
    this.#stranded.delete(topic);
    const last = this.#lastIndex.get(topic) ?? -1;
    const chosen = choosePartition(topic.settings.partitioner, topic.partitions, free, last, this.#parts.random);
    this.#lastIndex.set(topic, topic.partitions.indexOf(chosen));
    this.#enqueue(this.#outbox(chosen));
  }

  keyedDue(partition: Partition): void {
    this.#enqueue(this.#outbox(partition));
  }

  /** The cluster says something new: of where brokers are, and of these topics. */
  clusterChanged(topics: Iterable<Topic>): void {
    for (const outbox of this.#brokers.dropMoved()) {
      outbox.state = { kind: "idle" };
      this.#enqueue(outbox);
    }
    for (const topic of topics) this.topicChanged(topic);
    for (const outbox of [...this.#homeless]) this.#enqueue(outbox);
    this.#wakeStranded();
  }

  /** The topic's standing or leaders changed: all that can go now goes, and where it should. */
  topicChanged(topic: Topic): void {
    for (const partition of topic.allPartitions()) {
      const outbox = this.#outbox(partition);
      if (outbox.state.kind === "queued" && outbox.state.line !== this.#laneOf(outbox)) {
        outbox.state.line.leave(outbox);
        outbox.state = { kind: "idle" };
      }
      this.#enqueue(outbox);
    }
    if (topic.any.due) this.anyDue(topic);
  }

  /** Gives up everything of a topic that is not in flight. */
  discardTopic(topic: Topic, reason: DiscardReason): void {
    const { settlement } = this.#parts;
    topic.hurry();
    for (const queue of topic.queues())
      for (let batch = queue.take(); batch !== undefined; batch = queue.take())
        settlement.discardedBatch(topic, batch, reason);
    for (const partition of topic.allPartitions()) {
      const outbox = this.#outbox(partition);
      // Behind a batch in flight are only parts of a split one, which were never sent.
      const sent = outbox.state.kind !== "in flight";
      for (const batch of outbox.resend.splice(0))
        if (sent) this.#answers.giveUp(outbox, batch, reason);
        else settlement.discardedBatch(topic, batch, reason);
    }
  }

  /**
   * `batch` was sent before a restart, and Kafka may have it: it goes first of all, as its journal entry says. One that is not
   * the "same" goes under a new producer id, as a possible duplicate.
   */
  restore(partition: Partition, batch: Batch, entry: JournalEntry, as: RestoredAs): void {
    const { now, settlement } = this.#parts;
    const outbox = this.#outbox(partition);
    outbox.restore(batch, entry, as, now() - Math.max(0, Date.now() - entry.sentAt));
    if (outbox.producer === undefined) settlement.maybeTwice(partition.topic, batch);
    this.#enqueue(outbox);
  }

  /**
   * The partition is no more: takes out what was to be sent to it before all else, so that it goes to others. What it may
   * have had counts as possible duplicates.
   */
  takeGone(partition: Partition): Batch[] {
    const outbox = this.#outbox(partition);
    const [batch] = outbox.resend;
    if (outbox.state.kind === "in flight") return [];
    if (batch !== undefined && outbox.uncertain && outbox.producer !== undefined)
      this.#answers.startOver(outbox, batch);
    outbox.uncertain = false;
    outbox.firstSentAt = undefined;
    this.#journal.returned(outbox);
    return outbox.resend.splice(0);
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#stopped = true;
    this.#brokers.stop();
    this.#producerIds.stop();
    for (const cancel of this.#throttled.values()) cancel();
    for (const outbox of this.#outboxes.values()) outbox.stopWaiting();
  }

  brokers(): IterableIterator<Broker> {
    return this.#brokers.values();
  }

  /** Whether a batch of the partition is in flight, or one was taken and is to be sent again. */
  sends(partition: Partition): "now" | "later" | "nothing" {
    const outbox = this.#outboxes.get(partition);
    if (outbox?.state.kind === "in flight") return "now";
    return outbox !== undefined && outbox.resend.length > 0 ? "later" : "nothing";
  }

  /** When the oldest message of `topic` that Kafka has not acknowledged was routed; Infinity when there is none. */
  oldest(topic: Topic): number {
    let oldest = topic.any.oldest;
    for (const partition of topic.allPartitions())
      oldest = Math.min(oldest, partition.keyed.oldest, this.#outboxes.get(partition)?.oldest ?? oldest);
    return oldest;
  }

  #isFree(partition: Partition): boolean {
    const outbox = this.#outbox(partition);
    const lane = this.#laneOf(outbox);
    return outbox.state.kind === "idle" && lane !== undefined && !lane.unreachable;
  }

  #enqueue(outbox: Outbox): void {
    this.#homeless.delete(outbox);
    if (outbox.state.kind !== "idle" || !outbox.hasWork || this.#stopped) return;
    const { topic } = outbox.partition;
    // A batch that a broker refused is tried again, to see whether the topic must still be held.
    if (topic.standing.kind !== "live" && !(heldByBroker(topic) && outbox.resend.length > 0)) return;
    const lane = this.#laneOf(outbox);
    if (lane === undefined) {
      this.#homeless.add(outbox);
      return;
    }
    outbox.state = { kind: "queued", line: lane };
    lane.line.push(outbox);
    this.#wake(lane);
  }

  /** Lets the lane send, once all that is going on in this turn is done: so requests carry more. */
  #wake(lane: Lane): void {
    if (this.#ready.size === 0) {
      queueMicrotask(() => {
        const lanes = [...this.#ready];
        this.#ready.clear();
        for (const ready of lanes) this.#pump(ready);
      });
    }
    this.#ready.add(lane);
  }

  /** Every batch that becomes due asks for it, and a broker may want silence for minutes: one timer is enough. */
  #wakeLater(lane: Lane, delay: number): void {
    if (this.#throttled.has(lane)) return;
    const wake = () => {
      this.#throttled.delete(lane);
      this.#wake(lane);
    };
    this.#throttled.set(lane, this.#parts.after(delay, wake));
  }

  #wakeLanes(): void {
    for (const { fast, slow } of this.#brokers.values()) {
      this.#wake(fast);
      this.#wake(slow);
    }
  }

  #wakeStranded(): void {
    for (const topic of [...this.#stranded]) if (topic.any.due) this.anyDue(topic);
  }

  #pump(lane: Lane): void {
    const { maxInFlight, idempotence } = this.#parts.settings.kafka;
    while (lane.line.length > 0 && lane.inFlight < maxInFlight && !this.#stopped) {
      const connection = lane.connection();
      if (connection === undefined) return;
      const throttled = connection.throttledUntil - Date.now();
      if (throttled > 0) {
        this.#wakeLater(lane, throttled);
        return;
      }
      this.#renewOld(lane);
      if (idempotence && this.#producerIds.current === undefined) {
        this.#producerIds.ask(connection, this.#parts.now());
        return;
      }
      const parcels = this.#gather(lane);
      if (parcels.length > 0) this.#send(lane, connection, parcels);
    }
  }

  /** Batches of the partitions in line, up to the size of a request. */
  #gather(lane: Lane): Parcel[] {
    const parcels: Parcel[] = [];
    const more = new Set<Topic>();
    const { requestBytes } = this.#parts.settings.batch;
    let size = 0;
    while (lane.line.length > 0 && size < requestBytes) {
      const outbox = lane.line.shift() as Outbox;
      outbox.state = { kind: "idle" };
      const batch = this.#next(outbox);
      if (batch === undefined) continue;
      outbox.state = { kind: "in flight", batch, sentAt: this.#parts.now() };
      parcels.push({ outbox, batch });
      size += batch.bytes.length;
      if (outbox.partition.topic.any.due) more.add(outbox.partition.topic);
    }
    for (const topic of more) this.anyDue(topic);
    return parcels;
  }

  /** The batch to send now, no larger than the brokers take, as far as that is known. */
  #next(outbox: Outbox): Batch | undefined {
    const { topic } = outbox.partition;
    const { limit } = topic;
    let batch = this.#first(outbox);
    // One that the broker may have must stay as it is.
    while (batch !== undefined && !outbox.uncertain && limit.isTooLarge(batch)) {
      const how = { compression: topic.settings, pool: this.#parts.pool };
      outbox.resend.unshift(...cutBatch(batch, limit.cut(batch), how));
      batch = outbox.next();
    }
    return batch;
  }

  /** One that was sent before, or else the first that is not too old. */
  #first(outbox: Outbox): Batch | undefined {
    const { isOver, settlement } = this.#parts;
    const again = outbox.resend.length > 0;
    const { topic } = outbox.partition;
    for (;;) {
      const batch = outbox.next();
      if (batch === undefined || again || !isOver(topic, batch)) return batch;
      settlement.discardedBatch(topic, batch, "expired");
    }
  }

  #send(lane: Lane, connection: LaneConnection, parcels: Parcel[]): void {
    const { acks, requestTimeout } = this.#parts.settings.kafka;
    for (const { outbox, batch } of parcels) this.#stamp(outbox, batch);
    this.#journal.sending(parcels);
    const request = produceRequest({
      acks: acks === "all" ? -1 : acks,
      timeout: Math.ceil(requestTimeout * REPLICATION_SHARE),
      topics: byTopic(parcels),
    });
    lane.inFlight++;
    connection.request(request).then(
      (response) => {
        lane.inFlight--;
        lane.succeeded();
        this.#answered(lane, connection, parcels, acks === 0 ? undefined : response);
        this.#wake(lane);
      },
      (failure: Error) => {
        lane.inFlight--;
        lane.lost(connection, failure.message);
        for (const parcel of parcels) this.#answers.unknown(parcel);
        this.#wake(lane);
      },
    );
  }

  /**
   * A broker forgets a producer id it has not heard of for long, and then takes a repetition for something new; so does
   * every broker of another cluster than the one that gave the id.
   */
  #renewOld(lane: Lane): void {
    const { settings, cluster, now } = this.#parts;
    const oldest = now() - settings.kafka.producerIdExpiration / 2;
    const { current } = this.#producerIds;
    if (current !== undefined && differ(current.clusterId, cluster.clusterId)) this.#producerIds.renew();
    for (const outbox of lane.line) {
      if (outbox.producer === undefined) continue;
      const strange = differ(outbox.producer.clusterId, cluster.clusterId);
      const [batch] = outbox.resend;
      const old = batch !== undefined && outbox.firstSentAt !== undefined && outbox.firstSentAt < oldest;
      if (!strange && !old) continue;
      if (batch !== undefined && outbox.uncertain) this.#answers.startOver(outbox, batch);
      else {
        // No broker has anything of what is to be sent.
        outbox.forgetProducer();
        this.#producerIds.renew();
      }
    }
  }

  /** Producer and sequence are given when a batch is sent. */
  #stamp(outbox: Outbox, batch: Batch): void {
    if (this.#parts.settings.kafka.idempotence) outbox.producer ??= this.#producerIds.current;
    if (outbox.producer === undefined) {
      stampBatch(batch.bytes, NO_PRODUCER);
      return;
    }
    outbox.firstSentAt ??= this.#parts.now();
    stampBatch(batch.bytes, outbox.stamp());
  }

  #answered(lane: Lane, connection: LaneConnection, parcels: Parcel[], response: ProduceResponse | undefined): void {
    const answers = new Map<string, PartitionAnswer>();
    for (const answer of response?.partitions ?? []) answers.set(`${answer.partition} ${answer.topic}`, answer);
    let complete = true;
    for (const parcel of parcels) {
      const { id, topic } = parcel.outbox.partition;
      const answer = response === undefined ? WRITTEN : answers.get(`${id} ${topic.name}`);
      if (answer !== undefined) this.#answers.act(parcel, judge(answer, parcel.batch.count));
      else {
        complete = false;
        this.#answers.unknown(parcel);
      }
    }
    if (!complete) lane.lost(connection, "the answer to a produce request left partitions out");
  }

  #outbox(partition: Partition): Outbox {
    let outbox = this.#outboxes.get(partition);
    if (outbox === undefined) {
      outbox = new Outbox(partition, this.#parts.after);
      this.#outboxes.set(partition, outbox);
    }
    return outbox;
  }

  #laneOf(outbox: Outbox): Lane | undefined {
    return this.#brokers.get(outbox.partition.leader)?.laneFor(outbox);
  }
}

/** Are these two clusters? One without an id may be any. */
function differ(clusterId: string, other: string | undefined): boolean {
  return clusterId !== NO_CLUSTER_ID && other !== undefined && other !== clusterId;
}
