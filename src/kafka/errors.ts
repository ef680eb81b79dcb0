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

/**
 * Whether the batch may be in the log although the answer is an error. "acks all": if the leader was waiting for its replicas,
 * for it appends first and may lose the partition then.
 */
export type Written = "no" | "acks all" | "perhaps";

export interface KafkaError {
  /** Kafka's own name. */
  name: string;
  action: ErrorAction;
  /** What it means. For logs and for the status. */
  why: string;
  /** What an operator can do about it; left out: nothing, or nothing special. */
  todo?: string;
  written: Written;
}

type Row = readonly [code: number, name: string, why: string, more?: Partial<Pick<KafkaError, "todo" | "written">>];

const LOG = "see the broker's log";
const NETWORK = "if it comes again and again, look at the network and at the broker's memory";
const REPLICAS = "bring the topic's other replicas back";
const SENDER = "mend what sends it, or the topic's settings";
const CLONED = "if it comes again and again: is this machine a copy of another one?";
const PERHAPS = { written: "perhaps" } as const;

/**
 * Answers that produce, metadata and producer-id requests are known to get. Where a row does not say whether the batch may be
 * written, it is not, or with "refresh" only with acks all: see ReplicaManager and DelayedProduce in Kafka.
 */
const CLASSIFIED: { [action in ErrorAction]: readonly Row[] } = {
  success: [
    [0, "NONE", "no error"],
    [46, "DUPLICATE_SEQUENCE_NUMBER", "the broker has this very batch already"],
  ],

  // It passes by itself, and the batch was not at fault.
  retry: [
    [-1, "UNKNOWN_SERVER_ERROR", "the broker failed in a way it has no code for", { written: "perhaps", todo: LOG }],
    [2, "CORRUPT_MESSAGE", "the bytes were damaged on the way: our CRC was right when they left", { todo: NETWORK }],
    [7, "REQUEST_TIMED_OUT", "the replicas did not confirm in time; the batch is in the leader's log", PERHAPS],
    [13, "NETWORK_EXCEPTION", "the broker lost its own connection to another one", PERHAPS],
    [14, "COORDINATOR_LOAD_IN_PROGRESS", "a young cluster is not ready to give producer ids yet"],
    [15, "COORDINATOR_NOT_AVAILABLE", "a young cluster has nobody to give producer ids yet"],
    [16, "NOT_COORDINATOR", "who gives producer ids is just changing"],
    [
      19,
      "NOT_ENOUGH_REPLICAS",
      "fewer replicas in sync than min.insync.replicas: nothing was written",
      { todo: REPLICAS },
    ],
    [
      20,
      "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
      "written, but to fewer replicas than min.insync.replicas",
      { written: "perhaps", todo: REPLICAS },
    ],
    [41, "NOT_CONTROLLER", "the controller is just changing"],
    [51, "CONCURRENT_TRANSACTIONS", "Kafka asks to come again"],
    [
      56,
      "KAFKA_STORAGE_ERROR",
      "a disk of the broker failed; the leader will move to another broker",
      { written: "perhaps", todo: "look at the broker's disks" },
    ],
    [89, "THROTTLING_QUOTA_EXCEEDED", "over a quota", { todo: "raise the quota, or send less" }],
  ],

  // We asked the wrong broker, or nobody can answer until the cluster has changed.
  refresh: [
    [3, "UNKNOWN_TOPIC_OR_PARTITION", "this broker does not host it: moved, deleted, or not made yet"],
    [5, "LEADER_NOT_AVAILABLE", "the partition has no leader just now"],
    [6, "NOT_LEADER_OR_FOLLOWER", "the leader has moved"],
    [8, "BROKER_NOT_AVAILABLE", "the broker is leaving"],
    [9, "REPLICA_NOT_AVAILABLE", "the replica has moved"],
    [
      72,
      "LISTENER_NOT_FOUND",
      "the leader has no listener of the kind we connected through",
      { todo: "give all brokers the same listeners" },
    ],
    [74, "FENCED_LEADER_EPOCH", "we know an older leader than the broker"],
    [75, "UNKNOWN_LEADER_EPOCH", "we know a newer leader than the broker"],
    [100, "UNKNOWN_TOPIC_ID", "the topic was deleted and perhaps made again"],
    [103, "INCONSISTENT_TOPIC_ID", "the topic was deleted and made again"],
    [129, "REBOOTSTRAP_REQUIRED", "the broker asks us to begin again at the bootstrap list"],
  ],

  // Smaller is what it takes. The broker judges the batch as it was sent, before it writes any of it.
  split: [
    [10, "MESSAGE_TOO_LARGE", "larger than the topic's max.message.bytes", { todo: "raise it if single messages go" }],
    [18, "RECORD_LIST_TOO_LARGE", "larger than the topic's segment.bytes", { todo: "raise segment.bytes" }],
  ],

  // One bad record rejects the whole batch, the others are innocent.
  records: [
    [
      32,
      "INVALID_TIMESTAMP",
      "a timestamp is out of the range that the topic accepts",
      { todo: "see message.timestamp.before.max.ms and after.max.ms of the topic, and the sender's clock" },
    ],
    [87, "INVALID_RECORD", "the topic does not accept a record, e.g. compacted and it has no key", { todo: SENDER }],
  ],

  // The broker's memory of our producer id and ours differ; only a new one ends that.
  renew: [
    [45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "the only batch in flight is out of order: the broker forgot us"],
    [47, "INVALID_PRODUCER_EPOCH", "the broker knows a newer user of our producer id", { todo: CLONED }],
    [59, "UNKNOWN_PRODUCER_ID", "the broker forgot our producer id"],
  ],

  // No waiting makes it right.
  discard: [
    [
      17,
      "INVALID_TOPIC_EXCEPTION",
      "Kafka does not allow this topic's name, or to write to this topic",
      { todo: "let the senders use another topic" },
    ],
  ],

  // An operator has to see to it, and with that done it can be delivered after all.
  hold: [
    [21, "INVALID_REQUIRED_ACKS", "the broker refuses the setting kafka.acks", { todo: 'use "all"' }],
    [29, "TOPIC_AUTHORIZATION_FAILED", "not allowed to write to the topic", { todo: "grant WRITE and DESCRIBE on it" }],
    [
      31,
      "CLUSTER_AUTHORIZATION_FAILED",
      "not allowed to write idempotently",
      { todo: "grant WRITE on any topic (before Kafka 2.8: IDEMPOTENT_WRITE on the cluster)" },
    ],
    [
      33,
      "UNSUPPORTED_SASL_MECHANISM",
      "the broker does not offer the mechanism of kafka.sasl",
      { todo: "set kafka.sasl.mechanism to one of sasl.enabled.mechanisms" },
    ],
    [34, "ILLEGAL_SASL_STATE", "the broker wants another kind of login on this port", { todo: "look at kafka.sasl" }],
    [
      35,
      "UNSUPPORTED_VERSION",
      "the broker does not speak our version of the request",
      { todo: "bruce needs Kafka 2.4 or newer" },
    ],
    [42, "INVALID_REQUEST", "the broker does not understand the request", { todo: LOG }],
    [
      43,
      "UNSUPPORTED_FOR_MESSAGE_FORMAT",
      "the topic's message.format.version is too old for idempotence",
      { todo: "raise it to 0.11 or newer" },
    ],
    [44, "POLICY_VIOLATION", "a policy of the cluster forbids it", { todo: LOG }],
    [53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "not allowed to use a transactional id", { todo: LOG }],
    [54, "SECURITY_DISABLED", "security is off on this broker", { todo: LOG }],
    [58, "SASL_AUTHENTICATION_FAILED", "login refused", { todo: "look at kafka.sasl" }],
    [
      76,
      "UNSUPPORTED_COMPRESSION_TYPE",
      "the broker does not know the codec",
      { todo: "choose another compression.codec" },
    ],
    [90, "PRODUCER_FENCED", "another producer with our transactional id; bruce uses none", { todo: LOG }],
  ],
};

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

const UNEXPECTED = {
  action: "hold",
  why: "an answer that none of our requests should get",
  todo: LOG,
  written: "perhaps",
} as const;

const TABLE = new Map<number, KafkaError>();

for (const [action, rows] of Object.entries(CLASSIFIED) as [ErrorAction, readonly Row[]][]) {
  const written = action === "refresh" ? "acks all" : "no";
  for (const [code, name, why, more] of rows) add(code, { name, action, why, written, ...more });
}

/** Every code that a request of ours is known to get, ascending. For the documents, and for the tests to prove each. */
export const CLASSIFIED_CODES: readonly number[] = [...TABLE.keys()].sort((a, b) => a - b);

for (const [, code, name] of NAMES_ONLY.matchAll(/(\d+) (\w+)/g))
  add(Number(code), { name: name ?? "", ...UNEXPECTED });

function add(code: number, error: KafkaError): void {
  if (TABLE.has(code)) throw new Error(`error code ${code} is listed twice`);
  TABLE.set(code, Object.freeze(error));
}

/** The meaning of an error code. A code that is not listed holds the topic. */
export function errorOf(code: number): KafkaError {
  return TABLE.get(code) ?? { name: `UNLISTED_${code}`, ...UNEXPECTED };
}

/** The error in one line. `said`: what the broker said of it, which tells more than we know in general. */
export function explain({ name, why, todo }: KafkaError, said?: string | null): string {
  return `${name}: ${said || why}${todo === undefined ? "" : `: ${todo}`}`;
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
