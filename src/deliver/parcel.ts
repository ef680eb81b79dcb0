// A batch on its way, and several of them as one produce request names them.
import type { ProduceTopic } from "../kafka/produce.ts";
import type { Batch } from "../route/batch.ts";
import type { Outbox } from "./outbox.ts";

/** A batch with the partition it is for. */
export interface Parcel {
  outbox: Outbox;
  batch: Batch;
}

/** The parcels in the shape of a produce request. A partition stands in it once: it has one batch in flight. */
export function byTopic(parcels: Parcel[]): ProduceTopic[] {
  const topics = new Map<string, { partition: number; batch: Uint8Array }[]>();
  for (const { outbox, batch } of parcels) {
    const { topic, id } = outbox.partition;
    const entry = { partition: id, batch: batch.bytes };
    const partitions = topics.get(topic.name);
    if (partitions === undefined) topics.set(topic.name, [entry]);
    else partitions.push(entry);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}
