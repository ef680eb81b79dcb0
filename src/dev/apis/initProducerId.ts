// InitProducerId: hands out producer ids to idempotent producers. Transactions are not served.
import { ErrorCode } from "../protocol/errorCodes.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import type { Api, ApiContext, Outcome } from "./api.ts";

//   InitProducerId Request v0-v1  => transactional_id NULLABLE_STRING, transaction_timeout INT32
//   InitProducerId Response v0-v1 => throttle_time INT32, error INT16, producer_id INT64, producer_epoch INT16

interface InitProducerIdRequest {
  transactionalId: string | null;
}

export const initProducerId: Api<InitProducerIdRequest> = {
  decode(reader: WireReader): InitProducerIdRequest {
    const transactionalId = reader.nullableString();
    reader.int32();
    return { transactionalId };
  },

  targets: () => ({ topics: [], partitions: [] }),

  answer({ transactionalId }: InitProducerIdRequest, context: ApiContext): Outcome {
    const own = transactionalId === null ? ErrorCode.None : ErrorCode.InvalidRequest;
    const code = context.error?.code ?? own;
    const good = code === ErrorCode.None;
    const producerId = good ? context.cluster.newProducerId() : -1n;
    context.out
      .int32(context.throttleTime)
      .int16(code)
      .int64(producerId)
      .int16(good ? 0 : -1);
    return "answered";
  },
};
