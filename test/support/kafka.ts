// A real Kafka for tests and benchmarks: one node or three (KRaft), free ports, a temporary directory.
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KafkaVersion, kafkaJars } from "./kafkaJars.ts";
import { type KafkaNode, type NodeChanges, prepareNode } from "./kafkaNode.ts";
import { freePorts } from "./kafkaPorts.ts";
import {
  addPartitions,
  type ClusterView,
  createTopic,
  deleteTopic,
  metadata,
  type NewTopic,
  type TopicView,
} from "./kafkaRequests.ts";
import { askKafka } from "./kafkaSocket.ts";

export interface KafkaOptions {
  version?: KafkaVersion;
  nodes?: 1 | 3;
  /** server.properties beside or instead of those here. */
  properties?: Record<string, string>;
  /** Beside the PLAINTEXT one of `bootstrap`, by name (of capital letters). */
  listeners?: Record<string, Listener>;
  /** As `StorageTool format --add-scram` takes them. */
  scram?: string[];
  /** Arguments for Java. */
  java?: string[];
}

/** One more way into each broker. */
export interface Listener {
  protocol: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";
  /** As the brokers call themselves there; "127.0.0.1" unless given. */
  host?: string;
  /** server.properties that hold for this listener alone. */
  properties?: Record<string, string>;
}

export interface Kafka {
  readonly version: KafkaVersion;
  readonly clusterId: string;
  /** "127.0.0.1:PORT", of all nodes, with commas between. */
  readonly bootstrap: string;
  /** The same of the listener of that name. */
  at(listener: string): string;
  /** Ids 1, 2 and 3. The addresses stay over a restart, unless another is asked for. */
  readonly brokers: readonly { id: number; host: string; port: number; readonly pid: number | undefined }[];
  /** SIGKILL. Each of these resolves when it is done. */
  kill(id: number): Promise<void>;
  /** An orderly shutdown; the leaders move first where there are other nodes. */
  stop(id: number): Promise<void>;
  /** Same data; same port and properties but for the changes. Resolves when the node answers as a member of the cluster. */
  start(id: number, changes?: NodeChanges): Promise<void>;
  /** SIGSTOP: the connections stay open, and nothing is answered. */
  pause(id: number): void;
  resume(id: number): void;
  /**
   * Resolves when every running node names a leader for each partition. `partitions`: how many, or the nodes of each, the
   * preferred leader first; then `replication` is of no effect.
   */
  createTopic(
    name: string,
    partitions?: NewTopic["partitions"],
    replication?: number,
    config?: Record<string, string>,
  ): Promise<void>;
  deleteTopic(name: string): Promise<void>;
  addPartitions(name: string, total: number): Promise<void>;
  /** What a running node says of the topic now; undefined when it does not exist. */
  describe(name: string): Promise<TopicView | undefined>;
  /** Kills all nodes and removes their data. */
  close(): Promise<void>;
}

/** Takes about 8 s with one node. Throws when Java or Maven is missing, with the line that installs them. */
export async function startKafka({
  version = "4.1.0",
  nodes: count = 1,
  properties = {},
  listeners = {},
  scram = [],
  java = [],
}: KafkaOptions = {}): Promise<Kafka> {
  const jars = kafkaJars(version);
  const directory = mkdtempSync(join(tmpdir(), "bruce-kafka-"));
  // A leading "-" would look like an option to the tool that formats.
  const clusterId = `K${randomBytes(16).toString("base64url").slice(1)}`;
  const ways = Object.entries(listeners);
  const ports = await freePorts((2 + ways.length) * count);
  /** Of a listener and a node, both counted from 0. */
  const portOf = (way: number, at: number) => Number(ports[(2 + way) * count + at]);
  const voters = ports.slice(count, 2 * count).map((port, at) => `${at + 1}@127.0.0.1:${port}`);
  const nodes: KafkaNode[] = [];

  const close = async () => {
    await Promise.all(nodes.map((node) => node.end("SIGKILL")));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const prepared = ports.slice(0, count).map((port, at) => {
      const id = at + 1;
      const own = join(directory, `node-${id}`);
      mkdirSync(own);
      const plain = nodeProperties(id, port, Number(ports[count + at]), voters);
      const settings = { ...withListeners(plain, ways, (way) => portOf(way, at)), ...properties };
      const heap = count === 1 ? "1g" : "512m";
      return prepareNode({ id, port, directory: own, jars, clusterId, properties: settings, heap, scram, java });
    });
    nodes.push(...(await Promise.all(prepared)));
    await Promise.all(nodes.map((node) => node.start(() => sees(node, count))));
  } catch (error) {
    await close();
    throw error;
  }

  const node = (id: number) => {
    const found = nodes.find((each) => each.id === id);
    if (found === undefined) throw new Error(`Kafka has no node ${id}`);
    return found;
  };
  const running = () => nodes.filter(({ pid }) => pid !== undefined);
  const anyone = () => {
    const [first] = running();
    if (first === undefined) throw new Error("no node of Kafka runs");
    return first;
  };
  const settled = async (name: string, partitions: number | undefined) => {
    await Promise.all(running().map((each) => until(async () => isSettled(await describe(each, name), partitions))));
  };

  return {
    version,
    clusterId,
    get bootstrap() {
      return nodes.map(({ host, port }) => `${host}:${port}`).join();
    },
    at(name) {
      const way = ways.findIndex(([each]) => each === name);
      if (way < 0) throw new Error(`Kafka has no listener ${name}`);
      const host = ways[way]?.[1].host ?? "127.0.0.1";
      return nodes.map((_, at) => `${host}:${portOf(way, at)}`).join();
    },
    brokers: nodes,
    kill: (id) => node(id).end("SIGKILL"),
    stop: (id) => node(id).end("SIGTERM"),
    start: (id, changes) => node(id).start(() => sees(node(id), 1), changes),
    pause: (id) => node(id).signal("SIGSTOP"),
    resume: (id) => node(id).signal("SIGCONT"),
    async createTopic(name, partitions = 1, replication = 1, config = {}) {
      await askKafka(anyone(), createTopic({ name, partitions, replication, config }));
      await settled(name, typeof partitions === "number" ? partitions : partitions.length);
    },
    async deleteTopic(name) {
      await askKafka(anyone(), deleteTopic(name));
      await settled(name, undefined);
    },
    async addPartitions(name, total) {
      await askKafka(anyone(), addPartitions(name, total));
      await settled(name, total);
    },
    describe: (name) => describe(anyone(), name),
    close,
  };
}

function nodeProperties(id: number, port: number, controllerPort: number, voters: string[]): Record<string, string> {
  const replicas = String(voters.length);
  return {
    "process.roles": "broker,controller",
    "node.id": String(id),
    "controller.quorum.voters": voters.join(),
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": replicas,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": "1",
    "auto.create.topics.enable": "false",
    // A node that was killed may come back, and its leaders move, only when the controllers gave it up: 9 s by default.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "1000",
  };
}

function withListeners(
  properties: Record<string, string>,
  ways: [string, Listener][],
  portOf: (way: number) => number,
): Record<string, string> {
  const result = { ...properties };
  ways.forEach(([name, { protocol, host = "127.0.0.1", properties: own = {} }], way) => {
    result.listeners += `,${name}://127.0.0.1:${portOf(way)}`;
    result["advertised.listeners"] += `,${name}://${host}:${portOf(way)}`;
    result["listener.security.protocol.map"] += `,${name}:${protocol}`;
    for (const [key, value] of Object.entries(own)) result[`listener.name.${name.toLowerCase()}.${key}`] = value;
  });
  return result;
}

/** Whether the node answers, counts itself among the living, and sees at least that many of them. */
async function sees(node: KafkaNode, count: number): Promise<boolean> {
  const view = await askKafka(node, metadata([])).catch((): ClusterView | undefined => undefined);
  return view !== undefined && view.brokers.length >= count && view.brokers.some(({ id }) => id === node.id);
}

async function describe(node: KafkaNode, name: string): Promise<TopicView | undefined> {
  const { topics } = await askKafka(node, metadata([name]));
  return topics.find(({ errorCode, name: found }) => found === name && errorCode === 0);
}

/** `partitions` undefined: the topic is gone. */
function isSettled(topic: TopicView | undefined, partitions: number | undefined): boolean {
  if (topic === undefined || partitions === undefined) return topic === undefined && partitions === undefined;
  return topic.partitions.length === partitions && topic.partitions.every(({ leader }) => leader >= 0);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("Kafka did not get there in 30 s");
    await Bun.sleep(20); // the nodes learn of it each in their own time, and tell nobody
  }
}
