// CreateTopics: makes topics on request; of the configuration only max.message.bytes acts.
import { ErrorCode } from "../protocol/errorCodes.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import { type Api, type ApiContext, type Outcome, orderedError } from "./api.ts";

//   CreateTopics Request v0-v4  => [topic STRING, partitions INT32, replication_factor INT16,
//                                   assignments [partition INT32, [node INT32]], [key STRING, value NULLABLE_STRING]],
//                                  timeout INT32, validate_only BOOL (v1+)
//   CreateTopics Response v0-v4 => throttle_time INT32 (v2+), [topic STRING, error INT16, message NULLABLE_STRING (v1+)]

interface NewTopic {
  name: string;
  partitions: number;
  replicationFactor: number;
  assignments: { partition: number; nodes: number[] }[];
  config: Map<string, string | null>;
}

interface CreateTopicsRequest {
  topics: NewTopic[];
  validateOnly: boolean;
}

interface Result {
  code: number;
  message: string | null;
}

export const createTopics: Api<CreateTopicsRequest> = {
  decode(reader: WireReader, version: number): CreateTopicsRequest {
    const topics = reader.array(() => ({
      name: reader.string(),
      partitions: reader.int32(),
      replicationFactor: reader.int16(),
      assignments: reader.array(() => ({ partition: reader.int32(), nodes: reader.array(() => reader.int32()) })),
      config: new Map(reader.array((): [string, string | null] => [reader.string(), reader.nullableString()])),
    }));
    reader.int32();
    return { topics, validateOnly: version >= 1 && reader.bool() };
  },

  targets: ({ topics }) => ({ topics: topics.map((topic) => topic.name), partitions: [] }),

  answer(request: CreateTopicsRequest, context: ApiContext): Outcome {
    const { out, version } = context;
    if (version >= 2) out.int32(context.throttleTime);
    out.array(request.topics, (topic) => {
      const result = create(topic, request.validateOnly, context);
      out.string(topic.name).int16(result.code);
      if (version >= 1) out.nullableString(result.message);
    });
    return "answered";
  },
};

function create(topic: NewTopic, validateOnly: boolean, context: ApiContext): Result {
  const { cluster } = context;
  const ordered = orderedError(context, topic.name);
  if (ordered !== undefined) return { code: ordered.code, message: ordered.message ?? null };
  if (!cluster.isLegalTopic(topic.name)) return failure(ErrorCode.InvalidTopic, "no legal topic name");
  if (cluster.topic(topic.name) !== undefined) return failure(ErrorCode.TopicAlreadyExists, "it exists already");
  const assigned = new Map(topic.assignments.map(({ partition, nodes }) => [partition, nodes[0] ?? -1]));
  const partitions = assigned.size > 0 ? assigned.size : topic.partitions;
  if (partitions < 1 && partitions !== -1) return failure(ErrorCode.InvalidPartitions, `${partitions} partitions`);
  if (topic.replicationFactor > cluster.nodes.length) {
    return failure(ErrorCode.InvalidReplicationFactor, `there are ${cluster.nodes.length} nodes`);
  }
  if (validateOnly) return { code: ErrorCode.None, message: null };
  const leaderOf = assigned.size > 0 ? (partition: number) => assigned.get(partition) ?? -1 : undefined;
  const limit = Number(topic.config.get("max.message.bytes") ?? cluster.options.maxMessageBytes);
  cluster.createTopic(topic.name, partitions === -1 ? undefined : partitions, leaderOf, limit);
  return { code: ErrorCode.None, message: null };
}

function failure(code: number, message: string): Result {
  return { code, message };
}
