// Produce v8: the request that carries record batches, and its answer.
import type { KafkaRequest } from "./connectionRequest.ts";
import { Decoder } from "./decoder.ts";
import { Encoder } from "./encoder.ts";

/** Produce v8 came with Kafka 2.4, names the records at fault, and is still spoken by 4.x. */
export const PRODUCE = { apiKey: 0, apiVersion: 8 } as const;

export interface ProduceTopic {
  topic: string;
  /** `batch` is one RecordBatch v2. It is written as it stands, so it must not change until the request is settled. */
  partitions: { partition: number; batch: Uint8Array }[];
}

export interface ProduceOptions {
  /** -1: all replicas in sync, 1: the leader, 0: nobody answers. */
  acks: -1 | 1 | 0;
  /** How long the broker may wait for the replicas, ms. Less than the connection's request timeout. */
  timeout: number;
  topics: ProduceTopic[];
}

export interface ProducePartitionResponse {
  topic: string;
  partition: number;
  /** See errors.ts. */
  errorCode: number;
  /** The offset of the first record, -1 on an error. */
  baseOffset: number;
  logStartOffset: number;
  /** The records at fault, by their index in the batch. */
  recordErrors: { index: number; message: string | null }[];
  errorMessage: string | null;
}

export interface ProduceResponse {
  /** In the order the broker gave them. Empty with acks 0. */
  partitions: ProducePartitionResponse[];
  /** ms */
  throttleTime: number;
}

const NO_ANSWER: ProduceResponse = { partitions: [], throttleTime: 0 };

/** An answer names each partition and perhaps records; it never comes near the size of a request. */
const MAX_ANSWER = 16 * 1024 * 1024;

/**
 *   ProduceRequest v8  => TransactionalId Acks Timeout [Topic]
 *     TransactionalId  => NULLABLE_STRING   null
 *     Acks             => int16
 *     Timeout          => int32
 *     Topic            => Name [Partition]
 *       Name           => STRING
 *       Partition      => Index Records
 *         Index        => int32
 *         Records      => int32 length + one RecordBatch
 */
export function produceRequest({ acks, timeout, topics }: ProduceOptions): KafkaRequest<ProduceResponse> {
  return {
    ...PRODUCE,
    name: "Produce",
    expectResponse: acks !== 0,
    maxResponse: MAX_ANSWER,
    parts() {
      const encoder = new Encoder();
      const parts: Uint8Array[] = [];
      encoder.string(null).int16(acks).int32(timeout).int32(topics.length);
      for (const { topic, partitions } of topics) {
        encoder.string(topic).int32(partitions.length);
        for (const { partition, batch } of partitions) {
          encoder.int32(partition).int32(batch.length);
          parts.push(encoder.take(), batch);
        }
      }
      const rest = encoder.take();
      if (rest.length > 0) parts.push(rest);
      return parts;
    },
    decode: (body) => (acks === 0 ? NO_ANSWER : decodeProduceResponse(body)),
  };
}

/**
 *   ProduceResponse v8  => [Topic] ThrottleTime
 *     Topic             => Name [Partition]
 *       Name            => STRING
 *       Partition       => Index ErrorCode BaseOffset LogAppendTime LogStartOffset [RecordError] ErrorMessage
 *         Index         => int32
 *         ErrorCode     => int16
 *         BaseOffset, LogAppendTime, LogStartOffset => int64
 *         RecordError   => BatchIndex Message
 *           BatchIndex  => int32
 *           Message     => NULLABLE_STRING
 *         ErrorMessage  => NULLABLE_STRING
 *     ThrottleTime      => int32
 */
function decodeProduceResponse(body: Buffer): ProduceResponse {
  const decoder = new Decoder(body);
  const partitions: ProducePartitionResponse[] = [];
  decoder.array(6, () => {
    const topic = decoder.string();
    decoder.array(36, () => {
      const partition = decoder.int32();
      const errorCode = decoder.int16();
      const baseOffset = decoder.offset();
      decoder.offset();
      const logStartOffset = decoder.offset();
      const recordErrors = decoder.array(6, () => ({ index: decoder.int32(), message: decoder.nullableString() }));
      const errorMessage = decoder.nullableString();
      partitions.push({ topic, partition, errorCode, baseOffset, logStartOffset, recordErrors, errorMessage });
    });
  });
  const throttleTime = decoder.int32();
  decoder.end();
  return { partitions, throttleTime };
}
