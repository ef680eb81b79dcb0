// Metadata: which brokers there are, and who leads the partitions of which topics.
import type { KafkaRequest } from "./connectionRequest.ts";
import { Decoder } from "./decoder.ts";
import { Encoder } from "./encoder.ts";

export const METADATA_KEY = 3;

/** The versions spoken here, best first: 7 has leader epochs, 8 only adds what we do not ask for, 5 and 6 are older. */
export const METADATA_VERSIONS = [7, 8, 6, 5] as const;
export type MetadataVersion = (typeof METADATA_VERSIONS)[number];

export interface MetadataOptions {
  /** null: all topics. An empty list: none, the brokers only. */
  topics: string[] | null;
  allowAutoTopicCreation: boolean;
  version?: MetadataVersion;
}

export interface MetadataPartition {
  errorCode: number;
  id: number;
  /** Broker id, -1 when there is none. */
  leader: number;
  /** -1 when the version has none. */
  leaderEpoch: number;
  /** Ids of the brokers that have a copy, in the order of the answer. */
  replicas?: number[];
}

export interface MetadataTopic {
  errorCode: number;
  name: string;
  /** In the broker's order. */
  partitions: MetadataPartition[];
}

export interface MetadataResponse {
  brokers: { id: number; host: string; port: number }[];
  clusterId: string | null;
  controllerId: number;
  topics: MetadataTopic[];
  /** ms */
  throttleTime: number;
}

/**
 *   MetadataRequest v5 to v8 => [Topic] AllowAutoTopicCreation IncludeClusterOperations IncludeTopicOperations
 *     Topic                    => STRING    (the count -1: all)
 *     AllowAutoTopicCreation   => boolean
 *     IncludeClusterOperations => boolean   v8
 *     IncludeTopicOperations   => boolean   v8
 */
export function metadataRequest(options: MetadataOptions): KafkaRequest<MetadataResponse> {
  const { topics, allowAutoTopicCreation, version = METADATA_VERSIONS[0] } = options;
  return {
    apiKey: METADATA_KEY,
    apiVersion: version,
    name: "Metadata",
    expectResponse: true,
    parts() {
      const encoder = new Encoder();
      encoder.int32(topics === null ? -1 : topics.length);
      for (const topic of topics ?? []) encoder.string(topic);
      encoder.boolean(allowAutoTopicCreation);
      if (version >= 8) encoder.boolean(false).boolean(false);
      return [encoder.take()];
    },
    decode: (body) => decodeMetadataResponse(body, version),
  };
}

/**
 *   MetadataResponse v5 to v8 => ThrottleTime [Broker] ClusterId ControllerId [Topic] ClusterOperations
 *     ThrottleTime        => int32
 *     Broker              => Id Host Port Rack
 *       Id, Port          => int32
 *       Host              => STRING
 *       Rack              => NULLABLE_STRING
 *     ClusterId           => NULLABLE_STRING
 *     ControllerId        => int32
 *     Topic               => ErrorCode Name IsInternal [Partition] TopicOperations
 *       ErrorCode         => int16
 *       Name              => STRING
 *       IsInternal        => boolean
 *       Partition         => ErrorCode Id Leader LeaderEpoch [Replica] [InSync] [Offline]
 *         ErrorCode       => int16
 *         Id, Leader      => int32
 *         LeaderEpoch     => int32   v7 and v8
 *         Replica, InSync, Offline => int32
 *       TopicOperations   => int32   v8
 *     ClusterOperations   => int32   v8
 */
function decodeMetadataResponse(body: Buffer, version: MetadataVersion): MetadataResponse {
  const decoder = new Decoder(body);
  const throttleTime = decoder.int32();
  const brokers = decoder.array(12, () => {
    const broker = { id: decoder.int32(), host: decoder.string(), port: decoder.int32() };
    decoder.nullableString();
    return broker;
  });
  const clusterId = decoder.nullableString();
  const controllerId = decoder.int32();
  const partition = (): MetadataPartition => {
    const [errorCode, id, leader] = [decoder.int16(), decoder.int32(), decoder.int32()];
    const leaderEpoch = version >= 7 ? decoder.int32() : -1;
    const replicas = decoder.array(4, () => decoder.int32());
    for (const _replicas of ["in sync", "offline"]) decoder.skipArray(4);
    return { errorCode, id, leader, leaderEpoch, replicas };
  };
  const topics = decoder.array(9, () => {
    const errorCode = decoder.int16();
    const name = decoder.string();
    decoder.boolean();
    const partitions = decoder.array(22, partition);
    if (version >= 8) decoder.int32();
    return { errorCode, name, partitions };
  });
  if (version >= 8) decoder.int32();
  decoder.end();
  return { brokers, clusterId, controllerId, topics, throttleTime };
}
