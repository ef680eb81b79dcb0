// What this release does not do yet, and therefore refuses rather than ignores. The only list of it.

/** Tables in which nothing may be changed. */
const TABLES = new Set(["discards", "debug"]);

/** Whether the settings of a table must stay at their defaults. */
export function isUnsupported(table: string): boolean {
  return TABLES.has(table);
}
