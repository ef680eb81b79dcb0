// ListOffsets: where a partition begins and ends, and where a point in time is.
import { ErrorCode } from "../protocol/errorCodes.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import { type Api, type ApiContext, type Outcome, orderedError } from "./api.ts";

//   ListOffsets Request v1-v5  => replica_id INT32, isolation_level INT8 (v2+),
//                                 [topic STRING, [partition INT32, current_leader_epoch INT32 (v4+), timestamp INT64]]
//   ListOffsets Response v1-v5 => throttle_time INT32 (v2+),
//                                 [topic STRING, [partition INT32, error INT16, timestamp INT64, offset INT64,
//                                                 leader_epoch INT32 (v4+)]]

const LATEST = -1n;
const EARLIEST = -2n;

interface ListOffsetsRequest {
  topics: { name: string; partitions: { id: number; timestamp: bigint }[] }[];
}

interface Answer {
  code: number;
  timestamp: bigint;
  offset: number;
  leaderEpoch: number;
}

export const listOffsets: Api<ListOffsetsRequest> = {
  decode(reader: WireReader, version: number): ListOffsetsRequest {
    reader.int32();
    if (version >= 2) reader.int8();
    const topics = reader.array(() => ({
      name: reader.string(),
      partitions: reader.array(() => {
        const id = reader.int32();
        if (version >= 4) reader.int32();
        return { id, timestamp: reader.int64() };
      }),
    }));
    return { topics };
  },

  targets: ({ topics }) => ({
    topics: topics.map((topic) => topic.name),
    partitions: topics.flatMap(({ name, partitions }) => partitions.map((p) => ({ topic: name, partition: p.id }))),
  }),

  answer(request: ListOffsetsRequest, context: ApiContext): Outcome {
    const { out, version } = context;
    if (version >= 2) out.int32(context.throttleTime);
    out.array(request.topics, ({ name, partitions }) => {
      out.string(name).array(partitions, ({ id, timestamp }) => {
        const found = find(name, id, timestamp, context);
        out.int32(id).int16(found.code).int64(found.timestamp).int64(found.offset);
        if (version >= 4) out.int32(found.leaderEpoch);
      });
    });
    return "answered";
  },
};

function find(topic: string, id: number, timestamp: bigint, context: ApiContext): Answer {
  const failed = (code: number): Answer => ({ code, timestamp: -1n, offset: -1, leaderEpoch: -1 });
  const ordered = orderedError(context, topic, id);
  if (ordered !== undefined) return failed(ordered.code);
  const partition = context.cluster.partition(topic, id);
  if (partition === undefined) return failed(ErrorCode.UnknownTopicOrPartition);
  if (context.cluster.leader(partition) !== context.node) return failed(ErrorCode.NotLeaderOrFollower);
  const { log, leaderEpoch } = partition;
  const found = { code: ErrorCode.None, timestamp: -1n, leaderEpoch };
  if (timestamp === LATEST) return { ...found, offset: log.endOffset };
  if (timestamp === EARLIEST) return { ...found, offset: log.startOffset };
  return { ...found, offset: -1, ...log.findByTimestamp(timestamp) };
}
