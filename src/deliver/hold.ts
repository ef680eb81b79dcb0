// Sets apart what cannot be delivered while other things can: so that it takes no room from them, and delays none.
import type { Log } from "../observe/log.ts";
import type { Batch } from "../route/batch.ts";
import type { BatchQueue, BatchSurroundings } from "../route/batchQueue.ts";
import type { Router, Settle } from "../route/router.ts";
import type { Partition, Topic } from "../route/topic.ts";
import type { Waiting } from "../route/waiting.ts";
import type { FrameMark } from "../spool/heldFrame.ts";
import { MessageNumbers } from "../spool/numbers.ts";
import type { Broker } from "./broker.ts";
import { takeBack, type Unsent } from "./takeBack.ts";
import { Unreachable } from "./unreachable.ts";

/** In milliseconds. */
export interface HoldTimes {
  /** How long something is out of reach before what is for it waits apart; no longer than memory lasts. */
  after: number;
  /** How long Kafka names a partition no more before what is for it goes to others. */
  gone: number;
  /** How often to look. */
  every: number;
}

const TIMES: HoldTimes = { after: 10_000, gone: 60_000, every: 1_000 };

/** A partition that cannot be reached and has so much of the memory for batches waits apart at once. */
const TOO_MUCH = 1 / 4;

/** Bytes of batches that are moved to other partitions before the event loop gets its turn. */
const MOVED_AT_ONCE = 4 << 20;

/** Setting batches apart takes 10 ms for each MB of them, in which nothing else is done: so long at a time, in ms. */
const PARK_TIME = 50;

/** In memory only: of the memory for batches, what held messages may take beyond their own. */
const OVERFLOW = 1 / 2;

export interface HolderParts {
  topics: () => Iterable<Topic>;
  brokers: () => Iterable<Broker>;
  around: BatchSurroundings;
  settle: Settle;
  router: Pick<Router, "drainWaiting" | "spillSoon">;
  /** See `Dispatcher.takeGone`. */
  takeGone: (partition: Partition) => Batch[];
  /** Whose message it is, by its number; left out: nobody asks. `receivedAt`: to stand in the answer. */
  markOf?: (number: number, receivedAt: number) => FrameMark;
  /** Milliseconds, monotonic. */
  now: () => number;
  /** Milliseconds since the epoch. */
  wallClock?: () => number;
  log: Log;
  times?: Partial<HoldTimes>;
}

export class Holder {
  readonly #parts: HolderParts;
  readonly #times: HoldTimes;
  readonly #unreachable = new Unreachable();
  /** Since when a partition cannot be sent to. */
  readonly #since = new Map<Partition, number>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking = false;
  /** What would be set apart later than this waits for the next look. */
  #parkUntil = 0;
  #postponed = false;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: HolderParts) {
    this.#parts = parts;
    this.#times = { ...TIMES, ...parts.times };
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), this.#times.every);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#timer = this.#soon = undefined;
  }

  /** The topic has come to be held: what of it was not sent waits apart. */
  held(topic: Topic): void {
    if (topic.waiting.refuses) this.#trim(topic);
    else {
      this.#setTopicApart(topic);
      this.#parts.router.spillSoon(topic, topic.waiting);
    }
  }

  /** Looks what can be reached. `pressed`: memory is used up, so nothing that cannot be sent is given any time. */
  look(pressed = false): void {
    // What is set free here may use up memory, and press again.
    if (this.#looking) return;
    this.#looking = true;
    const { topics, brokers, now } = this.#parts;
    const time = now();
    this.#parkUntil = time + PARK_TIME;
    this.#postponed = false;
    this.#unreachable.look(brokers());
    for (const topic of topics()) if (topic.standing.kind === "live") this.#lookAt(topic, time, pressed);
    this.#looking = false;
    if (!this.#postponed || this.#timer === undefined) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.look(pressed);
    });
  }

  #lookAt(topic: Topic, time: number, pressed: boolean): void {
    const { memory } = this.#parts.around;
    const moves = topic.settings.onUnavailable === "next" && topic.partitions.some(({ leader }) => leader >= 0);
    let out = 0;
    // A disk that could not be read may be by now.
    let drain = topic.waiting.count > 0;
    for (const partition of topic.allPartitions()) {
      const why = this.#whyNot(topic, partition);
      if (why === undefined) {
        this.#since.delete(partition);
        if ((partition.waiting?.count ?? 0) > 0) drain = true;
        if (partition.parked === undefined) continue;
        topic.park(partition, undefined);
        drain = true;
        continue;
      }
      const since = this.#since.get(partition) ?? time;
      this.#since.set(partition, since);
      const long = time - since >= this.#times.after;
      const named = topic.partitions.includes(partition);
      if ((long || pressed) && named) out++;
      if (!named && time - since >= this.#times.gone) drain = this.#leave(topic, partition) || drain;
      else if (partition.parked !== undefined) this.#tryAgain(partition);
      else if (!partition.keyed.empty) {
        const much = partition.keyed.memory.used >= memory.cap * TOO_MUCH;
        // Where new messages go elsewhere already, there is nothing to wait for.
        if (moves && (long || pressed || much || partition.leader < 0)) topic.park(partition, why);
        else if (long || pressed || much) {
          if (this.#parts.now() < this.#parkUntil) this.#park(topic, partition, why);
          else this.#postponed = true;
        }
      }
      if (moves && partition.parked !== undefined) this.#moveOn(topic, partition);
    }
    if (topic.parked !== undefined && out < topic.partitions.length) {
      topic.park(topic, undefined);
      this.#parts.log.info("a topic can be written again", { topic: topic.name });
      drain = true;
    } else if (topic.parked === undefined && !topic.any.empty && out > 0 && out === topic.partitions.length) {
      this.#park(topic, undefined, "none of its partitions can be reached");
    }
    if (drain) this.#parts.router.drainWaiting(topic);
  }

  /** Why nothing can be sent to the partition now, although things can be sent elsewhere. */
  #whyNot(topic: Topic, partition: Partition): string | undefined {
    if (partition.leader < 0)
      return topic.partitions.includes(partition) ? "it has no leader" : "Kafka no longer names it";
    return this.#unreachable.has(partition.leader) ? "its broker cannot be reached" : undefined;
  }

  /** Nothing is left that would be sent to it, so nobody else looks whether its broker is back. */
  #tryAgain({ leader }: Partition): void {
    for (const { id, fast } of this.#parts.brokers())
      if (id === leader && fast.state.kind === "closed") fast.connection();
  }

  #park(topic: Topic, partition: Partition | undefined, why: string): void {
    const fields = partition === undefined ? {} : { partition: partition.id };
    this.#parts.log.warn("messages wait apart until they can be sent", { topic: topic.name, ...fields, why });
    topic.park(partition ?? topic, why);
    const waiting = partition === undefined ? topic.waiting : topic.waitingOf(partition);
    if (waiting.refuses) {
      this.#trim(topic);
      return;
    }
    if (partition === undefined) this.#setTopicApart(topic);
    else this.#putBack(topic, waiting, [this.#unsent(topic, partition)]);
  }

  /**
   * What is for the partition goes to others, as the topic's settings say: a batch at a time, since it is larger when it is
   * unpacked. All that cannot go waits apart.
   */
  #moveOn(topic: Topic, partition: Partition): void {
    const { router, markOf = anybodys } = this.#parts;
    const waiting = topic.waitingOf(partition);
    const drain = () => {
      for (let before = Number.POSITIVE_INFINITY; waiting.count > 0 && waiting.count < before; ) {
        before = waiting.count;
        router.drainWaiting(topic);
      }
    };
    drain();
    for (let left = MOVED_AT_ONCE; left > 0 && waiting.count === 0 && !partition.keyed.empty; ) {
      const batch = partition.keyed.takeOldest() as Batch;
      left -= batch.bytes.length;
      const unsent = { batches: [batch], partitionKey: topic.partitions.indexOf(partition) };
      takeBack(topic.name, [unsent], (number, bytes, length, receivedAt) =>
        waiting.append(number, bytes, 0, length, markOf(number, receivedAt)),
      );
      drain();
    }
    if (waiting.count === 0) return;
    router.spillSoon(topic, waiting);
    if (!waiting.refuses && !partition.keyed.empty) this.#putBack(topic, waiting, [this.#unsent(topic, partition)]);
  }

  /** What is for a partition that is no more goes to the others. Answers whether there is any. */
  #leave(topic: Topic, partition: Partition): boolean {
    // What was sent is not given up because of its age: that begins anew.
    const receivedAt = (this.#parts.wallClock ?? Date.now)();
    const sent = this.#parts.takeGone(partition).map((batch) => ({ ...batch, receivedAt }));
    const unsent = this.#unsent(topic, partition);
    unsent.batches.unshift(...sent);
    if (unsent.batches.length > 0) this.#putBack(topic, topic.waitingOf(partition), [unsent]);
    if (partition.parked !== undefined) topic.park(partition, undefined);
    return (partition.waiting?.count ?? 0) > 0;
  }

  #setTopicApart(topic: Topic): void {
    const unsent: Unsent[] = [{ batches: topic.any.takeBack(), partitionKey: undefined }];
    for (const partition of topic.allPartitions()) {
      const mine = this.#unsent(topic, partition);
      const { waiting } = partition;
      // What is for a partition stays before what waits for it already.
      const first =
        waiting !== undefined && (waiting.count > 0 || mine.batches.some((batch) => ownsAny(waiting, batch)));
      if (first) this.#putBack(topic, waiting, [mine]);
      else unsent.push(mine);
    }
    this.#putBack(topic, topic.waiting, unsent);
  }

  #unsent(topic: Topic, partition: Partition): Unsent {
    const index = topic.partitions.indexOf(partition);
    return { batches: partition.keyed.takeBack(), partitionKey: index < 0 ? partition.id : index };
  }

  #putBack(topic: Topic, waiting: Waiting, unsent: Unsent[]): void {
    const { settle, around, router, markOf = anybodys } = this.#parts;
    const { frame, done } = waiting.putBack((numbers) => settle.moved(topic, numbers));
    const most = around.heldMemory.cap + around.memory.cap;
    const one = new MessageNumbers();
    takeBack(topic.name, unsent, (number, bytes, length, receivedAt) => {
      if (!waiting.refuses || around.heldMemory.used < most)
        frame(number, bytes, 0, length, markOf(number, receivedAt));
      else {
        // Unpacked, batches are many times larger.
        one.clear();
        one.append(number);
        settle.discarded(topic, one, "held_full");
      }
    });
    done();
    router.spillSoon(topic, waiting);
  }

  /** Where there is no disk for it, a topic drops its newest beyond what may wait in memory without being in others' way. */
  #trim(topic: Topic): void {
    const { around, settle } = this.#parts;
    const { memory, heldMemory } = around;
    const most = heldMemory.cap + memory.cap * OVERFLOW;
    for (const waiting of topic.allWaiting())
      while (heldMemory.used > most) {
        const newest = waiting.takeNewest();
        if (newest.length === 0) break;
        settle.discarded(topic, numbersOf(newest), "held_full");
      }
    while (heldMemory.used > most) {
      const batch = newestOf(topic.queues());
      if (batch === undefined) return;
      settle.discarded(topic, batch.numbers, "held_full");
      batch.dispose();
    }
  }
}

function anybodys(_number: number, receivedAt: number): FrameMark {
  return { source: 0, receivedAt, session: undefined };
}

function ownsAny(waiting: Waiting, batch: Batch): boolean {
  let owns = false;
  batch.numbers.forEach((number) => {
    owns ||= waiting.owns(number);
  });
  return owns;
}

/** A batch of the queue that takes the most memory. */
function newestOf(queues: Iterable<BatchQueue>): Batch | undefined {
  let largest: BatchQueue | undefined;
  for (const queue of queues) if (!queue.empty && queue.memory.used > (largest?.memory.used ?? 0)) largest = queue;
  return largest?.takeNewest();
}

function numbersOf(numbers: number[]): MessageNumbers {
  const result = new MessageNumbers();
  for (const number of numbers) result.append(number);
  return result;
}
