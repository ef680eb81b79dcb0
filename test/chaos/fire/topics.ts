// The topics of the fire, and who writes to them.
import type { Kafka } from "../../support/kafka.ts";
import type { Kind } from "./messages.ts";

export interface FireTopic {
  name: string;
  /** The nodes of each partition, the preferred leader first. */
  replicas: number[][];
  minInSync: 1 | 2;
  /** No replica is on this node: what happens to it must not disturb the topic. */
  awayFrom?: number;
}

export interface Load {
  topic: string;
  kind: Kind;
  /** Of all messages. */
  share: number;
  size: number;
  through: "stream" | "datagram";
}

const ROUND = [
  [1, 2, 3],
  [2, 3, 1],
  [3, 1, 2],
];

/** On all three nodes, a majority of which must have a message; each node leads as many. */
function everywhere(name: string, rounds: number): FireTopic {
  const replicas = Array.from({ length: rounds }, () => ROUND).flat();
  return { name, replicas: replicas.map((nodes) => [...nodes]), minInSync: 2 };
}

/** On the two others. */
function away(name: string, node: number): FireTopic {
  const [one, two] = [1, 2, 3].filter((id) => id !== node) as [number, number];
  const replicas = [
    [one, two],
    [two, one],
  ];
  return { name, replicas, minInSync: 1, awayFrom: node };
}

export const TOPICS = {
  keyed: everywhere("keyed", 2),
  hashed: everywhere("hashed", 2),
  any: everywhere("any", 2),
  /** Gets more partitions. */
  growing: everywhere("growing", 1),
  /** Deleted, and made again: at once, and later. */
  remade: everywhere("remade", 1),
  remadeLater: everywhere("remade-later", 1),
  away1: away("away-from-1", 1),
  away2: away("away-from-2", 2),
  away3: away("away-from-3", 3),
} as const satisfies Record<string, FireTopic>;

export const BYSTANDERS = [TOPICS.away1, TOPICS.away2, TOPICS.away3];

/** Writers; the shares make 1. */
export const LOADS: readonly Load[] = [
  { topic: TOPICS.keyed.name, kind: "partition key", share: 0.26, size: 120, through: "stream" },
  { topic: TOPICS.hashed.name, kind: "hashed key", share: 0.2, size: 160, through: "stream" },
  { topic: TOPICS.any.name, kind: "any", share: 0.26, size: 200, through: "stream" },
  { topic: TOPICS.keyed.name, kind: "partition key", share: 0.04, size: 100, through: "datagram" },
  { topic: TOPICS.any.name, kind: "any", share: 0.02, size: 100, through: "datagram" },
  { topic: TOPICS.growing.name, kind: "partition key", share: 0.04, size: 120, through: "stream" },
  { topic: TOPICS.remade.name, kind: "partition key", share: 0.03, size: 120, through: "stream" },
  { topic: TOPICS.remadeLater.name, kind: "partition key", share: 0.03, size: 120, through: "stream" },
  ...BYSTANDERS.map(({ name }) => ({
    ...{ topic: name, kind: "partition key" as const, share: 0.04, size: 120, through: "stream" as const },
  })),
];

/** Kafka itself writes down when a message came in. */
export async function createFireTopic(kafka: Kafka, { name, replicas, minInSync }: FireTopic): Promise<void> {
  await kafka.createTopic(name, replicas, 0, {
    "min.insync.replicas": String(minInSync),
    "message.timestamp.type": "LogAppendTime",
  });
}
