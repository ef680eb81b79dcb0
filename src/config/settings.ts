// The settings: their types, their defaults, and what holds for one topic.
import { defaultPlaces, ownSurroundings, type Surroundings } from "./places.ts";
import type { Settings, TopicSettings } from "./types.ts";

export type * from "./types.ts";

const KB = 1024;
const MB = 1024 * KB;
const GB = 1024 * MB;
const S = 1000;
const MIN = 60 * S;
const H = 60 * MIN;

/** The settings of an empty configuration. */
export function defaultSettings(surroundings: Surroundings = ownSurroundings()): Settings {
  const places = defaultPlaces(surroundings);
  return {
    kafka: {
      brokers: [{ host: "localhost", port: 9092 }],
      clientId: "bruce",
      acks: "all",
      idempotence: true,
      requestTimeout: 30 * S,
      connectTimeout: 10 * S,
      metadataRefresh: 5 * MIN,
      autoCreateTopics: false,
      maxInFlight: 5,
      producerIdExpiration: 24 * H,
      tls: { enabled: false, verify: true },
      sasl: {},
    },
    input: {
      datagram: {
        enabled: true,
        path: places.datagramSocket,
        mode: 0o222,
        maxMessage: 64 * KB,
        whenFull: "drop_newest",
      },
      stream: { enabled: true, path: places.streamSocket, mode: 0o222, maxMessage: 16 * MB, whenFull: "block" },
      tcp: { enabled: false, listen: { host: "127.0.0.1", port: 9000 }, maxMessage: 16 * MB, whenFull: "block" },
    },
    buffer: {
      path: places.state,
      disk: 0,
      memory: 128 * MB,
      segment: 64 * MB,
      sync: S,
      minFreeDisk: 256 * MB,
      held: GB,
      maxTopics: 10_000,
    },
    batch: { linger: 50, bytes: 256 * KB, messages: 0, requestBytes: MB, maxRecord: 1_000_000 },
    compression: { codec: "zstd", level: 1, minSize: 128, maxRatio: 0.75 },
    delivery: {
      backoff: 100,
      backoffMax: 10 * S,
      shutdownTimeout: 30 * S,
      maxAge: 0,
      unknownTopic: "hold",
      unauthorizedTopic: "hold",
      partitioner: "sticky",
      onUnavailable: "wait",
    },
    topics: [],
    http: { enabled: true, listen: { host: "127.0.0.1", port: 9090 }, discardReportInterval: 10 * MIN },
    discards: { path: "", maxFile: 32 * MB, maxTotal: 256 * MB, maxValue: 2 * KB },
    debug: { path: "", timeLimit: H, byteLimit: 2 * GB },
    log: { level: "info", format: "auto", file: "" },
  };
}

/** What holds for the topic `name`: the settings of the longest rule that matches it, over those for all topics. */
export function topicSettings(settings: Settings, name: string): TopicSettings {
  const { maxAge, unknownTopic, unauthorizedTopic, partitioner, onUnavailable } = settings.delivery;
  const common: TopicSettings = {
    ...settings.batch,
    ...settings.compression,
    ...{ unknownTopic, unauthorizedTopic, partitioner, onUnavailable, maxAge },
  };
  let best: Settings["topics"][number] | undefined;
  for (const rule of settings.topics) {
    if (rule.pattern === name) return { ...common, ...rule.overrides };
    if (!rule.pattern.endsWith("*") || !name.startsWith(rule.pattern.slice(0, -1))) continue;
    if (best === undefined || rule.pattern.length > best.pattern.length) best = rule;
  }
  return { ...common, ...best?.overrides };
}
