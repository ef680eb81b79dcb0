// Followers that stop to copy, as far as a client sees it: what has a copy there is taken, and acknowledged only later.
import type { DevBroker } from "../../src/dev/devBroker.ts";

export interface Freeze {
  /** Resolves when a request had to wait for the first time. */
  readonly hit: Promise<unknown>;
  /** How many had to. */
  readonly hits: number;
  thaw(): void;
}

/** A topic of which partition n has copies on `replicas[n]`, the first of them its leader. */
export function replicatedTopic(broker: DevBroker, name: string, replicas: readonly number[][]): void {
  broker.createTopic(name, replicas.length, (partition) => replicas[partition]?.[0] ?? -1);
  replicas.forEach((nodes, partition) => {
    broker.setReplicas(name, partition, nodes);
  });
}

/** From now on, requests with a partition that has a copy on `node` are answered when it thaws. */
export function freeze(broker: DevBroker, replicas: readonly number[][], node: number): Freeze {
  const { promise, resolve } = Promise.withResolvers<void>();
  const rule = broker.faults.always(
    ({ api, partitions }) =>
      api === "Produce" && partitions.some(({ partition }) => replicas[partition]?.includes(node)),
    { kind: "delay", until: promise, append: true },
  );
  return {
    hit: rule.hit,
    get hits() {
      return rule.hits;
    },
    thaw() {
      rule.remove();
      resolve();
    },
  };
}
