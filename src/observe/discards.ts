// Every message that bruce gives up is given up here, with a reason, so that the ledger can balance.

/** Why a message was given up. The names appear in the status, the metrics and the logs. */
export type DiscardReason = (typeof DISCARD_REASONS)[number];

export const DISCARD_REASONS = [
  /** The bytes are no frame: sizes that do not add up, negative lengths. */
  "malformed",
  /** Well framed, but of an API key that is no message. */
  "unsupported_api_key",
  /** Well framed, but of a version that is not spoken here. */
  "unsupported_version",
  /** The topic's name is not one Kafka allows. */
  "bad_topic",
  /** The frame is larger than the input's max_message. */
  "too_long",
  /** The record is larger than max_record, or the broker said so of a single record. */
  "too_large",
  /** The queue was full and the input's policy is drop_newest. */
  "queue_full",
  /** More distinct topics than buffer.max_topics. */
  "max_topics",
  /** More of its topic came in an interval than its rate_limit allows. */
  "rate_limited",
  /** It waited longer than its max_age, and was never sent. */
  "expired",
  /** The topic does not exist and its policy is to discard. */
  "unknown_topic",
  /** The topic may not be written and its policy is to discard. */
  "unauthorized_topic",
  /** What may wait for topics that cannot be delivered is used up. */
  "held_full",
  /** The broker found fault with this very record (compacted topic without a key, timestamp out of range). */
  "rejected_by_broker",
  /** Memory only: the stop's time was over before Kafka took it. */
  "shutdown",
  /** The input's policy is drop_oldest, and newer messages needed the room of this one, which was never sent. */
  "dropped_oldest",
  /** Its bytes on the disk were damaged; under no topic when nothing tells which it had. */
  "damaged",
  /** It was kept in memory because the disk took nothing, and the process ended before Kafka had it. */
  "not_spooled",
] as const;
