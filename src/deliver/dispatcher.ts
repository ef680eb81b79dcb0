// Brings due batches to the brokers: one batch in flight per partition, several partitions in one request.
import type { Settings } from "../config/settings.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { Log } from "../observe/log.ts";
import { rateLimited } from "../observe/logLimit.ts";
import type { Batch } from "../route/batch.ts";
import type { BufferPool } from "../route/bufferPool.ts";
import type { DueListener, Partition, Topic } from "../route/topic.ts";
import type { JournalEntry } from "../spool/journal.ts";
import type { MessageNumbers } from "../spool/numbers.ts";
import { type After, afterDelay } from "./after.ts";
import { Answers, heldByBroker } from "./answers.ts";
import type { Broker } from "./broker.ts";
import { Brokers } from "./brokers.ts";
import { choosePartition } from "./choosePartition.ts";
import type { Cluster } from "./cluster.ts";
import type { DeliveryJournal } from "./deliveryJournal.ts";
import { JournalKeeper, NO_CLUSTER_ID } from "./journalKeeper.ts";
import type { Lane } from "./lane.ts";
import { Outbox, type RestoredAs } from "./outbox.ts";
import { ProducerIds } from "./producerIds.ts";
import { cutAt, cutBatch } from "./rebuildBatch.ts";
import { ping, Sender } from "./sender.ts";
import type { Settlement } from "./settlement.ts";
import type { LaneConnection } from "./wire.ts";

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
  /** See `QueueReader.seams`. */
  seams: (numbers: MessageNumbers) => number[];
  /** Whether a batch that was never sent is too old to be. */
  isOver: (topic: Topic, batch: Batch) => boolean;
  /** A held topic is live again: what waits for it can move. */
  onRelease: (topic: Topic) => void;
}

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
  readonly #sender: Sender;
  #stopped = false;

  constructor(parts: DispatcherParts) {
    this.#parts = { after: afterDelay, ...parts };
    const { cluster } = parts;
    const log = rateLimited(parts.log, LOG_INTERVAL);
    const onKnown = () => this.#wakeAll();
    const refreshMetadata = (why: string) => cluster.refresh(why);
    const clusterId = () => cluster.clusterId ?? NO_CLUSTER_ID;
    this.#producerIds = new ProducerIds({ ...parts, clusterId, onKnown });
    this.#journal = new JournalKeeper(parts.journal, clusterId, Date.now);
    this.#brokers = new Brokers({
      ...parts,
      ping,
      refreshMetadata,
      onReady: (broker, lane) => {
        this.#sender.wake(broker, lane);
        this.#wakeStranded();
      },
      onJudged: (broker) => this.#judged(broker),
      onStall: ({ id, host, port }, what) => {
        const fields = { broker: `${host}:${port}`, id, ...what };
        log.info("a broker is slow to answer: what else is for it goes another way", fields, fields.broker);
      },
      onFailure: (broker, lane, why, delay) => {
        const { host, port } = broker;
        const fields = { broker: `${host}:${port}`, why, in_ms: Math.round(delay) };
        log.warn("a broker cannot be reached, trying again", fields, fields.broker);
        cluster.refresh(why);
        for (const outbox of lane.line.filter((each) => broker.laneFor(each) !== lane)) this.#lineUpAnew(lane, outbox);
        // What is for any partition need not wait for this one.
        for (const { partition } of lane.line) if (partition.topic.any.due) this.#stranded.add(partition.topic);
        this.#wakeStranded();
      },
    });
    cluster.stillWrong = () => this.#brokers.anyWaitedFor;
    this.#answers = new Answers({
      ...parts,
      journal: this.#journal,
      log,
      enqueue: (outbox) => this.#enqueue(outbox),
      onRelease: (topic) => {
        parts.onRelease(topic);
        this.topicChanged(topic);
      },
      refreshMetadata,
      renewProducerId: () => this.#producerIds.renew(),
    });
    this.#sender = new Sender({
      ...parts,
      after: this.#parts.after,
      answers: this.#answers,
      producerIds: this.#producerIds,
      journal: this.#journal,
      log,
      next: (outbox) => this.#next(outbox),
      anyDue: (topic) => this.anyDue(topic),
    });
  }

  anyDue(topic: Topic): void {
    if (topic.standing.kind !== "live" || this.#stopped) return;
    const free = this.#freePartitions(topic);
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
    if (heldByBroker(topic) && this.#othersCanTry(topic))
      // Should it be refused again, it is one of these that tries from then on.
      this.#answers.release(topic, "a held topic is tried by other partitions: those that were have no leader");
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
    this.#sender.stop();
    for (const outbox of this.#outboxes.values()) outbox.stopWaiting();
  }

  brokers(): IterableIterator<Broker> {
    return this.#brokers.values();
  }

  /** Why nothing can be sent at all: brokers give us no producer id, and somebody has to see to it. */
  get noProducerId(): string | undefined {
    return this.#producerIds.current === undefined ? this.#producerIds.refusal : undefined;
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

  /**
   * Has every connection to a broker closed when all is answered that is in flight on it, and opened anew: for what is settled
   * when it opens, such as a login. Nothing is sent on it meanwhile, and nothing is lost. One that could not be opened is
   * tried at once.
   */
  renewConnections(why: string): void {
    this.#parts.log.info("connections to the brokers are renewed", { why });
    for (const { lanes } of this.#brokers.values()) for (const lane of lanes) lane.renew();
  }

  /** Those that can take a batch. Where it would be slow, nothing goes that can go elsewhere, even if that is busy now. */
  #freePartitions(topic: Topic): Partition[] {
    let allSlow = true;
    let free: Partition[] = [];
    for (const partition of topic.partitions) {
      const broker = this.#brokers.get(partition.leader);
      const outbox = this.#outbox(partition);
      if (broker === undefined || broker.laneFor(outbox).unreachable) continue;
      const quick = broker.isQuick(partition);
      if (!quick && !allSlow) continue;
      if (quick && allSlow) {
        allSlow = false;
        free = [];
      }
      if (outbox.state.kind === "idle") free.push(partition);
    }
    return free;
  }

  /** Of a topic that a broker refused: no batch is going to show when that is over, but others could. */
  #othersCanTry(topic: Topic): boolean {
    let others = false;
    for (const partition of topic.allPartitions()) {
      if (this.#brokers.get(partition.leader) === undefined) continue;
      if (this.sends(partition) !== "nothing") return false;
      others = true;
    }
    return others;
  }

  #isReached(partition: Partition): boolean {
    const lane = this.#laneOf(this.#outbox(partition));
    return lane !== undefined && !lane.unreachable;
  }

  #isQuick(partition: Partition): boolean {
    return this.#brokers.get(partition.leader)?.isQuick(partition) ?? false;
  }

  /** Whether it takes batches that may go to any partition: one that is slow does only where all are. */
  #takesAny({ partition }: Outbox): boolean {
    if (!partition.topic.any.due) return false;
    if (this.#isQuick(partition)) return true;
    return !partition.topic.partitions.some((other) => this.#isQuick(other) && this.#isReached(other));
  }

  #hasWork(outbox: Outbox): boolean {
    return outbox.hasOwnWork || this.#takesAny(outbox);
  }

  #enqueue(outbox: Outbox): void {
    this.#homeless.delete(outbox);
    if (outbox.state.kind !== "idle" || this.#stopped) return;
    const { topic } = outbox.partition;
    if (!this.#hasWork(outbox)) {
      // It was to take some of that, perhaps, and nobody else was told.
      if (topic.any.due) this.anyDue(topic);
      return;
    }
    // A batch that a broker refused is tried again, to see whether the topic must still be held.
    if (topic.standing.kind !== "live" && !(heldByBroker(topic) && outbox.resend.length > 0)) return;
    const broker = this.#brokers.get(outbox.partition.leader);
    if (broker === undefined) {
      this.#homeless.add(outbox);
      return;
    }
    const lane = broker.laneFor(outbox);
    outbox.state = { kind: "queued", line: lane };
    lane.line.push(outbox);
    this.#sender.wake(broker, lane);
  }

  /** Which of its partitions are slow is seen in another light: what stands in line stands where it should. */
  #judged(broker: Broker): void {
    for (const lane of broker.lanes) {
      for (const outbox of lane.line.filter((each) => broker.laneFor(each) !== lane)) this.#lineUpAnew(lane, outbox);
      this.#sender.wake(broker, lane);
    }
    // What may go anywhere need not wait for its turn in a slow lane any more, should others be quick now.
    for (const { slow } of this.#brokers.values())
      for (const outbox of slow.line.filter((each) => !this.#hasWork(each))) this.#lineUpAnew(slow, outbox);
    this.#wakeStranded();
  }

  #lineUpAnew(lane: Lane, outbox: Outbox): void {
    lane.leave(outbox);
    outbox.state = { kind: "idle" };
    this.#enqueue(outbox);
  }

  #wakeAll(): void {
    for (const broker of this.#brokers.values()) for (const lane of broker.lanes) this.#sender.wake(broker, lane);
  }

  #wakeStranded(): void {
    for (const topic of [...this.#stranded]) if (topic.any.due) this.anyDue(topic);
  }

  /**
   * The batch to send now: no larger than the brokers take, as far as that is known, and one that a crash leaves as a whole or
   * not at all. Of a mixed one a part would be left, which nobody could send again as it was.
   */
  #next(outbox: Outbox): Batch | undefined {
    const { topic } = outbox.partition;
    const { limit } = topic;
    const how = { compression: topic.settings, pool: this.#parts.pool };
    let batch = this.#first(outbox);
    // One that the broker may have must stay as it is.
    while (batch !== undefined && !outbox.uncertain) {
      const seams = this.#parts.seams(batch.numbers);
      if (seams.length > 0) outbox.resend.unshift(...cutAt(batch, seams, how));
      else if (limit.isTooLarge(batch)) outbox.resend.unshift(...cutBatch(batch, limit.cut(batch), how));
      else break;
      batch = outbox.next(this.#takesAny(outbox));
    }
    return batch;
  }

  /** One that was sent before, or else the first that is not too old. */
  #first(outbox: Outbox): Batch | undefined {
    const { isOver, settlement } = this.#parts;
    const again = outbox.resend.length > 0;
    const { topic } = outbox.partition;
    for (;;) {
      const batch = outbox.next(this.#takesAny(outbox));
      if (batch === undefined || again || !isOver(topic, batch)) return batch;
      settlement.discardedBatch(topic, batch, "expired");
    }
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
