// Sends what stands in line at the lanes: as many batches in a request as fit, each stamped and in the journal before.
import type { Settings } from "../config/settings.ts";
import { metadataRequest } from "../kafka/metadata.ts";
import { type ProduceResponse, produceRequest } from "../kafka/produce.ts";
import { NO_PRODUCER, stampBatch } from "../kafka/recordBatch.ts";
import type { LimitedLog } from "../observe/logLimit.ts";
import type { Batch } from "../route/batch.ts";
import type { Topic } from "../route/topic.ts";
import type { After } from "./after.ts";
import type { Answers } from "./answers.ts";
import type { Broker } from "./broker.ts";
import type { Cluster } from "./cluster.ts";
import { type JournalKeeper, NO_CLUSTER_ID } from "./journalKeeper.ts";
import type { Lane } from "./lane.ts";
import type { Outbox } from "./outbox.ts";
import { judge, type PartitionAnswer } from "./outcome.ts";
import { byTopic, type Parcel } from "./parcel.ts";
import type { ProducerIds } from "./producerIds.ts";
import type { ReplicaSet } from "./replicaSet.ts";
import type { Flight, Wire } from "./wire.ts";

export interface SenderParts {
  settings: Pick<Settings, "kafka" | "batch">;
  cluster: Pick<Cluster, "clusterId">;
  answers: Answers;
  producerIds: ProducerIds;
  journal: JournalKeeper;
  log: LimitedLog;
  /** Milliseconds, monotonic. */
  now: () => number;
  after: After;
  /** The batch that the partition sends now. */
  next: (outbox: Outbox) => Batch | undefined;
  /** The topic has more batches that may go to any partition. */
  anyDue: (topic: Topic) => void;
}

/** The answer to a batch that wants none (acks 0): written to the socket is delivered. */
const WRITTEN: PartitionAnswer = { errorCode: 0, errorMessage: null, recordErrors: [] };

/** Of the request timeout, what the replicas may take: so the leader says that they did not confirm before we give it up. */
const REPLICATION_SHARE = 2 / 3;

export class Sender {
  readonly #parts: SenderParts;
  /** Lanes that send at the end of this turn. */
  readonly #ready = new Map<Lane, Broker>();
  /** What wakes the brokers that want no requests for now. */
  readonly #silent = new Map<Broker, () => void>();
  #stopped = false;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /** Lets the lane send, once all that is going on in this turn is done: so requests carry more. */
  wake(broker: Broker, lane: Lane): void {
    if (this.#ready.size === 0) {
      queueMicrotask(() => {
        const lanes = [...this.#ready];
        this.#ready.clear();
        for (const [ready, its] of lanes) this.#pump(its, ready);
      });
    }
    this.#ready.set(lane, broker);
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#silent.values()) cancel();
  }

  #pump(broker: Broker, lane: Lane): void {
    const { settings, producerIds, journal, now } = this.#parts;
    while (lane.line.length > 0 && !this.#stopped) {
      const set = lane === broker.slow ? broker.stalls.next(lane.line) : undefined;
      if (lane.inFlight >= this.#mostInFlight(lane, set)) return;
      const silence = broker.throttle.left(now());
      if (silence > 0) {
        this.#wakeLater(broker, silence);
        return;
      }
      const connection = lane.connection();
      const { wire } = lane;
      if (connection === undefined || wire === undefined) return;
      this.#listen(broker, wire);
      if (broker.throttle.left(now()) > 0) continue;
      this.#renewOld(lane);
      if (journal.takeSpoilt()) producerIds.renew();
      if (settings.kafka.idempotence && producerIds.current === undefined) {
        producerIds.ask(connection, now());
        return;
      }
      const parcels = set === undefined ? this.#gather(lane.line) : this.#gatherSlow(broker, lane, set);
      if (parcels.length > 0) this.#send(broker, wire, parcels);
    }
  }

  /** What is tried, or stuck, goes alone: what comes behind it would wait as long. */
  #mostInFlight(lane: Lane, set: ReplicaSet | undefined): number {
    const { maxInFlight } = this.#parts.settings.kafka;
    if (set === undefined) return maxInFlight;
    for (const { pace } of [set, ...(lane.wire?.sets() ?? [])]) if (pace !== "quick") return 1;
    return maxInFlight;
  }

  /** The connection may have been told to be silent: then all of the broker's are. */
  #listen(broker: Broker, { connection }: Wire): void {
    const { log, now } = this.#parts;
    if (!broker.throttle.tell(connection.throttledUntil, performance.now(), now())) return;
    const { id, host, port } = broker;
    const fields = { broker: `${host}:${port}`, id, for_ms: Math.ceil(broker.throttle.left(now())) };
    log.warn("a broker throttles us: a quota is used up, messages wait", fields, fields.broker);
  }

  /** Every batch that becomes due asks for it, and a broker may want silence for minutes: one timer is enough. */
  #wakeLater(broker: Broker, delay: number): void {
    if (this.#silent.has(broker)) return;
    const wake = () => {
      this.#silent.delete(broker);
      for (const lane of broker.lanes) this.wake(broker, lane);
    };
    this.#silent.set(broker, this.#parts.after(delay, wake));
  }

  /** Batches of the partitions in line, up to the size of a request. */
  #gather(line: Outbox[]): Parcel[] {
    const { settings, next, anyDue } = this.#parts;
    const parcels: Parcel[] = [];
    const more = new Set<Topic>();
    const { requestBytes } = settings.batch;
    let size = 0;
    while (line.length > 0 && size < requestBytes) {
      const outbox = line.shift() as Outbox;
      outbox.state = { kind: "idle" };
      const batch = next(outbox);
      // Also when it was to take some of that, and does not.
      if (outbox.partition.topic.any.due) more.add(outbox.partition.topic);
      if (batch === undefined) continue;
      outbox.state = { kind: "in flight", batch };
      parcels.push({ outbox, batch });
      size += batch.bytes.length;
    }
    for (const topic of more) anyDue(topic);
    return parcels;
  }

  /** On the slow lane: those of one replica set, or those of all that only failed. */
  #gatherSlow(broker: Broker, lane: Lane, set: ReplicaSet): Parcel[] {
    const belongs = ({ partition }: Outbox) => {
      const its = broker.setOf(partition);
      return set.pace === "quick" ? its.pace === "quick" : its === set;
    };
    const chosen = lane.line.filter(belongs);
    const others = lane.line.filter((outbox) => !belongs(outbox));
    lane.line.splice(0, lane.line.length, ...others);
    // Meanwhile others may come to stand in line.
    const parcels = this.#gather(chosen);
    lane.line.unshift(...chosen);
    return parcels;
  }

  #send(broker: Broker, wire: Wire, parcels: Parcel[]): void {
    const { settings, journal, answers, now } = this.#parts;
    const { acks, requestTimeout } = settings.kafka;
    for (const { outbox, batch } of parcels) this.#stamp(outbox, batch);
    if (!journal.sending(parcels)) {
      for (const { outbox, batch } of parcels) answers.notSent(outbox, batch);
      return;
    }
    const request = produceRequest({
      acks: acks === "all" ? -1 : acks,
      timeout: Math.ceil(requestTimeout * REPLICATION_SHARE),
      topics: byTopic(parcels),
    });
    const sets = new Set(parcels.map(({ outbox }) => broker.setOf(outbox.partition)));
    const flight = wire.begin(parcels, sets, now());
    if (acks !== 0) broker.stalls.sent(flight);
    wire.connection.request(request).then(
      (response) => this.#answered(broker, flight, acks === 0 ? undefined : response),
      (failure: { message: string; kind?: string }) => this.#failed(broker, flight, failure),
    );
  }

  #answered(broker: Broker, flight: Flight, response: ProduceResponse | undefined): void {
    const { now, answers } = this.#parts;
    const { wire, parcels } = flight;
    const took = wire.answered(flight, now());
    this.#listen(broker, wire);
    const found = new Map<string, PartitionAnswer>();
    for (const answer of response?.partitions ?? []) found.set(`${answer.partition} ${answer.topic}`, answer);
    if (response !== undefined) broker.stalls.answered(flight, took);
    let complete = true;
    for (const parcel of parcels) {
      const { id, topic } = parcel.outbox.partition;
      const answer = response === undefined ? WRITTEN : found.get(`${id} ${topic.name}`);
      if (answer !== undefined) answers.act(parcel, judge(answer, parcel.batch.count));
      else {
        complete = false;
        answers.unknown(parcel);
      }
    }
    const { lane } = wire;
    lane.succeeded();
    if (!complete) lane.lost(wire.connection, "the answer to a produce request left partitions out");
    this.wake(broker, lane);
  }

  #failed(broker: Broker, flight: Flight, { message, kind }: { message: string; kind?: string }): void {
    const { wire, parcels } = flight;
    wire.leave(flight);
    wire.lane.lost(wire.connection, message);
    if (kind === "timeout") broker.stalls.timedOut(flight);
    for (const parcel of parcels) this.#parts.answers.unknown(parcel);
    wire.lane.settle();
    this.wake(broker, wire.lane);
  }

  /**
   * A broker forgets a producer id it has not heard of for long, and then takes a repetition for something new; so does
   * every broker of another cluster than the one that gave the id.
   */
  #renewOld(lane: Lane): void {
    const { settings, cluster, now, answers, producerIds } = this.#parts;
    const oldest = now() - settings.kafka.producerIdExpiration / 2;
    const { current } = producerIds;
    if (current !== undefined && differ(current.clusterId, cluster.clusterId)) producerIds.renew();
    for (const outbox of lane.line) {
      if (outbox.producer === undefined) continue;
      const strange = differ(outbox.producer.clusterId, cluster.clusterId);
      const [batch] = outbox.resend;
      const old = batch !== undefined && outbox.firstSentAt !== undefined && outbox.firstSentAt < oldest;
      if (!strange && !old) continue;
      if (batch !== undefined && outbox.uncertain) answers.startOver(outbox, batch);
      else {
        // No broker has anything of what is to be sent.
        outbox.forgetProducer();
        producerIds.renew();
      }
    }
  }

  /** Producer and sequence are given when a batch is sent. */
  #stamp(outbox: Outbox, batch: Batch): void {
    const { settings, producerIds, journal, now } = this.#parts;
    if (!journal.mayKeepProducer(outbox, batch, producerIds.current)) outbox.forgetProducer();
    if (settings.kafka.idempotence) outbox.producer ??= producerIds.current;
    if (outbox.producer === undefined) {
      stampBatch(batch.bytes, NO_PRODUCER);
      return;
    }
    outbox.firstSentAt ??= now();
    stampBatch(batch.bytes, outbox.stamp());
  }
}

/** What a broker that is well answers at once, whatever its followers do: who are you? */
export function ping({ connection }: Wire): Promise<unknown> {
  return connection.request(metadataRequest({ topics: [], allowAutoTopicCreation: false }));
}

/** Are these two clusters? One without an id may be any. */
function differ(clusterId: string, other: string | undefined): boolean {
  return clusterId !== NO_CLUSTER_ID && other !== undefined && other !== clusterId;
}
