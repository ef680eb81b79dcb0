// What bruce can be told, as the rest of the program sees it: checked, complete, in bytes and milliseconds.

/** A size in bytes. */
export type Size = number;
/** A time in milliseconds. */
export type Duration = number;
/** A host name or address (IPv6 without brackets) and a port; port 0 means any free one. */
export interface Address {
  host: string;
  port: number;
}
/** At most `count` messages in each `interval`. */
export interface Rate {
  count: number;
  interval: Duration;
}

export type Acks = "all" | 1 | 0;
export type WhenFull = "block" | "drop_newest" | "drop_oldest";
export type CodecName = "none" | "gzip" | "snappy" | "lz4" | "zstd";
export type Partitioner = "sticky" | "round-robin" | "murmur2";
export type OnUnavailable = "wait" | "next";
/** What becomes of the messages of a topic that cannot be written. */
export type Undeliverable = "hold" | "discard";
export type SaslMechanism = "plain" | "scram-sha-256" | "scram-sha-512" | "oauthbearer";
export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "auto" | "text" | "json" | "journal";

export interface TlsSettings {
  enabled: boolean;
  ca?: string;
  cert?: string;
  key?: string;
  serverName?: string;
  verify: boolean;
}

export interface SaslSettings {
  mechanism?: SaslMechanism;
  username?: string;
  password?: string;
  passwordFile?: string;
  tokenUrl?: string;
  clientId?: string;
  clientSecret?: string;
  clientSecretFile?: string;
  scope?: string;
}

export interface KafkaSettings {
  brokers: Address[];
  clientId: string;
  acks: Acks;
  idempotence: boolean;
  requestTimeout: Duration;
  connectTimeout: Duration;
  metadataRefresh: Duration;
  autoCreateTopics: boolean;
  maxInFlight: number;
  producerIdExpiration: Duration;
  tls: TlsSettings;
  sasl: SaslSettings;
}

/** A UNIX socket that takes messages. */
export interface UnixInput {
  enabled: boolean;
  path: string;
  /** Permission bits of the socket file. */
  mode: number;
  maxMessage: Size;
  whenFull: WhenFull;
}

export interface TcpInput {
  enabled: boolean;
  listen: Address;
  maxMessage: Size;
  whenFull: WhenFull;
}

/** What can be set for one topic. */
export interface TopicSettings {
  linger: Duration;
  bytes: Size;
  /** Messages in a batch; 0 = no limit. */
  messages: number;
  requestBytes: Size;
  maxRecord: Size;
  codec: CodecName;
  level: number;
  minSize: Size;
  maxRatio: number;
  unknownTopic: Undeliverable;
  unauthorizedTopic: Undeliverable;
  partitioner: Partitioner;
  onUnavailable: OnUnavailable;
  rateLimit?: Rate;
  /** 0 = no limit. */
  maxAge: Duration;
}

/** What the topics of a name, or of all names that begin with what stands before the `*`, do differently. */
export interface TopicRule {
  pattern: string;
  overrides: Partial<TopicSettings>;
}

export interface Settings {
  kafka: KafkaSettings;
  input: { datagram: UnixInput; stream: UnixInput; tcp: TcpInput };
  buffer: {
    path: string;
    /** 0 = memory only. */
    disk: Size;
    memory: Size;
    segment: Size;
    sync: Duration | "always" | "never";
    minFreeDisk: Size;
    held: Size;
    maxTopics: number;
  };
  batch: Pick<TopicSettings, "linger" | "bytes" | "messages" | "requestBytes" | "maxRecord">;
  compression: Pick<TopicSettings, "codec" | "level" | "minSize" | "maxRatio">;
  delivery: Pick<TopicSettings, "unknownTopic" | "unauthorizedTopic" | "partitioner" | "onUnavailable" | "maxAge"> & {
    backoff: Duration;
    backoffMax: Duration;
    shutdownTimeout: Duration;
  };
  topics: TopicRule[];
  http: { enabled: boolean; listen: Address; discardReportInterval: Duration };
  discards: { path: string; maxFile: Size; maxTotal: Size; maxValue: Size | "all" };
  debug: { path: string; timeLimit: Duration; byteLimit: Size };
  log: { level: LogLevel; format: LogFormat; file: string };
}
