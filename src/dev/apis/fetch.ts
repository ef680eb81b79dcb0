// Fetch: batches as they are stored; waits for new ones when there are too few.
import type { Partition } from "../cluster.ts";
import { ErrorCode } from "../protocol/errorCodes.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import { type Api, type ApiContext, type Outcome, orderedError } from "./api.ts";

//   Fetch Request v4-v11  => replica_id INT32, max_wait INT32, min_bytes INT32, max_bytes INT32, isolation_level INT8,
//                            session_id INT32 (v7+), session_epoch INT32 (v7+),
//                            [topic STRING, [partition INT32, current_leader_epoch INT32 (v9+), fetch_offset INT64,
//                                            log_start_offset INT64 (v5+), partition_max_bytes INT32]],
//                            forgotten [topic STRING, [partition INT32]] (v7+), rack_id STRING (v11+)
//   Fetch Response v4-v11 => throttle_time INT32, error INT16 (v7+), session_id INT32 (v7+),
//                            [topic STRING, [partition INT32, error INT16, high_watermark INT64,
//                                            last_stable_offset INT64, log_start_offset INT64 (v5+),
//                                            aborted NULLABLE_ARRAY, preferred_read_replica INT32 (v11+),
//                                            records NULLABLE_BYTES]]
// Every answer has session id 0: no session, so each request names all its partitions.

interface FetchPartition {
  topic: string;
  id: number;
  offset: number;
  maxBytes: number;
}

interface FetchRequest {
  /** Milliseconds. */
  maxWait: number;
  minBytes: number;
  maxBytes: number;
  sessionId: number;
  topics: { name: string; partitions: FetchPartition[] }[];
}

interface Found {
  code: number;
  partition: Partition | undefined;
  batches: Buffer[];
}

export const fetch: Api<FetchRequest> = {
  decode(reader: WireReader, version: number): FetchRequest {
    reader.int32();
    const [maxWait, minBytes, maxBytes] = [reader.int32(), reader.int32(), reader.int32()];
    reader.int8();
    const sessionId = version >= 7 ? reader.int32() : 0;
    if (version >= 7) reader.int32();
    const topics = reader.array(() => {
      const name = reader.string();
      const partitions = reader.array(() => {
        const id = reader.int32();
        if (version >= 9) reader.int32();
        const offset = Number(reader.int64());
        if (version >= 5) reader.int64();
        return { topic: name, id, offset, maxBytes: reader.int32() };
      });
      return { name, partitions };
    });
    if (version >= 7) reader.array(() => [reader.string(), reader.array(() => reader.int32())]);
    if (version >= 11) reader.nullableString();
    return { maxWait, minBytes, maxBytes, sessionId, topics };
  },

  targets: ({ topics }) => ({
    topics: topics.map((topic) => topic.name),
    partitions: topics.flatMap(({ partitions }) => partitions.map((p) => ({ topic: p.topic, partition: p.id }))),
  }),

  async answer(request: FetchRequest, context: ApiContext): Promise<Outcome> {
    if (request.sessionId !== 0) {
      writeHead(ErrorCode.FetchSessionIdNotFound, context);
      context.out.int32(0);
      return "answered";
    }
    let found = collect(request, context);
    if (!isEnough(found, request)) {
      await enoughOrLate(request, context);
      found = collect(request, context);
    }
    write(request, found, context);
    return "answered";
  },
};

function collect(request: FetchRequest, context: ApiContext): Map<FetchPartition, Found> {
  const found = new Map<FetchPartition, Found>();
  let left = request.maxBytes;
  for (const asked of request.topics.flatMap((topic) => topic.partitions)) {
    const one = collectOne(asked, left, context);
    left -= sizeOf(one);
    found.set(asked, one);
  }
  return found;
}

function collectOne(asked: FetchPartition, left: number, context: ApiContext): Found {
  const partition = context.cluster.partition(asked.topic, asked.id);
  const failed = (code: number): Found => ({ code, partition, batches: [] });
  const ordered = orderedError(context, asked.topic, asked.id);
  if (ordered !== undefined) return failed(ordered.code);
  if (partition === undefined) return failed(ErrorCode.UnknownTopicOrPartition);
  if (context.cluster.leader(partition) !== context.node) return failed(ErrorCode.NotLeaderOrFollower);
  const { log } = partition;
  if (asked.offset < log.startOffset || asked.offset > log.endOffset) return failed(ErrorCode.OffsetOutOfRange);
  // Beyond max_bytes a later partition waits for the next request; the first one always gets a batch.
  const batches = left > 0 ? log.read(asked.offset, Math.min(left, asked.maxBytes)) : [];
  return { code: ErrorCode.None, partition, batches };
}

function sizeOf(found: Found): number {
  return found.batches.reduce((sum, batch) => sum + batch.length, 0);
}

function isEnough(found: Map<FetchPartition, Found>, request: FetchRequest): boolean {
  let bytes = 0;
  for (const one of found.values()) {
    if (one.code !== ErrorCode.None) return true;
    bytes += sizeOf(one);
  }
  return bytes >= request.minBytes;
}

/** Resolves when there is enough to answer, when max_wait is over, or when the client has gone. */
function enoughOrLate(request: FetchRequest, context: ApiContext): Promise<void> {
  return new Promise((resolve) => {
    const asked = request.topics.flatMap((topic) => topic.partitions);
    const logs = asked.flatMap((one) => context.cluster.partition(one.topic, one.id)?.log ?? []);
    const timer = setTimeout(finish, Math.max(0, request.maxWait));
    const forgetClose = context.onClose(finish);
    for (const log of logs) log.listeners.add(look);

    function look(): void {
      if (isEnough(collect(request, context), request)) finish();
    }
    function finish(): void {
      clearTimeout(timer);
      forgetClose();
      for (const log of logs) log.listeners.delete(look);
      resolve();
    }
  });
}

function writeHead(code: number, { out, version, throttleTime }: ApiContext): void {
  out.int32(throttleTime);
  if (version >= 7) out.int16(code).int32(0);
}

function write(request: FetchRequest, found: Map<FetchPartition, Found>, context: ApiContext): void {
  const { out, version } = context;
  writeHead(ErrorCode.None, context);
  out.array(request.topics, ({ name, partitions }) => {
    out.string(name).array(partitions, (asked) => {
      const one = found.get(asked);
      const log = one?.code === ErrorCode.None ? one.partition?.log : undefined;
      const end = log?.endOffset ?? -1;
      out.int32(asked.id).int16(one?.code ?? ErrorCode.UnknownTopicOrPartition);
      out.int64(end).int64(end);
      if (version >= 5) out.int64(log?.startOffset ?? -1);
      out.nullArray();
      if (version >= 11) out.int32(-1);
      out.bytes(one?.batches ?? []);
    });
  });
}
