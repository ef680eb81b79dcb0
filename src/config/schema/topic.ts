// The settings about batches, compression and delivery, most of which a topic may have its own way.
import { duration, integer, oneOf, optional, rate, ratio, size } from "../kinds.ts";
import type { CodecName, OnUnavailable, Partitioner, Undeliverable } from "../types.ts";
import type { RuleKeys, Table, Tables } from "./key.ts";

const undeliverable = oneOf<Undeliverable>("hold", "discard");

export const batch: Table<Tables["batch"]> = {
  about: "When a batch of messages for a partition is sent. It is when the first of these limits is reached.",
  keys: {
    linger: {
      kind: duration("0", "1h"),
      default: 50,
      about: "How long the first message of a batch may wait for more.",
    },
    bytes: {
      kind: size("1", "100m"),
      default: 256 * 1024,
      about: "How large a batch may get before it is sent, uncompressed; at most `request_bytes`.",
    },
    messages: {
      kind: integer(0, 1_000_000),
      default: 0,
      about: "How many messages a batch may have before it is sent; 0 is any number.",
    },
    requestBytes: {
      kind: size("1", "100m"),
      default: 1024 * 1024,
      about: "How large a batch may get while the one before it is under way; keep it within the brokers' limit.",
    },
    maxRecord: {
      kind: size("1", "100m"),
      default: 1_000_000,
      about: "A message larger than this is discarded: the brokers' `message.max.bytes` with a little room.",
    },
  },
};

export const compression: Table<Tables["compression"]> = {
  about: "How batches are compressed; docs/compression.md helps to choose.",
  keys: {
    codec: {
      kind: oneOf<CodecName>("none", "gzip", "snappy", "lz4", "zstd"),
      default: "zstd",
      about: "The way to compress.",
    },
    level: {
      kind: integer(1, 22),
      default: 1,
      about:
        "Effort: 1 is the fastest; zstd goes to 22, gzip to 9. snappy and lz4 have no levels: with them it stays at 1, and a " +
        "topic that uses them ignores what is set for all topics.",
    },
    minSize: { kind: size("0", "100m"), default: 128, about: "Smaller batches are sent as they are." },
    maxRatio: {
      kind: ratio,
      default: 0.75,
      about: "A batch that compression leaves larger than this part of its size is sent as it is.",
    },
  },
};

export const delivery: Table<Tables["delivery"]> = {
  about: "How hard to try, and what to do with what cannot be delivered.",
  keys: {
    backoff: {
      kind: duration("1ms", "1h"),
      default: 100,
      about: "The wait before the first retry; it doubles with each, with jitter.",
    },
    backoffMax: { kind: duration("1ms", "1h"), default: 10_000, about: "The longest wait before a retry." },
    shutdownTimeout: {
      kind: duration("0", "24h"),
      default: 30_000,
      about: "How long a stop may go on delivering. Without a disk buffer, what is left then is discarded.",
    },
    maxAge: {
      kind: duration("0", "8760h"),
      default: 0,
      about: "A message that waited longer and was never sent is discarded, on record; 0 keeps it for ever.",
    },
    unknownTopic: {
      kind: undeliverable,
      default: "hold",
      about: "Messages of a topic that does not exist wait until it does, or are discarded.",
    },
    unauthorizedTopic: {
      kind: undeliverable,
      default: "hold",
      about: "Messages of a topic that the brokers do not let us write wait until they do, or are discarded.",
    },
    partitioner: {
      kind: oneOf<Partitioner>("sticky", "round-robin", "murmur2"),
      default: "sticky",
      about:
        "The partition of messages that ask for none: a random one for each batch, the next one for each batch, " +
        "or by a hash of the key like Kafka's own clients.",
    },
    onUnavailable: {
      kind: oneOf<OnUnavailable>("wait", "next"),
      default: "wait",
      about:
        "Messages with a partition key whose partition cannot be reached wait for it, or go to the next that can be.",
    },
  },
};

const { maxAge, unknownTopic, unauthorizedTopic, partitioner, onUnavailable } = delivery.keys;

/** What can stand in a [topics."…"] table. */
export const rule: RuleKeys = {
  ...batch.keys,
  ...compression.keys,
  ...{ unknownTopic, unauthorizedTopic, partitioner, onUnavailable, maxAge },
  rateLimit: {
    kind: optional(rate),
    default: undefined,
    about: "So many messages of the topic in each second, minute…: what comes beyond is discarded, on record.",
  },
};
