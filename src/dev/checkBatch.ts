// What a broker checks of a batch before it appends it, without unpacking it. The codes are those that Kafka 4.1 gave
// to the same bytes.
import {
  checkRecordBatchCrc,
  RecordBatchError,
  type RecordBatchHeader,
  readRecordBatchHeader,
} from "../kafka/recordBatchReader.ts";
import { ErrorCode } from "./protocol/errorCodes.ts";

export interface Refusal {
  code: number;
  message: string;
}

const LAST_CODEC = 4;

/** The batch's header, or why it is refused. `limit`: the topic's max.message.bytes. */
export function checkBatch(batch: Buffer, limit: number): RecordBatchHeader | Refusal {
  let header: RecordBatchHeader;
  try {
    header = readRecordBatchHeader(batch);
    if (batch.length > limit) return refuse(ErrorCode.MessageTooLarge, `${batch.length} bytes, ${limit} are taken`);
    checkRecordBatchCrc(batch, header);
  } catch (error) {
    if (!(error instanceof RecordBatchError)) throw error;
    return refuse(error.kind === "crc" ? ErrorCode.CorruptMessage : ErrorCode.InvalidRecord, error.message);
  }
  return checkHeader(header, batch.length) ?? header;
}

function checkHeader(header: RecordBatchHeader, length: number): Refusal | undefined {
  const { baseOffset, size, recordCount, lastOffsetDelta, producerId, baseSequence, codec } = header;
  const invalid = (message: string) => refuse(ErrorCode.InvalidRecord, message);
  if (size !== length) return invalid("a produce request carries exactly one batch for a partition");
  if (baseOffset !== 0) return invalid(`base offset is ${baseOffset}, not 0`);
  if (recordCount === 0) return invalid("a batch without records");
  if (lastOffsetDelta !== recordCount - 1) {
    return invalid(`${recordCount} records, the last offset delta is ${lastOffsetDelta}`);
  }
  if (producerId >= 0n && baseSequence < 0) return invalid(`producer ${producerId} with sequence ${baseSequence}`);
  if (header.control) return invalid("control records come from brokers only");
  if (header.transactional) return refuse(ErrorCode.TransactionalIdAuthorizationFailed, "no transactions here");
  if (codec > LAST_CODEC) return refuse(ErrorCode.UnknownServerError, `codec ${codec} is not known`);
  return undefined;
}

function refuse(code: number, message: string): Refusal {
  return { code, message };
}
