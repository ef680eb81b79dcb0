// The embedded Kafka: one process, in memory, on loopback. For `bruce serve --dev`, and for tests, which can make it fail
// in any way they need.
import { type DecodedBatch, type DecodedRecord, readRecordBatch } from "../kafka/recordBatchReader.ts";
import { Cluster } from "./cluster.ts";
import type { Broker } from "./exchange.ts";
import { createFaultScript, type FaultScript } from "./faults.ts";
import { type NodeServer, startNode } from "./node.ts";
import { API_NAMES, type ApiName } from "./protocol/apiKeys.ts";

export interface DevBrokerOptions {
  /** What clients know the cluster by. Default: the same for every one. */
  clusterId?: string;
  /** How many nodes; their ids are 1, 2, 3 … Default 1. */
  brokers?: number;
  /** Of the first node, the others get the ports that follow. Default 0: any free ones. */
  port?: number;
  /** Of a topic made on first use. Default 1. */
  partitions?: number;
  /** Whether Metadata makes topics on first use (when the client allows it). Default true. */
  autoCreate?: boolean;
  /** Largest batch taken, bytes (message.max.bytes). Default 1048588, as in Kafka. */
  maxMessageBytes?: number;
  /** All logs together, bytes; beyond it the oldest batches fall away. Default 256 MiB. */
  maxBytesKept?: number;
  /** Every batch appended, decoded: costs time, so only where it is wanted. */
  onRecords?: (topic: string, partition: number, batch: DecodedBatch) => void;
  /** Rules to begin with. */
  script?: FaultScript;
  /** A mistake of this broker, or thrown by onRecords. Default: it is thrown, uncaught. */
  onError?: (error: unknown) => void;
}

export interface StoredRecord extends DecodedRecord {
  partition: number;
}

export interface TopicDescription {
  name: string;
  partitions: { id: number; leader: number; leaderEpoch: number; startOffset: number; endOffset: number }[];
}

export interface DevBroker {
  /** Of all nodes, in the order of their ids. */
  addresses: { host: string; port: number }[];
  /** "host:port,host:port", as Kafka's tools take it. */
  bootstrap: string;
  faults: FaultScript;
  /** How many requests came, by API. */
  requests: Record<ApiName, number>;
  /** Makes a topic; without `leaderOf` the nodes lead its partitions in turn. */
  createTopic(
    name: string,
    partitions?: number,
    leaderOf?: (partition: number) => number,
    maxMessageBytes?: number,
  ): void;
  deleteTopic(name: string): void;
  /** Moves a partition, records and all, to another node; -1: no leader. */
  setLeader(topic: string, partition: number, nodeId: number): void;
  /** Metadata names these nodes as those that have a copy. There is one log all the same. */
  setReplicas(topic: string, partition: number, nodeIds: number[]): void;
  /** As after producer.id.expiration.ms: sequences of producers seen before mean nothing any more. */
  forgetProducers(): void;
  topics(): TopicDescription[];
  /** What is kept of a topic or of one partition of it, decoded, by partition and offset. */
  records(topic: string, partition?: number): StoredRecord[];
  /** Resolves when the condition holds; it is looked at now and whenever a request was served or began to wait. */
  until(condition: () => boolean): Promise<void>;
  /** Closes a node's listener and connections. Its partitions have no leader until it starts, or they get another. */
  stopNode(id: number): void;
  /** On the same port; as a real broker it remembers only the last batch of each producer then. */
  startNode(id: number): void;
  stop(): Promise<void>;
}

export async function startDevBroker(options: DevBrokerOptions = {}): Promise<DevBroker> {
  const cluster = new Cluster({
    id: options.clusterId,
    partitions: options.partitions ?? 1,
    autoCreate: options.autoCreate ?? true,
    maxMessageBytes: options.maxMessageBytes ?? 1_048_588,
    maxBytesKept: options.maxBytesKept ?? 256 * 1024 * 1024,
  });
  const requests = Object.fromEntries(API_NAMES.map((name) => [name, 0])) as Record<ApiName, number>;
  const faults = options.script ?? createFaultScript();
  const broker: Broker = { cluster, faults, requests, onRecords: options.onRecords };
  const waits = createWaits();
  let connections = 0;

  const servers: NodeServer[] = [];
  try {
    for (let id = 1; id <= (options.brokers ?? 1); id++) {
      const port = options.port === undefined || options.port === 0 ? 0 : options.port + id - 1;
      const nextConnection = () => ++connections;
      const onError = options.onError ?? reportError;
      servers.push(startNode({ id, port, broker, nextConnection, onProgress: waits.look, onError }));
    }
  } catch (error) {
    for (const each of servers) each.stop();
    throw error;
  }
  const addresses = cluster.nodes.map(({ host, port }) => ({ host, port }));

  function server(id: number): NodeServer {
    const found = servers[id - 1];
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }

  return {
    addresses,
    bootstrap: addresses.map(({ host, port }) => `${host}:${port}`).join(","),
    faults,
    requests,
    createTopic: (name, partitions, leaderOf, maxMessageBytes) => {
      cluster.createTopic(name, partitions, leaderOf, maxMessageBytes);
    },
    deleteTopic: (name) => cluster.deleteTopic(name),
    setLeader: (topic, partition, nodeId) => cluster.setLeader(topic, partition, nodeId),
    setReplicas: (topic, partition, nodeIds) => cluster.setReplicas(topic, partition, nodeIds),
    forgetProducers: () => {
      for (const { log } of allPartitions(cluster)) log.producers.forgetAll();
    },
    topics: () => describeTopics(cluster),
    records: (topic, partition) => decodeRecords(cluster, topic, partition),
    until: waits.until,
    stopNode: (id) => server(id).stop(),
    startNode: (id) => {
      for (const { leader, log } of allPartitions(cluster)) if (leader === id) log.producers.forgetAllButLast();
      server(id).start();
    },
    stop: async () => {
      for (const each of servers) each.stop();
    },
  };
}

function allPartitions(cluster: Cluster) {
  return cluster.topics().flatMap((topic) => topic.partitions);
}

function describeTopics(cluster: Cluster): TopicDescription[] {
  return cluster.topics().map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((partition) => ({
      id: partition.id,
      leader: cluster.leader(partition),
      leaderEpoch: partition.leaderEpoch,
      startOffset: partition.log.startOffset,
      endOffset: partition.log.endOffset,
    })),
  }));
}

function decodeRecords(cluster: Cluster, topic: string, only?: number): StoredRecord[] {
  const partitions = cluster.topic(topic)?.partitions ?? [];
  return partitions
    .filter(({ id }) => only === undefined || id === only)
    .flatMap(({ id, log }) =>
      log
        .batches()
        .flatMap((batch) => readRecordBatch(batch).records)
        .map((record) => ({ partition: id, ...record })),
    );
}

/** Conditions that someone waits for, looked at after each request. */
function createWaits() {
  let waiting: { condition: () => boolean; resolve: () => void }[] = [];
  return {
    look: (): void => {
      if (waiting.length === 0) return;
      const met = waiting.filter(({ condition }) => condition());
      waiting = waiting.filter((one) => !met.includes(one));
      for (const { resolve } of met) resolve();
    },
    until: (condition: () => boolean): Promise<void> =>
      new Promise((resolve) => {
        if (condition()) resolve();
        else waiting.push({ condition, resolve });
      }),
  };
}
