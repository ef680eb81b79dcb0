// A tree to settings: every key looked up in the schema, every value read, every error found.
import { parsed } from "./argument.ts";
import { consistencyErrors } from "./consistency.ts";
import { deriveDefaults } from "./derived.ts";
import { type Environment, expand } from "./expand.ts";
import type { Reading, Refusal } from "./kinds.ts";
import { didYouMean } from "./nearest.ts";
import { defaultPlaces, type Places, type Surroundings } from "./places.ts";
import { defaultOf, RULE, SCHEMA, type SchemaKey } from "./schema.ts";
import { defaultSettings, tableAt } from "./settings.ts";
import { describe, dotted } from "./toml.ts";
import type { ConfigError, Place, TableNode, TreeNode, ValueNode } from "./tree.ts";
import type { Settings, TopicRule } from "./types.ts";
import { isUnsupported } from "./unsupported.ts";

interface Checking {
  env: Environment;
  places: Places;
  fail: (at: Place, path: readonly string[], message: string) => void;
}

/** The settings that `root` says, or all that is wrong with it. */
export function checkTree(
  root: TableNode,
  surroundings: Surroundings,
): { settings: Settings } | { errors: ConfigError[] } {
  const errors: ConfigError[] = [];
  const checking: Checking = {
    env: surroundings.env,
    places: defaultPlaces(surroundings),
    fail: ({ file, line, column }, path, message) => errors.push({ file, line, column, key: dotted(path), message }),
  };
  const settings = defaultSettings(surroundings);
  checkTable(root, [], settings, checking);
  deriveDefaults(root, settings);
  consistencyErrors(root, settings, new Set(errors.map((error) => error.key)), checking.fail);
  return errors.length === 0 ? { settings } : { errors };
}

const TABLE_PATHS: string[][] = [...SCHEMA.map((table) => table.path), ["topics"]];

function checkTable(table: TableNode, path: string[], settings: Settings, checking: Checking): void {
  const name = path.join(".");
  const known = SCHEMA.find((each) => each.name === name);
  const subtables = new Set(
    TABLE_PATHS.filter((each) => isPrefix(path, each)).flatMap((each) => each[path.length] ?? []),
  );
  for (const [part, node] of table.entries) {
    const childPath = [...path, part];
    const key = known?.keys.get(part);
    if (key !== undefined) {
      const value = checkValue(node, childPath, name, key, checking);
      if (value !== undefined) tableAt(settings, path)[key.field] = value;
    } else if (!subtables.has(part)) {
      checking.fail(node.at, childPath, unknown(part, node, [...(known?.keys.keys() ?? []), ...subtables]));
    } else if (node.kind !== "table") {
      checking.fail(node.at, childPath, `must be a table: write [${dotted(childPath)}] and its settings below`);
    } else if (part === "topics") {
      settings.topics = [...node.entries].flatMap(([pattern, rule]) => checkRule(pattern, rule, checking) ?? []);
    } else checkTable(node, childPath, settings, checking);
  }
}

function isPrefix(path: readonly string[], of: readonly string[]): boolean {
  return path.length < of.length && path.every((part, index) => part === of[index]);
}

function unknown(part: string, node: TreeNode, siblings: string[]): string {
  const near = didYouMean(part, siblings);
  const homes = SCHEMA.filter((table) => table.keys.has(part)).map((table) => `[${table.name}]`);
  const home = near === "" && homes.length > 0 ? `; it belongs in ${homes.join(" or ")}` : "";
  return `unknown ${node.kind === "table" ? "table" : "setting"}${near}${home}`;
}

function checkRule(pattern: string, node: TreeNode, checking: Checking): TopicRule | undefined {
  const path = ["topics", pattern];
  if (node.kind !== "table") {
    checking.fail(node.at, path, `must be a table: write [${dotted(path)}] and its settings below`);
    return undefined;
  }
  const name = pattern.endsWith("*") ? pattern.slice(0, -1) : pattern;
  if (!/^[A-Za-z0-9._-]{0,249}$/.test(name) || (name === pattern && ["", ".", ".."].includes(name))) {
    checking.fail(
      node.at,
      path,
      'is no topic\'s name; must be 1 to 249 of letters, digits, ".", "_" and "-", and may end in "*"',
    );
  }
  const overrides: Record<string, unknown> = {};
  for (const [part, child] of node.entries) {
    const key = RULE.get(part);
    if (key === undefined) checking.fail(child.at, [...path, part], unknownInRule(pattern, part, child));
    else {
      const value = checkValue(child, [...path, part], "topics", key, checking);
      if (value !== undefined) overrides[key.field] = value;
    }
  }
  return { pattern, overrides };
}

function unknownInRule(pattern: string, part: string, node: TreeNode): string {
  if (node.kind === "table")
    return `unknown table; a topic's name with dots needs quotes: [topics."${pattern}.${part}"]`;
  const near = didYouMean(part, RULE.keys());
  const elsewhere = SCHEMA.find((table) => table.keys.has(part));
  if (near !== "" || elsewhere === undefined) return `unknown setting${near}`;
  return `cannot be set for a topic, only for all in [${elsewhere.name}]`;
}

function checkValue(node: TreeNode, path: string[], table: string, key: SchemaKey, checking: Checking): unknown {
  const fail = (at: Place, message: string): undefined => void checking.fail(at, path, message);
  const got = (value: unknown): string => `got ${key.secret ? "a value that is not shown" : describe(value)}; `;
  if (node.kind === "table") return fail(node.at, `got a table; must be ${key.kind.allowed}`);
  const expansion = expandAll(node.value, checking.env, key.secret === true);
  if ("problem" in expansion) return fail(node.valueAt, expansion.problem);
  const reading = readFirst(key, readings(node, expansion));
  if ("value" in reading) {
    if (isRefused(table, key, reading.value, checking.places)) {
      return fail(node.valueAt, `${got(node.value)}${notYet(key, checking.places)}`);
    }
    return reading.value;
  }
  // What came from the environment may be a secret wherever it was put: the text that names it is shown instead.
  const { element, hint = "" } = reading;
  if (element === undefined) return fail(node.valueAt, `${got(node.value)}must be ${key.kind.allowed}${hint}`);
  const shown = expansion.used ? (Array.isArray(node.value) ? node.value[element.index] : node.value) : element.got;
  const complaint =
    "allowed" in element ? `${got(shown)}must be ${element.allowed}` : `${describe(shown)} ${element.complaint}`;
  return fail(node.elementsAt[element.index] ?? node.valueAt, complaint);
}

/** What a value may be read as: itself, or where nobody could write quotes (or leave them out), what it is with (without). */
function readings(node: ValueNode, { value, used }: { value: unknown; used: boolean }): unknown[] {
  if (node.plain !== undefined && typeof value !== "string") return [value, node.plain];
  return used && typeof value === "string" ? [value, parsed(value)] : [value];
}

function readFirst(key: SchemaKey, values: unknown[]): Reading<unknown> {
  let refusal: Refusal | undefined;
  for (const value of values) {
    const reading = key.kind.read(value);
    if ("value" in reading) return reading;
    refusal ??= reading;
  }
  return refusal ?? {};
}

function expandAll(
  value: unknown,
  env: Environment,
  secret: boolean,
): { value: unknown; used: boolean } | { problem: string } {
  if (typeof value === "string") {
    const expansion = expand(value, env, secret);
    return "problem" in expansion ? expansion : { value: expansion.text, used: expansion.used };
  }
  if (!Array.isArray(value)) return { value, used: false };
  const items: unknown[] = [];
  let used = false;
  for (const item of value) {
    const expansion = expandAll(item, env, secret);
    if ("problem" in expansion) return expansion;
    items.push(expansion.value);
    used ||= expansion.used;
  }
  return { value: items, used };
}

function isRefused(table: string, key: SchemaKey, value: unknown, places: Places): boolean {
  if (!isUnsupported(table)) return false;
  const normal = defaultOf(key, places);
  return normal === undefined || key.kind.write(normal) !== key.kind.write(value);
}

function notYet(key: SchemaKey, places: Places): string {
  const normal = defaultOf(key, places);
  return `not supported yet; ${normal === undefined ? "leave it out" : `leave it at ${key.kind.write(normal)}`}`;
}
