// The one table of Kafka's error codes: what each means for a batch (or a request), and why.
// Codes and names are those of Kafka 4.1's protocol (org.apache.kafka.common.protocol.Errors).

/** What to do with a batch that a broker answered with an error. Handle it in an exhaustive switch. */
export type ErrorAction =
  /** Kafka has the batch. */
  | "success"
  /** Send the same bytes again after a backoff. */
  | "retry"
  /** The picture of the cluster is old: fresh metadata first, then send the same bytes again. */
  | "refresh"
  /** Send it in halves; a single record that is too large is discarded. */
  | "split"
  /** Discard the records at fault, and only those (record_errors names them, else bisect); deliver the rest. */
  | "records"
  /** With nothing in flight for the partition: new producer id, count the batch as possible_duplicate, send again. */
  | "renew"
  /** Hold the topic until an operator has seen to it; other topics go on. */
  | "hold"
  /** Give the batch up, with the reason on record. */
  | "discard";

export interface KafkaError {
  /** Kafka's own name. */
  name: string;
  action: ErrorAction;
  /** Why this action, and for "hold" what an operator can do. For logs and for the status. */
  why: string;
}

type Row = readonly [code: number, name: string, action: ErrorAction, why: string];

/** Answers that produce, metadata and producer-id requests are known to get. */
const CLASSIFIED: readonly Row[] = [
  [0, "NONE", "success", "no error"],
  [46, "DUPLICATE_SEQUENCE_NUMBER", "success", "the broker has this very batch already"],

  // retry: it passes by itself, and the batch was not at fault.
  [-1, "UNKNOWN_SERVER_ERROR", "retry", "the broker failed in a way it has no code for"],
  [2, "CORRUPT_MESSAGE", "retry", "the bytes were damaged on the way: our CRC was right when they left"],
  [7, "REQUEST_TIMED_OUT", "retry", "the replicas did not confirm in time; the batch may be in the log"],
  [13, "NETWORK_EXCEPTION", "retry", "the broker lost its own connection to another one"],
  [14, "COORDINATOR_LOAD_IN_PROGRESS", "retry", "a young cluster is not ready to give producer ids yet"],
  [15, "COORDINATOR_NOT_AVAILABLE", "retry", "a young cluster has nobody to give producer ids yet"],
  [16, "NOT_COORDINATOR", "retry", "who gives producer ids is just changing"],
  [19, "NOT_ENOUGH_REPLICAS", "retry", "fewer replicas in sync than min.insync.replicas: nothing was written"],
  [20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "retry", "written, but to fewer replicas than min.insync.replicas"],
  [41, "NOT_CONTROLLER", "retry", "the controller is just changing"],
  [51, "CONCURRENT_TRANSACTIONS", "retry", "Kafka asks to come again"],
  [56, "KAFKA_STORAGE_ERROR", "retry", "a disk of the broker failed; the leader will move to another broker"],
  [89, "THROTTLING_QUOTA_EXCEEDED", "retry", "over a quota"],

  // refresh: we asked the wrong broker, or nobody can answer until the cluster has changed.
  [3, "UNKNOWN_TOPIC_OR_PARTITION", "refresh", "this broker does not host it: moved, deleted, or not made yet"],
  [5, "LEADER_NOT_AVAILABLE", "refresh", "the partition has no leader just now"],
  [6, "NOT_LEADER_OR_FOLLOWER", "refresh", "the leader has moved"],
  [8, "BROKER_NOT_AVAILABLE", "refresh", "the broker is leaving"],
  [9, "REPLICA_NOT_AVAILABLE", "refresh", "the replica has moved"],
  [72, "LISTENER_NOT_FOUND", "refresh", "the leader has no listener of the kind we connected through"],
  [74, "FENCED_LEADER_EPOCH", "refresh", "we know an older leader than the broker"],
  [75, "UNKNOWN_LEADER_EPOCH", "refresh", "we know a newer leader than the broker"],
  [100, "UNKNOWN_TOPIC_ID", "refresh", "the topic was deleted and perhaps made again"],
  [103, "INCONSISTENT_TOPIC_ID", "refresh", "the topic was deleted and made again"],
  [129, "REBOOTSTRAP_REQUIRED", "refresh", "the broker asks us to begin again at the bootstrap list"],

  // split: smaller is what it takes.
  [10, "MESSAGE_TOO_LARGE", "split", "larger than the topic's max.message.bytes"],
  [18, "RECORD_LIST_TOO_LARGE", "split", "larger than the topic's segment.bytes"],

  // records: one bad record rejects the whole batch, the others are innocent.
  [32, "INVALID_TIMESTAMP", "records", "a timestamp is out of the range that the topic accepts"],
  [87, "INVALID_RECORD", "records", "the topic does not accept a record, e.g. compacted and it has no key"],

  // renew: the broker's memory of our producer id and ours differ; only a new one ends that.
  [45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "renew", "the only batch in flight is out of order: the broker forgot us"],
  [47, "INVALID_PRODUCER_EPOCH", "renew", "the broker knows a newer user of our producer id"],
  [59, "UNKNOWN_PRODUCER_ID", "renew", "the broker forgot our producer id"],

  // discard: no waiting makes it right.
  [17, "INVALID_TOPIC_EXCEPTION", "discard", "Kafka does not allow this topic's name, or to write to this topic"],

  // hold: an operator has to see to it, and with that done it can be delivered after all.
  [21, "INVALID_REQUIRED_ACKS", "hold", 'the broker refuses the setting kafka.acks: use "all"'],
  [29, "TOPIC_AUTHORIZATION_FAILED", "hold", "not allowed to write to the topic: grant WRITE and DESCRIBE on it"],
  [
    31,
    "CLUSTER_AUTHORIZATION_FAILED",
    "hold",
    "not allowed to write idempotently: grant IDEMPOTENT_WRITE on the cluster",
  ],
  [33, "UNSUPPORTED_SASL_MECHANISM", "hold", "the broker does not offer the mechanism of kafka.sasl"],
  [34, "ILLEGAL_SASL_STATE", "hold", "the broker wants another kind of login on this port"],
  [35, "UNSUPPORTED_VERSION", "hold", "the broker does not speak our version of the request: is it 2.4 or newer?"],
  [42, "INVALID_REQUEST", "hold", "the broker does not understand the request: see the broker's log"],
  [43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", "hold", "the topic's message.format.version is too old for idempotence"],
  [44, "POLICY_VIOLATION", "hold", "a policy of the cluster forbids it: see the broker's log"],
  [53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "hold", "not allowed to use a transactional id"],
  [54, "SECURITY_DISABLED", "hold", "security is off on this broker"],
  [58, "SASL_AUTHENTICATION_FAILED", "hold", "login refused: look at kafka.sasl"],
  [76, "UNSUPPORTED_COMPRESSION_TYPE", "hold", "the broker does not know the codec: choose another compression.codec"],
  [90, "PRODUCER_FENCED", "hold", "another producer with our transactional id; bruce uses none"],
];

/**
 * Codes that no request of ours should ever get. Named so that a log is readable; held like every code that is not
 * listed at all, because discarding for a reason not understood would be data loss.
 */
const NAMES_ONLY =
  "1 OFFSET_OUT_OF_RANGE 4 INVALID_FETCH_SIZE 11 STALE_CONTROLLER_EPOCH 12 OFFSET_METADATA_TOO_LARGE " +
  "22 ILLEGAL_GENERATION 23 INCONSISTENT_GROUP_PROTOCOL 24 INVALID_GROUP_ID 25 UNKNOWN_MEMBER_ID " +
  "26 INVALID_SESSION_TIMEOUT 27 REBALANCE_IN_PROGRESS 28 INVALID_COMMIT_OFFSET_SIZE 30 GROUP_AUTHORIZATION_FAILED " +
  "36 TOPIC_ALREADY_EXISTS 37 INVALID_PARTITIONS 38 INVALID_REPLICATION_FACTOR 39 INVALID_REPLICA_ASSIGNMENT " +
  "40 INVALID_CONFIG 48 INVALID_TXN_STATE 49 INVALID_PRODUCER_ID_MAPPING 50 INVALID_TRANSACTION_TIMEOUT " +
  "52 TRANSACTION_COORDINATOR_FENCED 55 OPERATION_NOT_ATTEMPTED 57 LOG_DIR_NOT_FOUND 60 REASSIGNMENT_IN_PROGRESS " +
  "61 DELEGATION_TOKEN_AUTH_DISABLED 62 DELEGATION_TOKEN_NOT_FOUND 63 DELEGATION_TOKEN_OWNER_MISMATCH " +
  "64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED 65 DELEGATION_TOKEN_AUTHORIZATION_FAILED 66 DELEGATION_TOKEN_EXPIRED " +
  "67 INVALID_PRINCIPAL_TYPE 68 NON_EMPTY_GROUP 69 GROUP_ID_NOT_FOUND 70 FETCH_SESSION_ID_NOT_FOUND " +
  "71 INVALID_FETCH_SESSION_EPOCH 73 TOPIC_DELETION_DISABLED 77 STALE_BROKER_EPOCH 78 OFFSET_NOT_AVAILABLE " +
  "79 MEMBER_ID_REQUIRED 80 PREFERRED_LEADER_NOT_AVAILABLE 81 GROUP_MAX_SIZE_REACHED 82 FENCED_INSTANCE_ID " +
  "83 ELIGIBLE_LEADERS_NOT_AVAILABLE 84 ELECTION_NOT_NEEDED 85 NO_REASSIGNMENT_IN_PROGRESS " +
  "86 GROUP_SUBSCRIBED_TO_TOPIC 88 UNSTABLE_OFFSET_COMMIT 91 RESOURCE_NOT_FOUND 92 DUPLICATE_RESOURCE " +
  "93 UNACCEPTABLE_CREDENTIAL 94 INCONSISTENT_VOTER_SET 95 INVALID_UPDATE_VERSION 96 FEATURE_UPDATE_FAILED " +
  "97 PRINCIPAL_DESERIALIZATION_FAILURE 98 SNAPSHOT_NOT_FOUND 99 POSITION_OUT_OF_RANGE " +
  "101 DUPLICATE_BROKER_REGISTRATION 102 BROKER_ID_NOT_REGISTERED 104 INCONSISTENT_CLUSTER_ID " +
  "105 TRANSACTIONAL_ID_NOT_FOUND 106 FETCH_SESSION_TOPIC_ID_ERROR 107 INELIGIBLE_REPLICA 108 NEW_LEADER_ELECTED " +
  "109 OFFSET_MOVED_TO_TIERED_STORAGE 110 FENCED_MEMBER_EPOCH 111 UNRELEASED_INSTANCE_ID 112 UNSUPPORTED_ASSIGNOR " +
  "113 STALE_MEMBER_EPOCH 114 MISMATCHED_ENDPOINT_TYPE 115 UNSUPPORTED_ENDPOINT_TYPE 116 UNKNOWN_CONTROLLER_ID " +
  "117 UNKNOWN_SUBSCRIPTION_ID 118 TELEMETRY_TOO_LARGE 119 INVALID_REGISTRATION 120 TRANSACTION_ABORTABLE " +
  "121 INVALID_RECORD_STATE 122 SHARE_SESSION_NOT_FOUND 123 INVALID_SHARE_SESSION_EPOCH 124 FENCED_STATE_EPOCH " +
  "125 INVALID_VOTER_KEY 126 DUPLICATE_VOTER 127 VOTER_NOT_FOUND 128 INVALID_REGULAR_EXPRESSION " +
  "130 STREAMS_INVALID_TOPOLOGY 131 STREAMS_INVALID_TOPOLOGY_EPOCH 132 STREAMS_TOPOLOGY_FENCED " +
  "133 SHARE_SESSION_LIMIT_REACHED";

const UNEXPECTED = "an answer that none of our requests should get: see the broker's log";

const TABLE = new Map<number, KafkaError>();

for (const [code, name, action, why] of CLASSIFIED) add(code, { name, action, why });
for (const [, code, name] of NAMES_ONLY.matchAll(/(\d+) (\w+)/g)) {
  add(Number(code), { name: name ?? "", action: "hold", why: UNEXPECTED });
}

function add(code: number, error: KafkaError): void {
  if (TABLE.has(code)) throw new Error(`error code ${code} is listed twice`);
  TABLE.set(code, Object.freeze(error));
}

/** The meaning of an error code. A code that is not listed holds the topic. */
export function errorOf(code: number): KafkaError {
  return TABLE.get(code) ?? { name: `UNLISTED_${code}`, action: "hold", why: UNEXPECTED };
}

/** The codes that metadata and producer-id answers are read for, and tests. */
export const ErrorCode = {
  UNKNOWN_SERVER_ERROR: -1,
  NONE: 0,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  INVALID_TOPIC_EXCEPTION: 17,
  TOPIC_AUTHORIZATION_FAILED: 29,
  REBOOTSTRAP_REQUIRED: 129,
} as const;
