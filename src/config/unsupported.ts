// What this release does not do yet, and therefore refuses rather than ignores. The only list of it.
import type { SchemaKey } from "./schema.ts";

/** Tables in which nothing may be changed. */
const TABLES = new Set(["discards", "debug"]);

/** Settings that must stay at their default; those of topics are under "topics". */
const KEYS = new Set(["delivery.max_age", "topics.max_age", "topics.rate_limit"]);

/** Whether a setting must stay at its default. */
export function isUnsupported(table: string, key: SchemaKey): boolean {
  return TABLES.has(table) || KEYS.has(`${table}.${key.name}`);
}
