// Quotas of a real Kafka, changed while it runs. Source of the layout: https://kafka.apache.org/protocol
import { errorOf } from "../../src/kafka/errors.ts";
import type { Question } from "./kafkaSocket.ts";

/** AlterClientQuotas v0: how many bytes a client may produce per second, per broker; undefined: as many as it likes. */
export function limitProducer(clientId: string, bytesPerSecond: number | undefined): Question<void> {
  const value = Buffer.alloc(8);
  value.writeDoubleBE(bytesPerSecond ?? 0);
  return {
    apiKey: 49,
    apiVersion: 0,
    write: (to) => {
      to.array([clientId], () => {
        to.array(["client-id"], (type) => to.string(type).string(clientId));
        to.array(["producer_byte_rate"], (key) => {
          to.string(key)
            .int64(value.readBigInt64BE())
            .bool(bytesPerSecond === undefined);
        });
      });
      to.bool(false); // validate only
    },
    read: (from) => {
      from.int32(); // throttle time
      from.array(() => {
        const [errorCode, message] = [from.int16(), from.nullableString()];
        from.array(() => [from.string(), from.nullableString()]); // whom it is about
        if (errorCode !== 0) throw new Error(`no quota: ${errorOf(errorCode).name}, ${message}`);
      });
    },
  };
}
