// Reads a topic back from a broker, record by record: the witness of what bruce delivered.
import {
  type DecodedRecord,
  type RecordBatchHeader,
  readRecordBatch,
  readRecordBatchHeader,
} from "../../src/kafka/recordBatchReader.ts";
import { fetchRecords, listOffset, metadata } from "./kafkaRequests.ts";
import { type Address, askKafka, connectKafka, type KafkaSocket, parseAddress } from "./kafkaSocket.ts";

export interface ReadRecord extends DecodedRecord {
  partition: number;
  /** The batch that it lies in: its codec, producer, sequence, size. */
  batch: RecordBatchHeader;
}

/** Bytes; a broker gives one batch more than that when it is larger. */
const fetchSize = 8 * 1024 * 1024;
const batchOverhead = 12;

/**
 * Hands every record that the topic has now to `onRecord`, partition by partition and in the order of their offsets, and gives
 * their number. The key and the value are views that hold on to the whole response: copy what is kept.
 */
export async function readBack(
  bootstrap: string,
  topic: string,
  onRecord: (record: ReadRecord) => void,
): Promise<number> {
  let records = 0;
  await readBackBatches(bootstrap, topic, ({ partition, bytes, at, from, to }) => {
    const batch = readRecordBatch(bytes, at);
    for (const record of batch.records) {
      if (record.offset < from || record.offset >= to) continue;
      records += 1;
      onRecord({ ...record, partition, batch });
    }
  });
  return records;
}

/** A batch as it lies in a response. */
export interface ReadBatch {
  partition: number;
  bytes: Buffer;
  /** Where it begins. */
  at: number;
  /** Offsets that count: a response begins with the whole batch that holds the offset asked for, and may end behind the end. */
  from: number;
  to: number;
}

/** The same, batch by batch, for whoever reads more than fits in memory as records; control batches are left out. */
export async function readBackBatches(
  bootstrap: string,
  topic: string,
  onBatch: (batch: ReadBatch) => void,
): Promise<void> {
  const connections = new Map<number, KafkaSocket>();
  try {
    for (const { partition, leader, address } of await leadersOf(bootstrap, topic)) {
      const connection = connections.get(leader) ?? (await connectKafka(address));
      connections.set(leader, connection);
      await readPartition(connection, topic, partition, onBatch);
    }
  } finally {
    for (const connection of connections.values()) connection.close();
  }
}

async function leadersOf(
  bootstrap: string,
  topic: string,
): Promise<{ partition: number; leader: number; address: Address }[]> {
  const { brokers, topics } = await askKafka(parseAddress(bootstrap), metadata([topic]));
  const view = topics[0];
  if (view === undefined || view.errorCode !== 0)
    throw new Error(`topic ${topic} cannot be read back: it is not there`);
  return view.partitions.map(({ id, leader }) => {
    const address = brokers.find((broker) => broker.id === leader);
    if (address === undefined) throw new Error(`topic ${topic} cannot be read back: partition ${id} has no leader`);
    return { partition: id, leader, address };
  });
}

async function readPartition(
  connection: KafkaSocket,
  topic: string,
  partition: number,
  onBatch: (batch: ReadBatch) => void,
): Promise<void> {
  const first = Number(await connection.ask(listOffset(topic, partition, "first")));
  const to = Number(await connection.ask(listOffset(topic, partition, "end")));
  let from = first;
  while (from < to) {
    const bytes = await connection.ask(fetchRecords(topic, partition, BigInt(from), fetchSize));
    for (let at = 0; hasWholeBatch(bytes, at) && from < to; ) {
      const batch = readRecordBatchHeader(bytes, at);
      if (!batch.control) onBatch({ partition, bytes, at, from, to });
      at += batch.size;
      from = batch.baseOffset + batch.lastOffsetDelta + 1;
    }
  }
}

/** A response may end in the middle of a batch. */
function hasWholeBatch(bytes: Buffer, at: number): boolean {
  return bytes.length - at >= batchOverhead && bytes.length - at >= batchOverhead + bytes.readInt32BE(at + 8);
}
