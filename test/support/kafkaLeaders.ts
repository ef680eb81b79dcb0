// Moves the leaders of partitions, as an operator does: the order of the replicas first, then an election.
// Source of the layouts: https://kafka.apache.org/protocol
import { throwUnlessOk } from "./kafkaRequests.ts";
import type { Question } from "./kafkaSocket.ts";

/** ELECTION_NOT_NEEDED: the preferred replica leads already. */
const NOT_NEEDED = 84;

/** ElectLeaders v0: makes the preferred replica of each partition its leader. Throws what the broker says against it. */
export function electPreferred(topic: string, partitions: readonly number[]): Question<void> {
  return {
    apiKey: 43,
    apiVersion: 0,
    write: (to) => to.array([topic], () => to.string(topic).array(partitions, (id) => to.int32(id))).int32(30_000),
    read: (from) => {
      from.int32(); // throttle time
      from.array(() => {
        from.string();
        from.array(() => {
          const partition = from.int32();
          const errorCode = from.int16();
          const message = from.nullableString();
          if (errorCode !== NOT_NEEDED) throwUnlessOk(errorCode, `${topic} [${partition}] got no leader`, message);
        });
      });
    },
  };
}

/**
 * AlterPartitionReassignments v0: the nodes that each partition is to have its replicas on, the preferred leader first. Nobody
 * leads before an election that did not before, unless a leader is no longer among them. Throws what the broker says against it.
 */
export function reassign(topic: string, replicas: readonly (readonly number[])[]): Question<void> {
  return {
    apiKey: 45,
    apiVersion: 0,
    flexible: true,
    write: (to) => {
      const name = Buffer.from(topic);
      to.int32(30_000).uvarint(2); // one topic: lengths are one more than what they count
      to.uvarint(name.length + 1)
        .raw(name)
        .uvarint(replicas.length + 1);
      replicas.forEach((nodes, partition) => {
        to.int32(partition).uvarint(nodes.length + 1);
        for (const node of nodes) to.int32(node);
        to.noTaggedFields();
      });
      to.noTaggedFields().noTaggedFields();
    },
    read: (from) => {
      const nullable = () => {
        const length = from.uvarint() - 1;
        if (length < 0) return null;
        from.at += length;
        return from.bytes.toString("utf8", from.at - length, from.at);
      };
      from.int32(); // throttle time
      throwUnlessOk(from.int16(), `${topic} was not reassigned`, nullable());
      for (let topics = from.uvarint(); topics > 1; topics--) {
        nullable();
        for (let partitions = from.uvarint(); partitions > 1; partitions--) {
          const partition = from.int32();
          throwUnlessOk(from.int16(), `${topic} [${partition}] was not reassigned`, nullable());
          from.taggedFields();
        }
        from.taggedFields();
      }
    },
  };
}
