// A topic of the real Kafka, and how many messages it has: the witness that nothing was lost on the way.
import type { Kafka } from "../../test/support/kafka.ts";
import { listOffset } from "../../test/support/kafkaRequests.ts";
import { connectKafka, type KafkaSocket } from "../../test/support/kafkaSocket.ts";

export const PARTITIONS = 6;

/** How long nothing more may arrive before the rest counts as lost. Milliseconds. */
const PATIENCE = 30_000;
const LOOK_EVERY = 5;

export interface BenchTopic {
  readonly name: string;
  /** Messages in all partitions. */
  count(): Promise<number>;
  close(): Promise<void>;
}

export async function makeTopic(kafka: Kafka, name: string): Promise<BenchTopic> {
  await kafka.createTopic(name, PARTITIONS);
  const [broker] = kafka.brokers;
  if (broker === undefined) throw new Error("Kafka has no broker");
  const socket: KafkaSocket = await connectKafka(broker);
  return {
    name,
    async count() {
      const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
      const ends = await Promise.all(partitions.map((partition) => socket.ask(listOffset(name, partition, "end"))));
      return ends.reduce((sum, offset) => sum + Number(offset), 0);
    },
    async close() {
      socket.close();
      await kafka.deleteTopic(name);
    },
  };
}

/** Resolves with the time when `count` says so many, in milliseconds since the epoch. Rejects when they do not come. */
export async function untilCounted(count: () => Promise<number>, wanted: number, what: string): Promise<number> {
  let last = -1;
  let changedAt = performance.now();
  for (;;) {
    const counted = await count();
    const now = performance.now();
    if (counted === wanted) return performance.timeOrigin + now;
    if (counted > wanted) throw new Error(`${what}: ${counted - wanted} messages too many (${counted} of ${wanted})`);
    if (counted !== last) changedAt = now;
    last = counted;
    if (now - changedAt > PATIENCE) {
      throw new Error(`${what}: ${wanted - counted} messages were lost (${counted} of ${wanted} arrived)`);
    }
    await Bun.sleep(LOOK_EVERY);
  }
}
