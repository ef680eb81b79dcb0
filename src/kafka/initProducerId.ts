// InitProducerId: a producer id of our own, the ground of idempotent delivery.
import type { KafkaRequest } from "./connectionRequest.ts";
import { Decoder } from "./decoder.ts";
import { Encoder } from "./encoder.ts";

export const INIT_PRODUCER_ID_KEY = 22;

/** The versions spoken here, best first. They differ only in when the broker throttles. */
export const INIT_PRODUCER_ID_VERSIONS = [1, 0] as const;
export type InitProducerIdVersion = (typeof INIT_PRODUCER_ID_VERSIONS)[number];

export interface InitProducerIdResponse {
  /** See errors.ts. A young cluster answers COORDINATOR_LOAD_IN_PROGRESS. */
  errorCode: number;
  producerId: bigint;
  producerEpoch: number;
  /** ms */
  throttleTime: number;
}

/**
 *   InitProducerIdRequest v0, v1 => TransactionalId TransactionTimeout
 *     TransactionalId    => NULLABLE_STRING   null: idempotent only
 *     TransactionTimeout => int32             ms, not looked at without a transactional id, but must be positive
 *   InitProducerIdResponse v0, v1 => ThrottleTime ErrorCode ProducerId ProducerEpoch
 *     ThrottleTime       => int32
 *     ErrorCode          => int16
 *     ProducerId         => int64
 *     ProducerEpoch      => int16
 */
export function initProducerIdRequest(version: InitProducerIdVersion = 1): KafkaRequest<InitProducerIdResponse> {
  return {
    apiKey: INIT_PRODUCER_ID_KEY,
    apiVersion: version,
    name: "InitProducerId",
    expectResponse: true,
    maxResponse: 1024,
    parts: () => [new Encoder().string(null).int32(60_000).take()],
    decode(body) {
      const decoder = new Decoder(body);
      const throttleTime = decoder.int32();
      const errorCode = decoder.int16();
      const producerId = decoder.int64();
      const producerEpoch = decoder.int16();
      decoder.end();
      return { errorCode, producerId, producerEpoch, throttleTime };
    },
  };
}
