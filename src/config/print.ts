// Settings as TOML that loads to the same settings, without secrets.
import { RULE, SCHEMA, type SchemaKey } from "./schema.ts";
import { tableAt } from "./settings.ts";
import { quote } from "./toml.ts";
import type { Settings } from "./types.ts";

/** All settings, table by table in the order of the reference; those of topics at the end. Secrets read "***". */
export function printSettings(settings: Settings): string {
  const tables = SCHEMA.map(({ name, path, keys }) => printTable(`[${name}]`, tableAt(settings, path), keys));
  const rules = settings.topics.map(({ pattern, overrides }) =>
    printTable(`[topics.${quote(pattern)}]`, { ...overrides }, RULE),
  );
  return [...tables, ...rules].join("\n");
}

function printTable(header: string, table: Record<string, unknown>, keys: Map<string, SchemaKey>): string {
  const lines = [header];
  for (const key of keys.values()) {
    const value = table[key.field];
    if (value !== undefined) lines.push(`${key.name} = ${key.secret ? '"***"' : key.kind.write(value)}`);
  }
  return `${lines.join("\n")}\n`;
}
