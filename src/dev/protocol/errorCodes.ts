// The error codes that the embedded broker gives of its own accord; a fault script may give any other.
// Source: https://kafka.apache.org/protocol#protocol_error_codes

export const ErrorCode = {
  UnknownServerError: -1,
  None: 0,
  OffsetOutOfRange: 1,
  CorruptMessage: 2,
  UnknownTopicOrPartition: 3,
  LeaderNotAvailable: 5,
  NotLeaderOrFollower: 6,
  MessageTooLarge: 10,
  InvalidTopic: 17,
  InvalidRequiredAcks: 21,
  UnsupportedVersion: 35,
  TopicAlreadyExists: 36,
  InvalidPartitions: 37,
  InvalidReplicationFactor: 38,
  InvalidRequest: 42,
  OutOfOrderSequenceNumber: 45,
  InvalidProducerEpoch: 47,
  TransactionalIdAuthorizationFailed: 53,
  FetchSessionIdNotFound: 70,
  InvalidRecord: 87,
} as const;
