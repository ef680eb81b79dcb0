// Produce: checks the batches as a real broker does and appends them.
import {
  checkRecordBatchCrc,
  type DecodedBatch,
  RecordBatchError,
  type RecordBatchHeader,
  readRecordBatch,
  readRecordBatchHeader,
} from "../../kafka/recordBatchReader.ts";
import { ErrorCode } from "../protocol/errorCodes.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import { type Api, type ApiContext, type Outcome, orderedError } from "./api.ts";

//   Produce Request v3-v8  => transactional_id NULLABLE_STRING, acks INT16, timeout INT32,
//                             [topic STRING, [partition INT32, records NULLABLE_BYTES]]
//   Produce Response v3-v8 => [topic STRING, [partition INT32, error INT16, base_offset INT64, log_append_time INT64,
//                              log_start_offset INT64 (v5+),
//                              [batch_index INT32, message NULLABLE_STRING] (v8+), error_message NULLABLE_STRING (v8+)]],
//                             throttle_time INT32

interface ProduceRequest {
  acks: number;
  topics: { name: string; partitions: { id: number; batch: Buffer | null }[] }[];
}

interface Result {
  code: number;
  baseOffset: number;
  message: string | null;
  recordErrors: { index: number; message: string | null }[];
}

export const produce: Api<ProduceRequest> = {
  decode(reader: WireReader): ProduceRequest {
    reader.nullableString();
    const acks = reader.int16();
    reader.int32();
    const topics = reader.array(() => ({
      name: reader.string(),
      partitions: reader.array(() => ({ id: reader.int32(), batch: reader.nullableBytes() })),
    }));
    return { acks, topics };
  },

  targets: ({ topics }) => ({
    topics: topics.map((topic) => topic.name),
    partitions: topics.flatMap(({ name, partitions }) =>
      partitions.map((p) => ({ topic: name, partition: p.id, batch: p.batch ?? undefined })),
    ),
  }),

  answer(request: ProduceRequest, context: ApiContext): Outcome {
    const { out, version } = context;
    let failed = false;
    out.array(request.topics, ({ name, partitions }) => {
      out.string(name).array(partitions, ({ id, batch }) => {
        const result = produceOne(name, id, batch, request.acks, context);
        failed ||= result.code !== ErrorCode.None;
        out.int32(id).int16(result.code).int64(result.baseOffset).int64(-1);
        if (version >= 5) out.int64(context.cluster.partition(name, id)?.log.startOffset ?? -1);
        if (version < 8) return;
        out.array(result.recordErrors, (error) => out.int32(error.index).nullableString(error.message));
        out.nullableString(result.message);
      });
    });
    out.int32(context.throttleTime);
    if (request.acks !== 0) return "answered";
    // With acks = 0 the closed connection is the only sign of an error a client gets.
    return failed ? "close" : "silent";
  },
};

function produceOne(topic: string, id: number, batch: Buffer | null, acks: number, context: ApiContext): Result {
  const ordered = orderedError(context, topic, id);
  if (ordered === undefined) return append(topic, id, batch, acks, context);
  if (ordered.append === true) append(topic, id, batch, acks, context);
  return failure(ordered.code, ordered.message ?? null, ordered.recordErrors);
}

function append(topic: string, id: number, batch: Buffer | null, acks: number, context: ApiContext): Result {
  const { cluster, onRecords } = context;
  if (acks !== -1 && acks !== 0 && acks !== 1) return failure(ErrorCode.InvalidRequiredAcks, `acks is ${acks}`);
  const partition = cluster.partition(topic, id);
  if (partition === undefined) return failure(ErrorCode.UnknownTopicOrPartition);
  if (cluster.leader(partition) !== context.node) return failure(ErrorCode.NotLeaderOrFollower);
  if (batch === null) return failure(ErrorCode.InvalidRecord, "there is no batch");
  const limit = cluster.topic(topic)?.maxMessageBytes ?? cluster.options.maxMessageBytes;
  const checked = check(batch, limit);
  if ("code" in checked) return checked;
  const verdict = partition.log.producers.check(checked);
  if (verdict.kind === "duplicate") return success(verdict.baseOffset);
  if (verdict.kind === "error") return failure(verdict.code, verdict.message);
  let decoded: DecodedBatch | undefined;
  if (onRecords !== undefined) {
    // Before the append: what cannot be decoded must not be in the log.
    batch.writeBigInt64BE(BigInt(partition.log.endOffset), 0);
    try {
      decoded = readRecordBatch(batch);
    } catch (error) {
      return failure(ErrorCode.InvalidRecord, error instanceof Error ? error.message : String(error));
    }
  }
  const baseOffset = cluster.append(partition, batch, checked);
  if (decoded !== undefined) onRecords?.(topic, id, decoded);
  return success(baseOffset);
}

/** What a broker checks of a batch without unpacking it, in a real broker's order. */
function check(batch: Buffer, limit: number): RecordBatchHeader | Result {
  try {
    const header = readRecordBatchHeader(batch);
    if (header.baseOffset !== 0) return failure(ErrorCode.InvalidRecord, `base offset is ${header.baseOffset}, not 0`);
    if (batch.length > limit) return failure(ErrorCode.MessageTooLarge, `${batch.length} bytes, ${limit} are taken`);
    checkRecordBatchCrc(batch, header);
    if (header.size !== batch.length) {
      return failure(ErrorCode.InvalidRecord, "a produce request carries exactly one batch for a partition");
    }
    if (header.recordCount === 0 || header.lastOffsetDelta !== header.recordCount - 1) {
      const counts = `${header.recordCount} records, the last offset delta is ${header.lastOffsetDelta}`;
      return failure(ErrorCode.InvalidRecord, counts);
    }
    return header;
  } catch (error) {
    if (!(error instanceof RecordBatchError)) throw error;
    return failure(error.kind === "magic" ? ErrorCode.InvalidRecord : ErrorCode.CorruptMessage, error.message);
  }
}

function success(baseOffset: number): Result {
  return { code: ErrorCode.None, baseOffset, message: null, recordErrors: [] };
}

function failure(code: number, message: string | null = null, recordErrors: Result["recordErrors"] = []): Result {
  return { code, baseOffset: -1, message, recordErrors };
}
