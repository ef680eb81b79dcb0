// Brings due batches to the brokers: one batch in flight per partition, several partitions in one request, and acts on answers.
import type { Settings } from "../config/settings.ts";
import type { KafkaConnection } from "../kafka/connection.ts";
import { type ProduceResponse, produceRequest } from "../kafka/produce.ts";
import { NO_PRODUCER, stampBatch } from "../kafka/recordBatch.ts";
import type { Log } from "../observe/log.ts";
import type { Batch } from "../route/batch.ts";
import type { BufferPool } from "../route/bufferPool.ts";
import type { DueListener, Partition, Topic } from "../route/topic.ts";
import { backoffDelay } from "./backoff.ts";
import { Broker } from "./broker.ts";
import { choosePartition } from "./choosePartition.ts";
import type { Cluster } from "./cluster.ts";
import type { Lane } from "./lane.ts";
import { Outbox } from "./outbox.ts";
import { judge, type Outcome, type PartitionAnswer } from "./outcome.ts";
import { ProducerIds } from "./producerIds.ts";
import { splitBatch, withoutRecords } from "./rebuildBatch.ts";
import type { Settlement } from "./settlement.ts";

/** A partition whose last batch took longer than this uses the slow lane. Milliseconds. */
const SLOW = 1000;

export interface DispatcherParts {
  settings: Pick<Settings, "kafka" | "batch" | "delivery">;
  cluster: Cluster;
  connect: (host: string, port: number) => KafkaConnection;
  settlement: Settlement;
  pool: BufferPool;
  log: Log;
  /** Milliseconds, monotonic. */
  now: () => number;
  random: () => number;
  /** A topic went live (again), or was refused: what waits for it can move. */
  onStanding: (topic: Topic) => void;
}

interface Parcel {
  outbox: Outbox;
  batch: Batch;
}

export class Dispatcher implements DueListener {
  readonly #parts: DispatcherParts;
  readonly #outboxes = new Map<Partition, Outbox>();
  readonly #brokers = new Map<number, Broker>();
  readonly #producerIds: ProducerIds;
  /** Topics with a due batch and no partition that could take it. */
  readonly #stranded = new Set<Topic>();
  /** Index of the partition that got the last batch, for round-robin. */
  readonly #lastIndex = new Map<Topic, number>();
  readonly #ready = new Set<Lane>();
  #stopped = false;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    const { log, random, settings } = parts;
    const { backoff, backoffMax } = settings.delivery;
    const onKnown = () => {
      for (const lane of this.#lanes()) this.#wake(lane);
    };
    this.#producerIds = new ProducerIds({ log, random, backoff, backoffMax, onKnown });
  }

  anyDue(topic: Topic): void {
    if (topic.standing.kind !== "live" || this.#stopped) return;
    const free = topic.partitions.filter((partition) => {
      if (partition.leader < 0) return false;
      const outbox = this.#outbox(partition);
      const broker = this.#broker(partition.leader);
      return outbox.state.kind === "idle" && broker !== undefined && !broker.laneFor(outbox).unreachable;
    });
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

  /** The cluster says something new of these topics (see Cluster.topic), or of where brokers are. */
  clusterChanged(topics: Iterable<Topic>): void {
    for (const broker of [...this.#brokers.values()]) {
      const known = this.#parts.cluster.broker(broker.id);
      if (known !== undefined && known.host === broker.host && known.port === broker.port) continue;
      this.#brokers.delete(broker.id);
      this.#requeue(broker.stop());
    }
    for (const topic of topics) this.#wakeTopic(topic);
    this.#wakeStranded();
  }

  /** A topic's partitions or standing changed: all that can go now goes. */
  #wakeTopic(topic: Topic): void {
    for (const partition of topic.partitions) {
      const outbox = this.#outbox(partition);
      if (outbox.state.kind === "queued" && outbox.lane !== this.#laneOf(outbox)) {
        outbox.lane?.line.splice(outbox.lane.line.indexOf(outbox), 1);
        outbox.state = { kind: "idle" };
      }
      this.#enqueue(outbox);
    }
    if (topic.any.due) this.anyDue(topic);
  }

  topicChanged(topic: Topic): void {
    this.#wakeTopic(topic);
  }

  /** Gives up everything of a topic that is not in flight. */
  discardTopic(topic: Topic, reason: Parameters<Settlement["discardedBatch"]>[2]): void {
    const { settlement, now } = this.#parts;
    for (const queue of [topic.any, ...topic.partitions.map((partition) => partition.keyed)]) {
      queue.hurry(now());
      for (let batch = queue.take(); batch !== undefined; batch = queue.take())
        settlement.discardedBatch(topic, batch, reason);
    }
    for (const partition of topic.partitions)
      for (const batch of this.#outbox(partition).resend.splice(0)) settlement.discardedBatch(topic, batch, reason);
  }

  /** Closes every connection at once. */
  stop(): void {
    this.#stopped = true;
    for (const broker of this.#brokers.values()) broker.stop();
    for (const { state } of this.#outboxes.values()) if (state.kind === "backing off") clearTimeout(state.timer);
  }

  brokers(): IterableIterator<Broker> {
    return this.#brokers.values();
  }

  /** When the oldest message of `topic` that Kafka has not acknowledged was routed; Infinity when there is none. */
  oldest(topic: Topic): number {
    let oldest = topic.any.oldest;
    for (const partition of topic.partitions) {
      oldest = Math.min(oldest, partition.keyed.oldest);
      const outbox = this.#outboxes.get(partition);
      if (outbox === undefined) continue;
      if (outbox.resend[0] !== undefined) oldest = Math.min(oldest, outbox.resend[0].openedAt);
      if (outbox.state.kind === "in flight") oldest = Math.min(oldest, outbox.state.batch.openedAt);
    }
    return oldest;
  }

  #enqueue(outbox: Outbox, probe = false): void {
    if (outbox.state.kind !== "idle" || !outbox.hasWork || this.#stopped) return;
    if (outbox.partition.topic.standing.kind !== "live" && !probe) return;
    const lane = this.#laneOf(outbox);
    if (lane === undefined) return;
    outbox.state = { kind: "queued" };
    outbox.lane = lane;
    lane.line.push(outbox);
    this.#wake(lane);
  }

  #requeue(outboxes: Iterable<Outbox>): void {
    for (const outbox of outboxes) {
      outbox.state = { kind: "idle" };
      this.#enqueue(outbox);
    }
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

  #pump(lane: Lane): void {
    const { maxInFlight, idempotence } = this.#parts.settings.kafka;
    while (lane.line.length > 0 && lane.inFlight < maxInFlight && !this.#stopped) {
      const connection = lane.connection();
      if (connection === undefined) return;
      const throttled = connection.throttledUntil - Date.now();
      if (throttled > 0) {
        setTimeout(() => this.#wake(lane), throttled);
        return;
      }
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
    const { requestBytes } = this.#parts.settings.batch;
    const again = new Set<Topic>();
    let size = 0;
    while (lane.line.length > 0 && size < requestBytes) {
      const outbox = lane.line.shift() as Outbox;
      outbox.state = { kind: "idle" };
      const batch = outbox.next();
      if (batch === undefined) continue;
      outbox.state = { kind: "in flight", batch, sentAt: this.#parts.now() };
      parcels.push({ outbox, batch });
      size += batch.bytes.length;
      if (outbox.partition.topic.any.due) again.add(outbox.partition.topic);
    }
    for (const topic of again) this.anyDue(topic);
    return parcels;
  }

  #send(lane: Lane, connection: KafkaConnection, parcels: Parcel[]): void {
    const { acks, requestTimeout } = this.#parts.settings.kafka;
    for (const { outbox, batch } of parcels) this.#stamp(outbox, batch);
    const request = produceRequest({
      acks: acks === "all" ? -1 : acks,
      timeout: requestTimeout,
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
      (failure: { message: string }) => {
        lane.inFlight--;
        this.#broken(parcels);
        lane.lost(connection, failure.message);
        this.#wake(lane);
      },
    );
  }

  /** Producer and sequence, given when a batch is sent. */
  #stamp(outbox: Outbox, batch: Batch): void {
    const { idempotence, producerIdExpiration } = this.#parts.settings.kafka;
    const now = this.#parts.now();
    if (!idempotence) {
      stampBatch(batch.bytes, NO_PRODUCER);
      return;
    }
    // A broker forgets a producer id it has not heard of for long, and then takes a repetition for something new.
    if (outbox.firstSentAt !== undefined && now - outbox.firstSentAt > producerIdExpiration / 2) {
      outbox.forgetProducer();
      this.#parts.settlement.maybeTwice(outbox.partition.topic, batch);
      outbox.firstSentAt = now;
    }
    outbox.producer ??= this.#producerIds.current;
    outbox.firstSentAt ??= now;
    stampBatch(batch.bytes, outbox.stamp());
  }

  #answered(lane: Lane, connection: KafkaConnection, parcels: Parcel[], response: ProduceResponse | undefined): void {
    const answers = new Map<string, PartitionAnswer>();
    for (const answer of response?.partitions ?? []) answers.set(`${answer.partition} ${answer.topic}`, answer);
    const unanswered: Parcel[] = [];
    for (const parcel of parcels) {
      const { partition } = parcel.outbox;
      const answer = response === undefined ? WRITTEN : answers.get(`${partition.id} ${partition.topic.name}`);
      if (answer === undefined) unanswered.push(parcel);
      else this.#settle(parcel, judge(answer, parcel.batch.count));
    }
    if (unanswered.length === 0) return;
    this.#broken(unanswered);
    lane.lost(connection, "an answer to a produce request left partitions out");
  }

  /** Nobody knows whether the broker has these: they are sent again, first of all, with the same sequence. */
  #broken(parcels: Parcel[]): void {
    for (const { outbox, batch } of parcels) {
      if (!this.#parts.settings.kafka.idempotence) this.#parts.settlement.maybeTwice(outbox.partition.topic, batch);
      outbox.resend.unshift(batch);
      outbox.state = { kind: "idle" };
      this.#enqueue(outbox, probing(outbox.partition.topic));
    }
    this.#parts.cluster.refresh("a connection to a broker broke");
  }

  #settle({ outbox, batch }: Parcel, outcome: Outcome): void {
    const { settlement, settings, log, cluster, pool } = this.#parts;
    const { topic, id } = outbox.partition;
    const took = outbox.state.kind === "in flight" ? this.#parts.now() - outbox.state.sentAt : 0;
    const about = { topic: topic.name, partition: id, messages: batch.count };
    outbox.state = { kind: "idle" };
    switch (outcome.kind) {
      case "delivered":
        outbox.advance(batch.count);
        outbox.failures = 0;
        outbox.slow = took > SLOW;
        settlement.delivered(topic, batch);
        if (topic.standing.kind === "held") this.#release(topic);
        break;
      case "again":
        if (outcome.written && !settings.kafka.idempotence) settlement.maybeTwice(topic, batch);
        if (outcome.refresh) cluster.refresh(outcome.why);
        log.debug("a batch has to be sent again", { ...about, why: outcome.why });
        this.#backOff(outbox, batch);
        return;
      case "split":
        outbox.resend.unshift(...splitBatch(batch, { compression: topic.settings, pool }));
        break;
      case "remove": {
        const { removed, rest } = withoutRecords(batch, outcome.indexes, { compression: topic.settings, pool });
        settlement.discarded(topic, removed, outcome.reason);
        if (rest !== undefined) outbox.resend.unshift(rest);
        break;
      }
      case "discard":
        log.warn("Kafka does not take messages", { ...about, why: outcome.why, reason: outcome.reason });
        settlement.discardedBatch(topic, batch, outcome.reason);
        break;
      case "renew":
        log.warn("a new producer id is needed; the batch may be in Kafka twice", { ...about, why: outcome.why });
        outbox.forgetProducer();
        this.#producerIds.renew();
        settlement.maybeTwice(topic, batch);
        this.#backOff(outbox, batch);
        return;
      case "hold":
        this.#hold(outbox, batch, outcome);
        return;
    }
    this.#enqueue(outbox, probing(topic) && outbox.resend.length > 0);
  }

  #hold(outbox: Outbox, batch: Batch, outcome: Extract<Outcome, { kind: "hold" }>): void {
    const { settlement, log, settings, random } = this.#parts;
    const { topic } = outbox.partition;
    if (outcome.unauthorized && topic.settings.unauthorizedTopic === "discard") {
      settlement.discardedBatch(topic, batch, "unauthorized_topic");
      this.#enqueue(outbox);
      return;
    }
    if (topic.standing.kind === "live") {
      log.error("a topic is held: Kafka does not let us write to it", { topic: topic.name, why: outcome.why });
      topic.setStanding({ kind: "held", by: "produce", reason: outcome.why, since: Date.now() });
    }
    outbox.resend.unshift(batch);
    const delay = settings.delivery.backoffMax * (0.9 + random() * 0.2);
    this.#waitThen(outbox, delay, () => this.#enqueue(outbox, true));
  }

  /** A held topic can be written again. */
  #release(topic: Topic): void {
    this.#parts.log.info("a held topic can be written again", { topic: topic.name });
    topic.setStanding({ kind: "live" });
    this.#parts.onStanding(topic);
    this.#wakeTopic(topic);
  }

  #backOff(outbox: Outbox, batch: Batch): void {
    const { backoff, backoffMax } = this.#parts.settings.delivery;
    outbox.resend.unshift(batch);
    outbox.failures++;
    outbox.slow = true;
    const delay = backoffDelay(outbox.failures, backoff, backoffMax, this.#parts.random);
    this.#waitThen(outbox, delay, () => this.#enqueue(outbox, probing(outbox.partition.topic)));
  }

  #waitThen(outbox: Outbox, delay: number, then: () => void): void {
    const timer = setTimeout(() => {
      outbox.state = { kind: "idle" };
      then();
    }, delay);
    outbox.state = { kind: "backing off", timer };
  }

  #wakeStranded(): void {
    for (const topic of [...this.#stranded]) if (topic.any.due) this.anyDue(topic);
  }

  #outbox(partition: Partition): Outbox {
    let outbox = this.#outboxes.get(partition);
    if (outbox === undefined) {
      outbox = new Outbox(partition);
      this.#outboxes.set(partition, outbox);
    }
    return outbox;
  }

  #laneOf(outbox: Outbox): Lane | undefined {
    return this.#broker(outbox.partition.leader)?.laneFor(outbox);
  }

  *#lanes(): IterableIterator<Lane> {
    for (const broker of this.#brokers.values()) {
      yield broker.fast;
      yield broker.slow;
    }
  }

  #broker(id: number): Broker | undefined {
    const known = this.#brokers.get(id);
    if (known !== undefined) return known;
    const address = id < 0 ? undefined : this.#parts.cluster.broker(id);
    if (address === undefined) return undefined;
    const { connect, settings, random, log, cluster } = this.#parts;
    const { host, port } = address;
    const broker = new Broker(id, host, port, {
      connect: () => connect(host, port),
      backoff: settings.delivery.backoff,
      backoffMax: settings.delivery.backoffMax,
      random,
      onReady: (lane) => {
        this.#wake(lane);
        this.#wakeStranded();
      },
      onFailure: (lane, why, delay) => {
        log.warn("a broker cannot be reached, trying again", {
          broker: `${host}:${port}`,
          why,
          in_ms: Math.round(delay),
        });
        cluster.refresh(why);
        for (const outbox of lane.line) if (outbox.partition.topic.any.due) this.#stranded.add(outbox.partition.topic);
        this.#wakeStranded();
      },
    });
    this.#brokers.set(id, broker);
    return broker;
  }
}

/** The answer to a batch that wants none (acks 0): written to the socket is delivered. */
const WRITTEN: PartitionAnswer = { errorCode: 0, errorMessage: null, recordErrors: [] };

/** Held because a broker refused a batch: whether that is over shows only when one is sent. */
function probing(topic: Topic): boolean {
  return topic.standing.kind === "held" && topic.standing.by === "produce";
}

/** The parcels in the shape of a produce request. A partition stands in it once: it has one batch in flight. */
function byTopic(parcels: Parcel[]): { topic: string; partitions: { partition: number; batch: Uint8Array }[] }[] {
  const topics = new Map<string, { partition: number; batch: Uint8Array }[]>();
  for (const { outbox, batch } of parcels) {
    const { topic, id } = outbox.partition;
    const entry = { partition: id, batch: batch.bytes };
    const partitions = topics.get(topic.name);
    if (partitions === undefined) topics.set(topic.name, [entry]);
    else partitions.push(entry);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}
