// A cluster of brokers as a fleet of clients sees it: who leads what, and how fast connections and requests are served.
import type { MetadataResponse, MetadataTopic } from "../../src/kafka/metadata.ts";
import type { Clock } from "./clock.ts";
import type { Meter } from "./meter.ts";

export interface SimClusterOptions {
  brokers: number;
  topics: number;
  partitions: number;
  /** Connections that a broker accepts a second, with TLS and a login; and how many may wait (socket.listen.backlog.size). */
  acceptRate: number;
  backlog: number;
  /** Milliseconds of work of a broker. */
  metadataCost: number;
  produceCost: number;
  clock: Clock;
  meter: Meter;
  random: () => number;
}

const REPLICAS = 3;

export interface SimBroker {
  id: number;
  /** It takes connections. */
  up: boolean;
  /** The others believe that it does. */
  registered: boolean;
  /** Until when it is busy with what waits already. */
  acceptsAt: number;
  answersAt: number;
  /** What must know when its connections break. */
  connections: Set<{ cut(): void }>;
}

export interface SimPartition {
  topic: string;
  id: number;
  replicas: number[];
  leader: number;
  epoch: number;
}

export class SimCluster {
  readonly options: SimClusterOptions;
  readonly brokers: SimBroker[];
  readonly topics = new Map<string, SimPartition[]>();
  /** Told of each partition whose leader moved, with the broker that led it. */
  onMoved: ((partition: SimPartition, from: number) => void) | undefined;
  #answers: { brokers: MetadataResponse["brokers"]; topics: Map<string, MetadataTopic> } | undefined;

  constructor(options: SimClusterOptions) {
    this.options = options;
    this.brokers = Array.from({ length: options.brokers }, (_, id) => ({
      id,
      up: true,
      registered: true,
      acceptsAt: 0,
      answersAt: 0,
      connections: new Set(),
    }));
    for (let topic = 0; topic < options.topics; topic++) {
      const name = `topic-${topic}`;
      this.topics.set(
        name,
        Array.from({ length: options.partitions }, (_, id) => {
          const first = topic * options.partitions + id;
          const replicas = Array.from(
            { length: REPLICAS },
            (_, n) => (first + n * (1 + (topic % 7))) % options.brokers,
          );
          return { topic: name, id, replicas, leader: replicas[0] as number, epoch: 0 };
        }),
      );
    }
  }

  broker(id: number): SimBroker {
    return this.brokers[id] as SimBroker;
  }

  /** Its connections break, and what comes is refused. Its partitions are led by others after `failover` ms. */
  stop(id: number, failover: number): void {
    const broker = this.broker(id);
    broker.up = false;
    for (const connection of broker.connections) connection.cut();
    broker.connections.clear();
    this.options.clock.after(failover, () => this.#elect());
  }

  /** It is back, and leads what it should after `preferred` ms. */
  start(id: number, preferred: number): void {
    const broker = this.broker(id);
    broker.up = broker.registered = true;
    broker.acceptsAt = broker.answersAt = this.options.clock.now();
    this.#answers = undefined;
    this.options.clock.after(preferred, () => this.#elect());
  }

  #elect(): void {
    this.#answers = undefined;
    if (this.brokers.some(({ up }) => up)) for (const broker of this.brokers) broker.registered = broker.up;
    for (const partition of this.partitions()) {
      const leader = partition.replicas.find((id) => this.broker(id).up);
      if (leader === undefined || leader === partition.leader) continue;
      const from = partition.leader;
      partition.leader = leader;
      partition.epoch++;
      this.onMoved?.(partition, from);
    }
  }

  *partitions(): Iterable<SimPartition> {
    for (const partitions of this.topics.values()) yield* partitions;
  }

  /** When a request that comes now is answered. */
  work(id: number, cost: number): number {
    const broker = this.broker(id);
    broker.answersAt = Math.max(broker.answersAt, this.options.clock.now()) + cost;
    return broker.answersAt;
  }

  metadata(names: readonly string[]): MetadataResponse {
    this.#answers ??= {
      brokers: this.brokers.filter(({ registered }) => registered).map(({ id }) => ({ id, host: "broker", port: id })),
      topics: new Map([...this.topics].map(([name, partitions]) => [name, described(name, partitions)])),
    };
    const { brokers, topics } = this.#answers;
    return {
      brokers,
      clusterId: "simulated",
      controllerId: 0,
      throttleTime: 0,
      topics: names.map((name) => topics.get(name) ?? { errorCode: 3, name, partitions: [] }),
    };
  }
}

function described(name: string, partitions: readonly SimPartition[]): MetadataTopic {
  return {
    errorCode: 0,
    name,
    partitions: partitions.map(({ id, leader, epoch }) => ({ errorCode: 0, id, leader, leaderEpoch: epoch })),
  };
}
