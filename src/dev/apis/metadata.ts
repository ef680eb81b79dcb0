// Metadata: nodes, topics, leaders; makes topics on first use when that is allowed.
import type { Topic } from "../cluster.ts";
import { ErrorCode } from "../protocol/errorCodes.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import { type Api, type ApiContext, type Outcome, orderedError } from "./api.ts";

//   Metadata Request  => [topic STRING] (v0: empty means all; v1+: null means all), allow_auto_creation BOOL (v4+),
//                        include_cluster_operations BOOL (v8+), include_topic_operations BOOL (v8+)
//   Metadata Response => throttle_time INT32 (v3+),
//                        [node_id INT32, host STRING, port INT32, rack NULLABLE_STRING (v1+)],
//                        cluster_id NULLABLE_STRING (v2+), controller_id INT32 (v1+),
//                        [error INT16, topic STRING, is_internal BOOL (v1+),
//                          [error INT16, partition INT32, leader INT32, leader_epoch INT32 (v7+), [replica INT32],
//                           [in_sync INT32], [offline INT32] (v5+)],
//                          topic_operations INT32 (v8+)],
//                        cluster_operations INT32 (v8+)

interface MetadataRequest {
  /** null: all. */
  topics: string[] | null;
  allowAutoCreation: boolean;
}

/** "Not asked for", in the fields for authorized operations. */
const NO_OPERATIONS = -0x80000000;

export const metadata: Api<MetadataRequest> = {
  decode(reader: WireReader, version: number): MetadataRequest {
    const topics = reader.nullableArray(() => reader.string());
    const allowAutoCreation = version >= 4 ? reader.bool() : true;
    if (version >= 8) {
      reader.bool();
      reader.bool();
    }
    return { topics: version === 0 && topics?.length === 0 ? null : topics, allowAutoCreation };
  },

  targets: (request) => ({ topics: request.topics ?? [], partitions: [] }),

  answer(request: MetadataRequest, context: ApiContext): Outcome {
    const { cluster, out, version } = context;
    const names = request.topics ?? cluster.topics().map((topic) => topic.name);
    const nodes = cluster.nodes.filter((node) => node.up);
    if (version >= 3) out.int32(context.throttleTime);
    out.array(nodes, (node) => {
      out.int32(node.id).string(node.host).int32(node.port);
      if (version >= 1) out.nullableString(null);
    });
    if (version >= 2) out.nullableString(cluster.id);
    if (version >= 1) out.int32(nodes[0]?.id ?? -1);
    out.array([...new Set(names)], (name) => writeTopic(name, request.allowAutoCreation, context));
    if (version >= 8) out.int32(NO_OPERATIONS);
    return "answered";
  },
};

function writeTopic(name: string, allowAutoCreation: boolean, context: ApiContext): void {
  const { out, version } = context;
  const found = findTopic(name, allowAutoCreation, context);
  const topic = typeof found === "number" ? undefined : found;
  out.int16(typeof found === "number" ? found : ErrorCode.None).string(name);
  if (version >= 1) out.bool(false);
  out.array(topic?.partitions ?? [], (partition) => {
    const leader = context.cluster.leader(partition);
    const ordered = orderedError(context, name, partition.id);
    const own = leader === -1 ? ErrorCode.LeaderNotAvailable : ErrorCode.None;
    out
      .int16(ordered?.code ?? own)
      .int32(partition.id)
      .int32(leader);
    if (version >= 7) out.int32(partition.leaderEpoch);
    const replicas = partition.replicas ?? (partition.leader === -1 ? [] : [partition.leader]);
    const inSync = leader === -1 ? [] : (partition.replicas ?? [leader]);
    for (const nodes of [replicas, inSync]) out.array(nodes, (node) => out.int32(node));
    if (version >= 5) out.array(leader === -1 ? replicas : [], (node) => out.int32(node));
  });
  if (version >= 8) out.int32(NO_OPERATIONS);
}

function findTopic(name: string, allowAutoCreation: boolean, context: ApiContext): Topic | number {
  const { cluster } = context;
  const ordered = orderedError(context, name);
  if (ordered !== undefined) return ordered.code;
  if (!cluster.isLegalTopic(name)) return ErrorCode.InvalidTopic;
  const topic = cluster.topic(name);
  if (topic !== undefined) return topic;
  if (!allowAutoCreation || !cluster.options.autoCreate) return ErrorCode.UnknownTopicOrPartition;
  return cluster.createTopic(name);
}
