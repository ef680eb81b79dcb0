// Reads a topic back from a broker, record by record: the witness of what bruce delivered.
import { type DecodedRecord, type RecordBatchHeader, readRecordBatch } from "../../src/kafka/recordBatchReader.ts";
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
  const connections = new Map<number, KafkaSocket>();
  let records = 0;
  try {
    for (const { partition, leader, address } of await leadersOf(bootstrap, topic)) {
      const connection = connections.get(leader) ?? (await connectKafka(address));
      connections.set(leader, connection);
      records += await readPartition(connection, topic, partition, onRecord);
    }
  } finally {
    for (const connection of connections.values()) connection.close();
  }
  return records;
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
  onRecord: (record: ReadRecord) => void,
): Promise<number> {
  const first = Number(await connection.ask(listOffset(topic, partition, "first")));
  const end = Number(await connection.ask(listOffset(topic, partition, "end")));
  let next = first;
  let records = 0;
  while (next < end) {
    const bytes = await connection.ask(fetchRecords(topic, partition, BigInt(next), fetchSize));
    for (let at = 0; hasWholeBatch(bytes, at) && next < end; ) {
      const batch = readRecordBatch(bytes, at);
      at += batch.size;
      for (const record of batch.control ? [] : batch.records) {
        // A response begins with the whole batch that holds the offset asked for.
        if (record.offset < next || record.offset >= end) continue;
        records += 1;
        onRecord({ ...record, partition, batch });
      }
      next = batch.baseOffset + batch.lastOffsetDelta + 1;
    }
  }
  return records;
}

/** A response may end in the middle of a batch. */
function hasWholeBatch(bytes: Buffer, at: number): boolean {
  return bytes.length - at >= batchOverhead && bytes.length - at >= batchOverhead + bytes.readInt32BE(at + 8);
}
