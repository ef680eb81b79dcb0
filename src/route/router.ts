// Takes blocks off the queue and places each message: into the batches of its partition, of its topic, or aside.
import type { DiscardReason } from "../observe/discards.ts";
import { type Ledger, receive } from "../observe/ledger.ts";
import type { Block } from "../spool/block.ts";
import { MessageNumbers } from "../spool/numbers.ts";
import type { QueueReader } from "../spool/queue.ts";
import { FrameReader, PARTITION_KEY } from "../wire/frame.ts";
import type { BatchSurroundings } from "./batchQueue.ts";
import { murmur2Index, partitionKeyIndex } from "./partitioner.ts";
import type { Partition, Topic } from "./topic.ts";
import type { TopicTable } from "./topicTable.ts";

/** Bytes routed before the event loop gets its turn: sockets and timers must not wait for a backlog. */
const BYTES_PER_TURN = 1 << 20;

/** Says what became of messages, and gives their numbers back to the queue. */
export interface Settle {
  /** `topic` is undefined for messages that belong to none (beyond max_topics). */
  discarded(topic: Topic | undefined, numbers: MessageNumbers, reason: DiscardReason): void;
}

export interface RouterParts {
  queue: QueueReader;
  topics: TopicTable;
  ledger: Ledger;
  around: BatchSurroundings;
  settle: Settle;
  /** Milliseconds, monotonic. */
  now: () => number;
  /** Called after each turn that placed messages: batches may have been opened. */
  onRouted: () => void;
}

export class Router {
  readonly #parts: RouterParts;
  readonly #frame = new FrameReader();
  /** Message discarded now; one object for all of them. */
  readonly #one = new MessageNumbers();
  #scheduled = false;
  #stopped = false;
  #moreWaits = false;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.queue.onReadable(() => this.#schedule());
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * Sends what waits for `topic` on its way, a turn's worth at a time. Whatever the memory budget says: what waits counts in
   * it already, and may be all that uses it up; a batch of it takes no more.
   */
  drainWaiting(topic: Topic): void {
    if (topic.waits) return;
    const now = this.#parts.now();
    let moved = 0;
    topic.waiting.drain(
      () => moved < BYTES_PER_TURN,
      (number, bytes, start, end) => {
        this.#frame.locate(bytes, start, end);
        const { size } = this.#frame;
        this.#place(topic, number, bytes, now);
        moved += size;
        return size;
      },
    );
    if (topic.waiting.count > 0) {
      this.#moreWaits = true;
      this.#schedule();
    }
    // The pause may have come when all of it still waited, and there was no batch to hurry.
    if (this.#parts.around.memory.full) this.#pauseForRoom();
    this.#parts.onRouted();
  }

  /** The process ends: what was never read from the queue is given up, each message under its topic. */
  discardUnread(reason: DiscardReason): number {
    const { queue, topics, ledger } = this.#parts;
    const frame = this.#frame;
    let count = 0;
    for (let block = queue.read(); block !== undefined; block = queue.read()) {
      receive(ledger.total, block.count);
      let number = block.firstNumber;
      for (let at = block.start; at < block.end; at += frame.size) {
        frame.locate(block.bytes, at, block.end);
        const topic = topics.find(block.bytes, frame.topicStart, frame.topicEnd);
        receive(topic?.account ?? ledger.noTopic, 1);
        this.#discard(topic, number++, reason);
        count++;
      }
      queue.release();
    }
    return count;
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
    if (this.#moreWaits) {
      this.#moreWaits = false;
      for (const topic of this.#parts.topics.values()) if (topic.waiting.count > 0) this.drainWaiting(topic);
    }
    const now = this.#parts.now();
    let bytes = 0;
    while (bytes < BYTES_PER_TURN) {
      if (around.memory.full) {
        this.#pauseForRoom();
        break;
      }
      const block = queue.read();
      if (block === undefined) break;
      this.#routeBlock(block, now);
      bytes += block.end - block.start;
      queue.release();
    }
    if (bytes > 0) onRouted();
    if (bytes >= BYTES_PER_TURN) this.#schedule();
  }

  #routeBlock(block: Block, now: number): void {
    const { topics, ledger } = this.#parts;
    const frame = this.#frame;
    const { bytes, end } = block;
    receive(ledger.total, block.count);
    let number = block.firstNumber;
    for (let at = block.start; at < end; number++) {
      frame.locate(bytes, at, end);
      const next = at + frame.size;
      const topic = topics.find(bytes, frame.topicStart, frame.topicEnd);
      if (topic === undefined) {
        receive(ledger.noTopic, 1);
        this.#discard(undefined, number, "max_topics");
      } else {
        receive(topic.account, 1);
        if (topic.waits || topic.waiting.count > 0) this.#setAside(topic, number, bytes, at, next);
        else this.#place(topic, number, bytes, now);
      }
      at = next;
    }
  }

  /** Into a batch, unless it is to be given up: `#frame` holds the message. */
  #place(topic: Topic, number: number, bytes: Buffer, now: number): void {
    const frame = this.#frame;
    if (topic.standing.kind === "refused") {
      this.#discard(topic, number, topic.standing.discard);
      return;
    }
    const settings = topic.settings;
    const size = frame.keyEnd - frame.keyStart + frame.valueEnd - frame.valueStart;
    if (size > settings.maxRecord) {
      this.#discard(topic, number, "too_large");
      return;
    }
    let index = -1;
    if (frame.apiKey === PARTITION_KEY) index = partitionKeyIndex(frame.partitionKey, topic.partitions.length);
    else if (settings.partitioner === "murmur2" && frame.keyEnd > frame.keyStart)
      index = murmur2Index(bytes, frame.keyStart, frame.keyEnd, topic.partitions.length);

    const { heldMemory } = this.#parts.around;
    if (index < 0) {
      if (heldMemory.full && topic.leaderless) this.#discard(topic, number, "held_full");
      else topic.any.append(now, number, bytes, frame);
      return;
    }
    let partition = topic.partitions[index] as Partition;
    if (partition.leader < 0 && frame.apiKey === PARTITION_KEY && settings.onUnavailable === "next")
      partition = nextWithLeader(topic.partitions, index) ?? partition;
    if (partition.leader < 0 && heldMemory.full) this.#discard(topic, number, "held_full");
    else partition.keyed.append(now, number, bytes, frame);
  }

  /** Keeps the frame bytes[start, end) until its topic is live; a held topic, and only that, drops its newest when full. */
  #setAside(topic: Topic, number: number, bytes: Buffer, start: number, end: number): void {
    if (topic.standing.kind === "held" && this.#parts.around.heldMemory.full) this.#discard(topic, number, "held_full");
    else topic.waiting.append(number, bytes, start, end);
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

/** The first partition behind `index`, around the end, that has a leader. */
function nextWithLeader(partitions: readonly Partition[], index: number): Partition | undefined {
  for (let step = 1; step < partitions.length; step++) {
    const partition = partitions[(index + step) % partitions.length] as Partition;
    if (partition.leader >= 0) return partition;
  }
  return undefined;
}
