// Produce: checks the batches as a real broker does and appends them.
import { type DecodedBatch, RecordBatchError, readRecordBatch } from "../../kafka/recordBatchReader.ts";
import { checkBatch } from "../checkBatch.ts";
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
  /** Where the log begins; -1 when the error was found before the log was looked at. */
  startOffset: number;
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
        if (version >= 5) out.int64(result.startOffset);
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
  const checked = checkBatch(batch, limit);
  if ("message" in checked) return failure(checked.code, checked.message);
  const { startOffset, endOffset, producers } = partition.log;
  const verdict = producers.check(checked);
  if (verdict.kind === "duplicate") return success(verdict.baseOffset, startOffset);
  if (verdict.kind === "error") return { ...failure(verdict.code, verdict.message), startOffset };
  let decoded: DecodedBatch | undefined;
  try {
    if (onRecords !== undefined) decoded = decode(batch, endOffset);
  } catch (error) {
    if (!(error instanceof RecordBatchError)) throw error;
    return { ...failure(ErrorCode.InvalidRecord, error.message), startOffset };
  }
  const baseOffset = cluster.append(partition, batch, checked);
  if (decoded !== undefined) onRecords?.(topic, id, decoded);
  return success(baseOffset, startOffset);
}

/** The batch with its records, for onRecords. Throws a RecordBatchError: such a batch must not get into the log. */
function decode(batch: Buffer, baseOffset: number): DecodedBatch {
  batch.writeBigInt64BE(BigInt(baseOffset), 0);
  return readRecordBatch(batch);
}

function success(baseOffset: number, startOffset: number): Result {
  return { code: ErrorCode.None, baseOffset, startOffset, message: null, recordErrors: [] };
}

function failure(code: number, message: string | null = null, recordErrors: Result["recordErrors"] = []): Result {
  return { code, baseOffset: -1, startOffset: -1, message, recordErrors };
}
