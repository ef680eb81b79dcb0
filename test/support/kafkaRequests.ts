// The questions that tests ask a broker, in versions that Kafka 3.9, Kafka 4 and the embedded broker all answer.
// Source of the layouts: https://kafka.apache.org/protocol
import { errorOf } from "../../src/kafka/errors.ts";
import type { Question } from "./kafkaSocket.ts";

export interface ClusterView {
  /** Those that are alive in the eyes of the broker that answered. */
  brokers: { id: number; host: string; port: number }[];
  clusterId: string | null;
  controllerId: number;
  topics: TopicView[];
}

export interface TopicView {
  name: string;
  errorCode: number;
  /** Ascending ids. A partition without a leader has -1. */
  partitions: { id: number; errorCode: number; leader: number; replicas: number[]; inSync: number[] }[];
}

/** Metadata v8; never creates a topic. */
export function metadata(topics: string[]): Question<ClusterView> {
  return {
    apiKey: 3,
    apiVersion: 8,
    write: (to) => {
      to.array(topics, (name) => to.string(name));
      to.bool(false).bool(false).bool(false);
    },
    read: (from) => {
      from.int32(); // throttle time
      const brokers = from.array(() => {
        const broker = { id: from.int32(), host: from.string(), port: from.int32() };
        from.nullableString(); // rack
        return broker;
      });
      const clusterId = from.nullableString();
      const controllerId = from.int32();
      const views = from.array(() => {
        const errorCode = from.int16();
        const name = from.string();
        from.bool(); // internal
        const partitions = from.array(() => {
          const partition = { errorCode: from.int16(), id: from.int32(), leader: from.int32() };
          from.int32(); // leader epoch
          const replicas = from.array(() => from.int32());
          const inSync = from.array(() => from.int32());
          from.array(() => from.int32()); // offline
          return { ...partition, replicas, inSync };
        });
        from.int32(); // authorized operations
        return { name, errorCode, partitions: partitions.sort((a, b) => a.id - b.id) };
      });
      return { brokers, clusterId, controllerId, topics: views };
    },
  };
}

export interface NewTopic {
  name: string;
  /** How many, or the ids of the nodes that each has its replicas on, the preferred leader first. */
  partitions: number | readonly (readonly number[])[];
  /** Of no effect when the nodes are named. */
  replication: number;
  config: Record<string, string>;
}

/** CreateTopics v4. Throws what the broker says against it. */
export function createTopic({ name, partitions, replication, config }: NewTopic): Question<void> {
  return {
    apiKey: 19,
    apiVersion: 4,
    write: (to) => {
      to.array([name], () => {
        const assigned = typeof partitions === "number" ? [] : [...partitions.entries()];
        if (typeof partitions === "number") to.string(name).int32(partitions).int16(replication);
        else to.string(name).int32(-1).int16(-1);
        to.array(assigned, ([id, nodes]) => to.int32(id).array(nodes, (node) => to.int32(node)));
        to.array(Object.entries(config), ([key, value]) => to.string(key).string(value));
      });
      to.int32(30_000).bool(false);
    },
    read: (from) => {
      from.int32(); // throttle time
      from.array(() => {
        const topic = from.string();
        const errorCode = from.int16();
        const message = from.nullableString();
        throwUnlessOk(errorCode, `topic ${topic} was not created`, message);
      });
    },
  };
}

/** DeleteTopics v1. Throws what the broker says against it. */
export function deleteTopic(name: string): Question<void> {
  return {
    apiKey: 20,
    apiVersion: 1,
    write: (to) => to.array([name], () => to.string(name)).int32(30_000),
    read: (from) => {
      from.int32(); // throttle time
      from.array(() => throwUnlessOk(skipName(from.string(), from.int16()), `topic ${name} was not deleted`));
    },
  };
}

/** CreatePartitions v0: the topic then has that many. Throws what the broker says against it. */
export function addPartitions(name: string, total: number): Question<void> {
  return {
    apiKey: 37,
    apiVersion: 0,
    write: (to) =>
      to
        .array([name], () => to.string(name).int32(total).nullArray())
        .int32(30_000)
        .bool(false),
    read: (from) => {
      from.int32(); // throttle time
      from.array(() => {
        const errorCode = skipName(from.string(), from.int16());
        throwUnlessOk(errorCode, `${name} did not get its partitions`, from.nullableString());
      });
    },
  };
}

/** ListOffsets v1: where the partition's log begins or ends. */
export function listOffset(topic: string, partition: number, which: "first" | "end"): Question<bigint> {
  return {
    apiKey: 2,
    apiVersion: 1,
    write: (to) =>
      to
        .int32(-1)
        .array([topic], () =>
          to.string(topic).array([partition], () => to.int32(partition).int64(which === "first" ? -2 : -1)),
        ),
    read: (from) => {
      const offsets = from.array(() => {
        from.string();
        return from.array(() => {
          from.int32(); // partition
          throwUnlessOk(from.int16(), `${topic} [${partition}] has no offsets`);
          from.int64(); // timestamp
          return from.int64();
        });
      });
      return offsets[0]?.[0] ?? 0n;
    },
  };
}

/** Fetch v10, the first that may carry zstd: the bytes of whole record batches, and perhaps a part of one, from that offset on. */
export function fetchRecords(topic: string, partition: number, offset: bigint, maxBytes: number): Question<Buffer> {
  return {
    apiKey: 1,
    apiVersion: 10,
    write: (to) => {
      // Replica, longest wait, fewest bytes, most bytes, isolation level, session id and epoch (none).
      to.int32(-1).int32(1000).int32(1).int32(maxBytes).int8(0).int32(0).int32(-1);
      to.array([topic], () =>
        to
          .string(topic)
          .array([partition], () => to.int32(partition).int32(-1).int64(offset).int64(-1).int32(maxBytes)),
      );
      to.int32(0); // forgotten topics
    },
    read: (from) => {
      from.int32(); // throttle time
      throwUnlessOk(from.int16(), `fetch of ${topic} failed`);
      from.int32(); // session id
      const records = from.array(() => {
        from.string();
        return from.array(() => {
          from.int32(); // partition
          throwUnlessOk(from.int16(), `fetch of ${topic} [${partition}] at ${offset} failed`);
          from.int64(); // high watermark
          from.int64(); // last stable offset
          from.int64(); // log start offset
          from.nullableArray(() => [from.int64(), from.int64()]); // aborted transactions
          return from.nullableBytes() ?? Buffer.alloc(0);
        });
      });
      return records[0]?.[0] ?? Buffer.alloc(0);
    },
  };
}

/** In the order in which the fields stand. */
function skipName(_name: string, errorCode: number): number {
  return errorCode;
}

export function throwUnlessOk(errorCode: number, what: string, message: string | null = null): void {
  if (errorCode === 0) return;
  throw new Error(`${what}: ${errorOf(errorCode).name} (${errorCode})${message === null ? "" : `, ${message}`}`);
}
