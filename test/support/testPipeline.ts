// The delivery side against the embedded broker, in this process, without sockets: messages go straight into the queue.
import { defaultSettings, type Settings } from "../../src/config/settings.ts";
import { type DevBroker, type DevBrokerOptions, startDevBroker } from "../../src/dev/devBroker.ts";
import type { DiscardReason } from "../../src/observe/discards.ts";
import { heldIn } from "../../src/observe/ledger.ts";
import { createLogger } from "../../src/observe/log.ts";
import { type Pipeline, type PipelineParts, startPipeline } from "../../src/pipeline.ts";
import type { HeldLogs } from "../../src/spool/heldLogs.ts";
import { MemoryQueue, openMemoryQueueWriter } from "../../src/spool/memoryQueue.ts";
import { encodeAnyPartition, encodePartitionKey } from "../../src/wire/frame.ts";

export interface TestMessage {
  topic?: string;
  key?: string;
  value: string;
  partitionKey?: number;
  timestamp?: number;
}

export interface TestPipeline {
  broker: DevBroker;
  pipeline: Pipeline;
  /** May be changed; `pipeline.topicSettingsChanged()` then. */
  settings: Settings;
  discards: { topic: string | undefined; count: number; reason: DiscardReason }[];
  /** Puts messages into the queue, as one block. False when it is full. */
  send(...messages: TestMessage[]): boolean;
  /** Resolves when every message sent is settled. */
  settled(): Promise<void>;
  /** Resolves when `holds` does; it is looked at after each request to the broker, and often besides. */
  until(holds: () => boolean): Promise<void>;
  /** Values in the topic, in the order of partitions and offsets. */
  values(topic?: string, partition?: number): string[];
  /** received = delivered + held + discarded, by the accounts and by the queue's own count. */
  balance(): { received: number; delivered: number; held: number; discarded: number; agrees: boolean };
  log(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Short times, so that what has to be waited for comes soon; nothing is asserted about them. */
export function quickSettings(): Settings {
  const settings = defaultSettings({ env: {}, uid: 0 });
  settings.kafka.requestTimeout = 400;
  settings.kafka.autoCreateTopics = true;
  settings.delivery.backoff = 5;
  settings.delivery.backoffMax = 50;
  settings.batch.linger = 2;
  return settings;
}

export async function testPipeline(
  change: (settings: Settings) => void = () => {},
  brokerOptions: DevBrokerOptions = {},
  more: Pick<PipelineParts, "hold" | "ageClocks"> & { held?: HeldLogs } = {},
): Promise<TestPipeline> {
  const broker = await startDevBroker(brokerOptions);
  const settings = quickSettings();
  settings.kafka.brokers = broker.addresses;
  change(settings);
  let text = "";
  const log = createLogger({ level: "debug", format: "json", file: "" }, { write: (line) => (text += line) });
  const queue = new MemoryQueue(settings.buffer.memory / 2);
  const writer = openMemoryQueueWriter(queue.memory, () => setImmediate(() => queue.wake()));
  const discards: TestPipeline["discards"] = [];
  const onDiscard = (topic: string | undefined, count: number, reason: DiscardReason) =>
    void discards.push({ topic, count, reason });
  const pipeline = startPipeline({ settings, queue, log, onDiscard, ...more });
  const wallClock = more.ageClocks?.wall ?? Date.now;
  const unsettled = () => queue.unsettled + (more.held?.unsettled ?? 0);
  const until = async (holds: () => boolean) => {
    while (!holds()) await Bun.sleep(1);
  };
  return {
    broker,
    pipeline,
    settings,
    discards,
    send(...messages) {
      const block = Buffer.concat(messages.map(frameOf));
      return writer.append(1, wallClock(), block, 0, block.length, messages.length) > 0;
    },
    settled: () => until(() => unsettled() === 0),
    until,
    values: (topic = "t", partition) =>
      broker.records(topic, partition).map(({ value }) => value?.toString() ?? "(null)"),
    balance() {
      const { received, delivered, discarded } = pipeline.ledger.total;
      const held = heldIn(pipeline.ledger.total);
      const agrees = held + (queue.written - queue.taken) === unsettled();
      return { received, delivered, held, discarded, agrees };
    },
    log: () => text,
    async [Symbol.asyncDispose]() {
      pipeline.stop();
      await broker.stop();
    },
  };
}

export function frameOf({
  topic = "t",
  key = "",
  value,
  partitionKey,
  timestamp = 1_795_000_000_000,
}: TestMessage): Buffer {
  const message = { topic, timestamp, key: Buffer.from(key), value: Buffer.from(value) };
  return partitionKey === undefined ? encodeAnyPartition(message) : encodePartitionKey({ ...message, partitionKey });
}

/** Values "0" to "count - 1". */
export function numbered(count: number, more: Partial<TestMessage> = {}): TestMessage[] {
  return Array.from({ length: count }, (_, index) => ({ value: `${index}`, ...more }));
}
