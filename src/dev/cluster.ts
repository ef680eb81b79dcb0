// The state of the embedded cluster: nodes, topics, partitions and their leaders. All nodes share it, as they are one
// process: a partition that moves to another leader takes its log with it.
import type { RecordBatchHeader } from "../kafka/recordBatchReader.ts";
import { PartitionLog } from "./partitionLog.ts";

export interface Node {
  id: number;
  host: string;
  port: number;
  up: boolean;
}

export interface Partition {
  id: number;
  /** The node that was made its leader, -1: none. */
  leader: number;
  leaderEpoch: number;
  /** The nodes that Metadata says have a copy; left out: the leader alone. */
  replicas?: number[];
  log: PartitionLog;
}

export interface Topic {
  name: string;
  partitions: Partition[];
  /** Largest batch taken, bytes. */
  maxMessageBytes: number;
}

export interface ClusterOptions {
  id?: string;
  partitions: number;
  autoCreate: boolean;
  maxMessageBytes: number;
  /** All logs together; the oldest batches fall away beyond it. Bytes. */
  maxBytesKept: number;
}

const LEGAL_TOPIC = /^[a-zA-Z0-9._-]{1,249}$/;

export class Cluster {
  readonly id: string;
  readonly options: ClusterOptions;
  readonly nodes: Node[] = [];
  readonly #topics = new Map<string, Topic>();
  /** The log of every batch kept, oldest batch first: where to take from when there is too much. */
  #kept: PartitionLog[] = [];
  #firstKept = 0;
  #bytesKept = 0;
  #lastProducerId = 999n;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.id = options.id ?? "bruce-dev-cluster-0000";
  }

  get bytesKept(): number {
    return this.#bytesKept;
  }

  topics(): Topic[] {
    return [...this.#topics.values()];
  }

  topic(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  partition(topic: string, id: number): Partition | undefined {
    return this.#topics.get(topic)?.partitions[id];
  }

  isLegalTopic(name: string): boolean {
    return LEGAL_TOPIC.test(name) && name !== "." && name !== "..";
  }

  /** Makes a topic that is not there yet. `leaderOf` gives the node of each partition; without it they go round. */
  createTopic(
    name: string,
    partitions = this.options.partitions,
    leaderOf: (partition: number) => number = (p) => this.nodes[p % this.nodes.length]?.id ?? -1,
    maxMessageBytes = this.options.maxMessageBytes,
  ): Topic {
    if (!this.isLegalTopic(name)) throw new Error(`"${name}" is no legal topic name`);
    if (this.#topics.has(name)) throw new Error(`the topic "${name}" exists already`);
    const topic: Topic = {
      name,
      maxMessageBytes,
      partitions: Array.from({ length: partitions }, (_, id) => {
        return { id, leader: leaderOf(id), leaderEpoch: 0, log: new PartitionLog() };
      }),
    };
    this.#topics.set(name, topic);
    return topic;
  }

  deleteTopic(name: string): void {
    for (const partition of this.#topics.get(name)?.partitions ?? []) {
      for (let freed = 1; freed > 0; this.#bytesKept -= freed) freed = partition.log.dropOldest();
    }
    this.#topics.delete(name);
  }

  /** The node that serves a partition now, -1 when its leader is down or there is none. */
  leader(partition: Partition): number {
    return this.nodes.some((node) => node.id === partition.leader && node.up) ? partition.leader : -1;
  }

  setLeader(topic: string, id: number, leader: number): void {
    const partition = this.partition(topic, id);
    if (partition === undefined) throw new Error(`there is no partition ${id} of a topic "${topic}"`);
    partition.leader = leader;
    partition.leaderEpoch += 1;
  }

  setReplicas(topic: string, id: number, replicas: number[]): void {
    const partition = this.partition(topic, id);
    if (partition === undefined) throw new Error(`there is no partition ${id} of a topic "${topic}"`);
    partition.replicas = replicas;
  }

  /** Producer ids begin at 1000, so that they are not taken for counts in a test that fails. */
  newProducerId(): bigint {
    this.#lastProducerId += 1n;
    return this.#lastProducerId;
  }

  append(partition: Partition, batch: Buffer, header: RecordBatchHeader): number {
    const baseOffset = partition.log.append(batch, header, partition.leaderEpoch);
    this.#kept.push(partition.log);
    this.#bytesKept += batch.length;
    this.#dropOldest();
    return baseOffset;
  }

  #dropOldest(): void {
    while (this.#bytesKept > this.options.maxBytesKept && this.#firstKept < this.#kept.length - 1) {
      this.#bytesKept -= this.#kept[this.#firstKept]?.dropOldest() ?? 0;
      this.#firstKept += 1;
    }
    if (this.#firstKept > 1024 && this.#firstKept * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#firstKept);
      this.#firstKept = 0;
    }
  }
}
