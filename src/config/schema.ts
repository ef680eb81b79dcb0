// Every setting there is, in the order of the reference. Checks, defaults, docs and `bruce check` come from here.
import type { Places } from "./places.ts";
import { buffer } from "./schema/buffer.ts";
import { datagram, stream, tcp } from "./schema/input.ts";
import { kafka, sasl, tls } from "./schema/kafka.ts";
import type { Key, PlaceDefault, Table, TableName, Tables } from "./schema/key.ts";
import { debug, discards, http, log } from "./schema/observe.ts";
import { batch, compression, delivery, rule } from "./schema/topic.ts";

const TABLES: { [T in TableName]: Table<Tables[T]> } = {
  kafka,
  "kafka.tls": tls,
  "kafka.sasl": sasl,
  "input.datagram": datagram,
  "input.stream": stream,
  "input.tcp": tcp,
  buffer,
  batch,
  compression,
  delivery,
  http,
  discards,
  debug,
  log,
};

/** A setting under the name it has in TOML and the one it has in `Settings`. */
export interface SchemaKey extends Key<unknown> {
  name: string;
  field: string;
}

export interface SchemaTable {
  /** As in TOML, such as "kafka.tls". */
  name: string;
  path: string[];
  about: string;
  keys: Map<string, SchemaKey>;
}

function snake(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function byName(keys: Record<string, Key<unknown>>): Map<string, SchemaKey> {
  return new Map(
    Object.entries(keys).map(([field, key]) => {
      const name = snake(field);
      return [name, { ...key, name, field }];
    }),
  );
}

export const SCHEMA: SchemaTable[] = Object.entries(TABLES).map(([name, table]) => ({
  name,
  path: name.split("."),
  about: table.about,
  keys: byName(table.keys),
}));

/** What can stand in a topic's table. */
export const RULE: Map<string, SchemaKey> = byName(rule);

function isPlaceDefault(given: unknown): given is PlaceDefault<unknown> {
  return typeof given === "object" && given !== null && "from" in given;
}

/** The default of a setting, which may depend on who runs bruce. */
export function defaultOf(key: Key<unknown>, places: Places): unknown {
  const given = key.default;
  return isPlaceDefault(given) ? given.from(places) : given;
}
