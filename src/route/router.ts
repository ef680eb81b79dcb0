// Takes blocks off the queue and places each message: into the batches of its partition, of its topic, or aside.
import type { DiscardReason } from "../observe/discards.ts";
import { type Ledger, receive } from "../observe/ledger.ts";
import type { Block } from "../spool/block.ts";
import type { FrameMark } from "../spool/heldFrame.ts";
import { MessageNumbers } from "../spool/numbers.ts";
import type { QueueReader } from "../spool/queue.ts";
import { FrameReader, PARTITION_KEY } from "../wire/frame.ts";
import type { BatchQueue, BatchSurroundings } from "./batchQueue.ts";
import type { MessageAge } from "./messageAge.ts";
import { murmur2Index, partitionKeyIndex } from "./partitioner.ts";
import type { Partition, Topic } from "./topic.ts";
import type { TopicTable } from "./topicTable.ts";
import { Waiting } from "./waiting.ts";

/** Bytes routed before the event loop gets its turn: sockets and timers must not wait for a backlog. */
const BYTES_PER_TURN = 1 << 20;

/** What is held goes to disk when it has so many bytes, or after so many ms: one write for many messages. */
const SPILL_BYTES = 1 << 16;
const SPILL_AFTER = 100;
/** How long a disk that took nothing is left alone. Milliseconds. */
const SPILL_AGAIN = 1000;

/**
 * Shares of the memory for batches. What comes back from disk leaves some to what comes in, and all topics that come back
 * divide theirs, so that one whose broker is slow delays no other; but each may have this much at least, in bytes.
 */
const BACK_SHARE = 3 / 4;
const BACK_AT_LEAST = 1 << 16;

/** Of the memory for batches, what is given up at once to make room in it. */
const DROP_SHARE = 1 / 16;

/** Says what became of messages, and gives their numbers back to the queue. */
export interface Settle {
  /** `topic` is undefined for messages that belong to none (beyond max_topics). */
  discarded(topic: Topic | undefined, numbers: MessageNumbers, reason: DiscardReason): void;
  /** They are in a log of their own now, where a crash of the process does not reach them. */
  moved(topic: Topic, numbers: MessageNumbers): void;
}

export interface RouterParts {
  queue: QueueReader;
  topics: TopicTable;
  ledger: Ledger;
  around: BatchSurroundings;
  settle: Settle;
  age: MessageAge;
  /** Milliseconds, monotonic. */
  now: () => number;
  /** Called after each turn that placed messages: batches may have been opened. */
  onRouted: () => void;
  /** Memory is used up: whatever can wait elsewhere should. */
  onFull?: () => void;
}

/** Something that waits for a topic, or for one partition of it. */
interface Scope {
  topic: Topic;
  partition: Partition | undefined;
}

export class Router {
  readonly #parts: RouterParts;
  readonly #frame = new FrameReader();
  /** Message discarded now; one object for all of them. */
  readonly #one = new MessageNumbers();
  /** What waited, and may go its way now. */
  readonly #draining = new Map<Waiting, Scope>();
  /** What is held, and not yet on disk. */
  readonly #spilling = new Map<Waiting, Topic>();
  #spillTimer: ReturnType<typeof setTimeout> | undefined;
  /** Where the block came from that is being routed. */
  #mark: FrameMark | undefined;
  #scheduled = false;
  /** The oldest are given up until the writer goes on. */
  #dropping = false;
  #stopped = false;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.queue.onReadable(() => this.#schedule());
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#spillTimer);
    this.#parts.around.memory.onLess(undefined);
  }

  /** Sends what waits for `topic` and its partitions on its way, as far as it may go, a turn's worth at a time. */
  drainWaiting(topic: Topic): void {
    this.#mayDrain(topic.waiting, { topic, partition: undefined });
    for (const partition of topic.allPartitions())
      if (partition.waiting !== undefined) this.#mayDrain(partition.waiting, { topic, partition });
    this.#drainAll();
    // The pause may have come when all of it still waited, and there was no batch to hurry.
    if (this.#parts.around.memory.full) this.#pauseForRoom();
    this.#parts.onRouted();
  }

  /** To be moved to disk soon. */
  spillSoon(topic: Topic, waiting: Waiting): void {
    if (!waiting.canSpill) return;
    this.#spilling.set(waiting, topic);
    this.#spillTimer ??= setTimeout(() => this.spill(), SPILL_AFTER);
  }

  /** Moves all that is held in memory to disk, as far as the disk takes it. */
  spill(): void {
    clearTimeout(this.#spillTimer);
    this.#spillTimer = undefined;
    for (const [waiting, topic] of this.#spilling) this.#spillOne(waiting, topic);
    if (this.#spilling.size > 0 && !this.#stopped) this.#spillTimer = setTimeout(() => this.spill(), SPILL_AGAIN);
  }

  /** The process ends: what was never read from the queue is given up, each message under its topic. */
  discardUnread(reason: DiscardReason): number {
    let count = 0;
    for (let bytes = this.#discardBlock(reason); bytes > 0; bytes = this.#discardBlock(reason))
      count += this.#discarded;
    return count;
  }

  /**
   * Gives up the oldest messages that were never sent, under "dropped_oldest": those in batches and those that wait to be put
   * into one, then those not read yet, until `bytes` bytes of them, as they came, are gone or there are none. Returns how many
   * bytes went.
   */
  dropOldest(bytes: number): number {
    const gone = this.#dropRouted((soFar) => soFar < bytes);
    return gone + this.#dropUnread(bytes - gone);
  }

  /**
   * The same where the writer waits for memory: as many as it takes until it goes on, a part of the memory for batches at a time.
   */
  dropForWriter(): void {
    this.#dropping = true;
    this.#schedule();
  }

  /** Gives up the oldest of those in batches and of those that wait to be put into one, as long as there is `more` to give up. */
  #dropRouted(more: (gone: number) => boolean): number {
    const { topics, settle } = this.#parts;
    const places: { topic: Topic; from: BatchQueue | Waiting }[] = [];
    for (const topic of topics.values()) {
      for (const queue of topic.queues()) if (!queue.empty) places.push({ topic, from: queue });
      // What is held apart has its own limit.
      for (const waiting of topic.allWaiting())
        if (!topic.held && Number.isFinite(waiting.first)) places.push({ topic, from: waiting });
    }
    let gone = 0;
    while (more(gone)) {
      places.sort((a, b) => a.from.first - b.from.first);
      const [oldest, next] = places;
      if (oldest === undefined || !Number.isFinite(oldest.from.first)) break;
      const { topic, from } = oldest;
      if (from instanceof Waiting) {
        const upTo = next?.from.first ?? Number.POSITIVE_INFINITY;
        const another = () => more(gone) && from.first < upTo;
        from.takeOldest(another, (number, _, start, end) => {
          gone += end - start;
          this.#discard(topic, number, "dropped_oldest");
          return true;
        });
        continue;
      }
      const batch = from.takeOldest();
      if (batch === undefined) break;
      gone += batch.plainBytes;
      settle.discarded(topic, batch.numbers, "dropped_oldest");
      batch.dispose();
    }
    return gone;
  }

  /** Memory is used up. Answers whether there is some again, because the oldest were given up for a writer that waits. */
  #dropFor(queue: QueueReader): boolean {
    const { memory } = this.#parts.around;
    const target = memory.cap * (1 - DROP_SHARE);
    while (memory.full) {
      if (this.#dropping) this.#dropping = queue.writerWaits;
      if (!this.#dropping) return false;
      // What is on its way, or held, may have taken all of it.
      if (this.#dropRouted(() => memory.used > target) === 0 && this.#dropUnread(1) === 0) return false;
    }
    return true;
  }

  #dropUnread(bytes: number): number {
    let gone = 0;
    while (gone < bytes) {
      const dropped = this.#discardBlock("dropped_oldest");
      if (dropped === 0) break;
      gone += dropped;
    }
    return gone;
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    const { queue, around, onRouted } = this.#parts;
    if (this.#stopped) return;
    const drained = this.#drainAll();
    const now = this.#parts.now();
    let bytes = 0;
    while (bytes < BYTES_PER_TURN) {
      if (around.memory.full && !this.#dropFor(queue)) {
        this.#pauseForRoom();
        break;
      }
      const block = queue.read();
      if (block === undefined) break;
      this.#routeBlock(block, now);
      bytes += block.end - block.start;
      queue.release();
      // Who waits next may be of an input that would rather wait.
      if (this.#dropping) this.#dropping = queue.writerWaits;
    }
    for (const [waiting, topic] of this.#spilling)
      if (waiting.memory.used >= SPILL_BYTES) this.#spillOne(waiting, topic);
    if (bytes > 0 || drained) onRouted();
    if (bytes >= BYTES_PER_TURN) this.#schedule();
  }

  #routeBlock(block: Block, now: number): void {
    const { topics, ledger, age: ages } = this.#parts;
    const frame = this.#frame;
    const { bytes, end, skip, receivedAt, again } = block;
    /** Of the block's messages; -1 while no topic asks. */
    let age = -1;
    receive(ledger.total, skip === undefined ? block.count : block.live);
    this.#mark = undefined;
    let number = block.firstNumber;
    for (let at = block.start; at < end; number++) {
      frame.locate(bytes, at, end);
      const start = at;
      at += frame.size;
      if (skip?.has(number) === true) continue;
      const topic = topics.find(bytes, frame.topicStart, frame.topicEnd);
      receive(topic?.account ?? ledger.noTopic, 1);
      if (topic === undefined) {
        this.#discard(undefined, number, "max_topics");
        continue;
      }
      const { rateLimit, maxAge } = topic.settings;
      // What was let through before the last stop is counted, and not limited again.
      if (rateLimit !== undefined && topic.rate.exceeded(rateLimit, receivedAt) && !again) {
        this.#discard(topic, number, "rate_limited");
        continue;
      }
      if (maxAge > 0) {
        if (age < 0) age = ages.of(receivedAt);
        if (age > maxAge) {
          this.#discard(topic, number, "expired");
          continue;
        }
      }
      if (topic.waits || topic.waiting.count > 0) {
        this.#mark ??= markOf(block);
        this.#setAside(topic, undefined, number, bytes, start, at, this.#mark);
      } else {
        const partition = this.#place(topic, undefined, number, bytes, now, receivedAt);
        if (partition === undefined) continue;
        this.#mark ??= markOf(block);
        this.#setAside(topic, partition, number, bytes, start, at, this.#mark);
      }
    }
  }

  /**
   * Into a batch, unless it is to be given up: `#frame` holds the message. Answers the partition for which it has to be set
   * aside instead. `from`: the partition that it waited for.
   */
  #place(
    topic: Topic,
    from: Partition | undefined,
    number: number,
    bytes: Buffer,
    now: number,
    receivedAt: number,
  ): Partition | undefined {
    const frame = this.#frame;
    if (topic.standing.kind === "refused") {
      this.#discard(topic, number, topic.standing.discard);
      return undefined;
    }
    const settings = topic.settings;
    const size = frame.keyEnd - frame.keyStart + frame.valueEnd - frame.valueStart;
    if (size > settings.maxRecord) {
      this.#discard(topic, number, "too_large");
      return undefined;
    }
    const { partitions } = topic;
    let partition = from;
    if (partition?.parked !== undefined) {
      const other = this.#elsewhere(topic, partition, bytes);
      if (other === undefined || waitsBehind(other)) return partition;
      partition = other;
    } else if (partition === undefined || !partitions.includes(partition)) {
      let index = -1;
      if (frame.apiKey === PARTITION_KEY) index = partitionKeyIndex(frame.partitionKey, partitions.length);
      else if (settings.partitioner === "murmur2" && frame.keyEnd > frame.keyStart)
        index = murmur2Index(bytes, frame.keyStart, frame.keyEnd, partitions.length);
      if (index < 0) {
        topic.any.append(now, number, bytes, frame, receivedAt);
        return undefined;
      }
      partition = partitions[index] as Partition;
      if (settings.onUnavailable === "next" && frame.apiKey === PARTITION_KEY && !reachable(partition))
        partition = nextReachable(partitions, index) ?? partition;
      if (waitsBehind(partition)) return partition;
    }
    partition.keyed.append(now, number, bytes, frame, receivedAt);
    return undefined;
  }

  /** Where a message that waits for a partition which cannot be reached may go instead. */
  #elsewhere(topic: Topic, partition: Partition, bytes: Buffer): Partition | undefined {
    const { apiKey, partitionKey, keyStart, keyEnd } = this.#frame;
    const { partitions, settings } = topic;
    if (settings.onUnavailable !== "next" || apiKey !== PARTITION_KEY) return undefined;
    const index = partitionKeyIndex(partitionKey, partitions.length);
    // One that was in a batch before may have come to its partition by its key, where it stays.
    const hashed = settings.partitioner === "murmur2" && keyEnd > keyStart;
    if (hashed && murmur2Index(bytes, keyStart, keyEnd, partitions.length) === index) return undefined;
    return nextReachable(partitions, partitions.indexOf(partition));
  }

  /**
   * Keeps the frame bytes[start, end) for when its topic, or that partition of it, can be delivered to. What is held, and
   * only that, drops its newest when there is no room left for it, neither on disk nor in memory.
   */
  #setAside(
    topic: Topic,
    partition: Partition | undefined,
    number: number,
    bytes: Buffer,
    start: number,
    end: number,
    mark: FrameMark,
  ): void {
    const waiting = partition === undefined ? topic.waiting : topic.waitingOf(partition);
    const held = partition === undefined ? topic.held : partition.parked !== undefined;
    const apart = held || waiting.onDisk > 0;
    if (apart && this.#parts.around.heldMemory.full && waiting.refuses) this.#discard(topic, number, "held_full");
    else {
      waiting.append(number, bytes, start, end, mark);
      if (apart) this.spillSoon(topic, waiting);
    }
  }

  #spillOne(waiting: Waiting, topic: Topic): void {
    if (waiting.spill((numbers) => this.#parts.settle.moved(topic, numbers))) this.#spilling.delete(waiting);
  }

  #mayDrain(waiting: Waiting, scope: Scope): void {
    if (waiting.count > 0) this.#draining.set(waiting, scope);
  }

  /** A turn's worth of what waited goes its way. Answers whether anything did. */
  #drainAll(): boolean {
    let bytes = 0;
    let more = false;
    for (const [waiting, scope] of [...this.#draining]) {
      if (bytes >= BYTES_PER_TURN) {
        more = true;
        break;
      }
      this.#draining.delete(waiting);
      const { topic, partition } = scope;
      // What is given up need not be reached.
      const stays = partition?.parked !== undefined && topic.settings.onUnavailable === "wait";
      if (topic.standing.kind !== "refused" && (topic.waits || stays)) continue;
      const moved = this.#drain(waiting, scope, BYTES_PER_TURN - bytes);
      bytes += moved;
      if (waiting.count === 0 || (moved === 0 && partition?.parked !== undefined)) continue;
      // To the end of the line.
      this.#draining.set(waiting, scope);
      if (moved > 0) more = true;
    }
    if (more) this.#schedule();
    else if (this.#draining.size > 0) this.#parts.around.memory.onLess(() => this.#schedule());
    return bytes > 0;
  }

  /**
   * What waits in memory goes whatever the memory budget says: it counts already, and may be all that uses it up; a batch
   * of it takes no more. What comes back from disk takes memory. Answers how many bytes went.
   */
  #drain(waiting: Waiting, { topic, partition: from }: Scope, most: number): number {
    const { now: clock, around, age } = this.#parts;
    const { memory } = around;
    const share = Math.max(BACK_AT_LEAST, (memory.cap * BACK_SHARE) / (this.#draining.size + 1));
    const now = clock();
    let moved = 0;
    let checkAt = 0;
    const more = () => {
      if (moved >= most) return false;
      if (waiting.onDisk === 0 || moved < checkAt) return true;
      checkAt = moved + BACK_AT_LEAST;
      return memory.used < memory.cap * BACK_SHARE && topic.batchMemory < share;
    };
    const { maxAge } = topic.settings;
    waiting.drain(more, (number, bytes, start, end, mark) => {
      if (maxAge > 0 && age.of(mark.receivedAt) > maxAge) {
        this.#discard(topic, number, "expired");
        moved += end - start;
        return true;
      }
      this.#frame.locate(bytes, start, end);
      const partition = this.#place(topic, from, number, bytes, now, mark.receivedAt);
      if (partition !== undefined) {
        // Numbers go up within what waits for a partition: what comes from one that is gone waits where it is.
        if (from !== undefined) return false;
        this.#setAside(topic, partition, number, bytes, start, end, mark);
      }
      moved += end - start;
      return true;
    });
    return moved;
  }

  #discarded = 0;

  /** Gives up the next block, each message under its topic. Answers its bytes, 0 when there is none. */
  #discardBlock(reason: DiscardReason): number {
    const { queue, topics, ledger } = this.#parts;
    const frame = this.#frame;
    const block = queue.read();
    if (block === undefined) return 0;
    const { bytes, start, end, skip } = block;
    this.#discarded = skip === undefined ? block.count : block.live;
    receive(ledger.total, this.#discarded);
    let number = block.firstNumber;
    for (let at = start; at < end; at += frame.size, number++) {
      frame.locate(bytes, at, end);
      if (skip?.has(number) === true) continue;
      const topic = topics.find(bytes, frame.topicStart, frame.topicEnd);
      receive(topic?.account ?? ledger.noTopic, 1);
      this.#discard(topic, number, reason);
    }
    queue.release();
    return end - start;
  }

  #discard(topic: Topic | undefined, number: number, reason: DiscardReason): void {
    this.#one.clear();
    this.#one.append(number);
    this.#parts.settle.discarded(topic, this.#one, reason);
  }

  /** Memory is used up: the largest open batches are closed first, and reading goes on when there is room. */
  #pauseForRoom(): void {
    const { around, topics } = this.#parts;
    // A turn of its own: memory may come back in the middle of a block that is being routed.
    around.memory.onRoom(() => this.#schedule());
    this.#parts.onFull?.();
    const open = [];
    for (const topic of topics.values())
      for (const queue of topic.queues())
        if (queue.waitingMemory > 0 && queue.memory.budget === around.memory) open.push(queue);
    open.sort((a, b) => b.waitingMemory - a.waitingMemory);
    let freed = 0;
    for (const queue of open) {
      if (freed >= around.memory.cap / 4) break;
      freed += queue.waitingMemory;
      queue.hurry();
    }
  }
}

function reachable({ leader, parked }: Partition): boolean {
  return leader >= 0 && parked === undefined;
}

/** Also behind those that wait no more, until these have gone. */
function waitsBehind({ waiting, parked }: Partition): boolean {
  return waiting !== undefined && (parked !== undefined || waiting.count > 0);
}

/** The first partition behind `index`, around the end, that can be reached. */
function nextReachable(partitions: readonly Partition[], index: number): Partition | undefined {
  for (let step = 1; step < partitions.length; step++) {
    const partition = partitions[(index + step) % partitions.length] as Partition;
    if (reachable(partition)) return partition;
  }
  return undefined;
}

function markOf({ source, receivedAt, session }: Block): FrameMark {
  return { source, receivedAt, session: session && Buffer.from(session) };
}
