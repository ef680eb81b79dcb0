// When a stop waits for what is on its way: whether anything that still waits can get there.
import type { Partition, Topic } from "../route/topic.ts";
import type { QueueReader } from "../spool/queue.ts";
import type { Cluster } from "./cluster.ts";
import type { Dispatcher } from "./dispatcher.ts";

export interface FlushWatchParts {
  queue: Pick<QueueReader, "unread">;
  topics: () => Iterable<Topic>;
  cluster: Pick<Cluster, "failing">;
  dispatcher: Pick<Dispatcher, "brokers" | "sends">;
  /** What is left is delivered after the next start: so there is no need to wait for brokers that are away. */
  survives: boolean;
  /** Milliseconds, monotonic. */
  now: () => number;
}

/** How often to look: there may be many topics. Milliseconds. */
const EVERY = 50;
/** How long no broker can be reached before they count as away. Milliseconds. */
const AWAY = 1000;

export class FlushWatch {
  readonly #parts: FlushWatchParts;
  #nextLook: number;
  #awaySince: number | undefined;

  constructor(parts: FlushWatchParts) {
    this.#parts = parts;
    this.#nextLook = parts.now() + EVERY;
  }

  /** Nothing comes of waiting longer: all that is left is held, or would have to be sent to brokers that are away. */
  get over(): boolean {
    const { now, queue, topics, survives } = this.#parts;
    const time = now();
    if (time < this.#nextLook) return false;
    this.#nextLook = time + EVERY;
    if (survives && this.#away(time)) return true;
    if (queue.unread > 0) return false;
    for (const topic of topics()) if (this.#moves(topic)) return false;
    return true;
  }

  #away(time: number): boolean {
    const { dispatcher, cluster } = this.#parts;
    let failing = cluster.failing;
    for (const { fast, slow } of dispatcher.brokers()) {
      for (const lane of [fast, slow]) {
        failing ||= lane.failing;
        if (!lane.failing && (lane.state.kind === "open" || lane.state.kind === "connecting")) {
          this.#awaySince = undefined;
          return false;
        }
      }
    }
    this.#awaySince = failing ? (this.#awaySince ?? time) : undefined;
    return this.#awaySince !== undefined && time - this.#awaySince >= AWAY;
  }

  /** Is any of its messages on its way, or will be? */
  #moves(topic: Topic): boolean {
    const { held, any, waiting } = topic;
    if (!held && (!any.empty || waiting.count > 0)) return true;
    for (const partition of topic.allPartitions()) if (this.#movesTo(partition, held)) return true;
    return false;
  }

  #movesTo(partition: Partition, topicHeld: boolean): boolean {
    const { dispatcher } = this.#parts;
    const { parked, keyed, waiting } = partition;
    const sends = dispatcher.sends(partition);
    if (topicHeld || parked !== undefined) return sends === "now";
    return sends !== "nothing" || !keyed.empty || (waiting?.count ?? 0) > 0;
  }
}
