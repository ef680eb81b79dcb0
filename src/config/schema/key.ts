// What the schema says of a setting and of a table of settings.
import type { Kind } from "../kinds.ts";
import type { Places } from "../places.ts";
import type { Settings, TopicSettings } from "../types.ts";

/** A change that waits for a restart only from, or to, some values. */
export interface RestartWhen<T> {
  when(from: T, to: T): boolean;
  /** Which those are, for the reference. */
  about: string;
}

/** A default that depends on who runs bruce. */
export type PlaceDefault<T> = { from: (places: Places) => T };

export interface Key<T> {
  kind: Kind<T>;
  /** What holds when it is not set; undefined: nothing does. */
  default: T | PlaceDefault<T>;
  /** One sentence for the reference. */
  about: string;
  /** Never shown. */
  secret?: true;
  /** What it is while bruce runs stays until the next start; left out: a reload changes it. */
  restart?: true | RestartWhen<T>;
}

export interface Table<T> {
  about: string;
  keys: { [K in keyof T]-?: Key<T[K]> };
}

/** Every table of bruce.toml but those of topics, by its name there. */
export interface Tables {
  kafka: Omit<Settings["kafka"], "tls" | "sasl">;
  "kafka.tls": Settings["kafka"]["tls"];
  "kafka.sasl": Settings["kafka"]["sasl"];
  "input.datagram": Settings["input"]["datagram"];
  "input.stream": Settings["input"]["stream"];
  "input.tcp": Settings["input"]["tcp"];
  buffer: Settings["buffer"];
  batch: Settings["batch"];
  compression: Settings["compression"];
  delivery: Settings["delivery"];
  http: Settings["http"];
  discards: Settings["discards"];
  debug: Settings["debug"];
  log: Settings["log"];
}

export type TableName = keyof Tables;
/** What can stand in a topic's table. */
export type RuleKeys = Table<TopicSettings>["keys"];
