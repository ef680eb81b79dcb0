// The settings from a file, the arguments of --set, and the environment.
import { existsSync, readFileSync } from "node:fs";
import { readArgument } from "./argument.ts";
import { checkTree } from "./check.ts";
import { placeOf } from "./consistency.ts";
import type { Environment } from "./expand.ts";
import { exposedSecrets } from "./exposed.ts";
import { defaultPlaces, ownSurroundings } from "./places.ts";
import { readToml } from "./read.ts";
import { dotted } from "./toml.ts";
import { type ConfigError, emptyTable, overlay, type TableNode } from "./tree.ts";
import type { Settings } from "./types.ts";

export type { ConfigError } from "./tree.ts";

export interface LoadOptions {
  /** The file to read, which must be there. Without it, the one at the default place is read if there is one. */
  file?: string;
  /** Text to take instead of the file's. */
  text?: string;
  /** KEY=VALUE, each over those before it and all over the file. */
  set?: string[];
  env: Environment;
  /** The user to choose default places for; this process's unless given. */
  uid?: number;
  /** What this machine cannot do of settings that are right in themselves; asked when nothing else is wrong. */
  objections?: (settings: Settings) => Objection[];
}

/** A setting that cannot be had, by its names from the outermost table on, and why. */
export interface Objection {
  path: readonly string[];
  message: string;
}

export type Loaded = LoadedSettings | { errors: ConfigError[] };

export interface LoadedSettings {
  settings: Settings;
  /** What was read; undefined when there was none. */
  file: string | undefined;
  /** It was, and there is nothing in it, not even a comment. */
  blank?: true;
  /** About secrets that are none; without any. */
  warnings?: string[];
}

/** Reads and checks everything; gives the settings, or all that is wrong. */
export function loadSettings(options: LoadOptions): Loaded {
  const { file, text, set = [], env, uid = ownSurroundings().uid, objections = () => [] } = options;
  const surroundings = { env, uid };
  const errors: ConfigError[] = [];
  const path = file ?? (text === undefined ? existing(defaultPlaces(surroundings).configFile) : undefined);
  let tree: TableNode = emptyTable(path ?? "default settings");
  let blank = false;
  if (path !== undefined || text !== undefined) {
    const read = readText(path ?? "bruce.toml", text);
    if ("tree" in read) {
      tree = overlay(tree, read.tree);
      blank = read.blank;
    } else errors.push(read.error);
  }
  for (const argument of set) {
    const read = readArgument(argument);
    if ("tree" in read) tree = overlay(tree, read.tree);
    else errors.push(read.error);
  }
  const checked = checkTree(tree, surroundings);
  if ("errors" in checked) errors.push(...checked.errors);
  if ("settings" in checked && errors.length === 0) {
    for (const { path, message } of objections(checked.settings)) {
      errors.push({ ...placeOf(tree, path), key: dotted(path), message });
    }
    if (errors.length === 0) {
      const warnings = exposedSecrets(tree, path);
      const more = { ...(blank ? { blank } : {}), ...(warnings.length > 0 ? { warnings } : {}) };
      return { settings: checked.settings, file: path, ...more };
    }
  }
  // Arguments stand last, as they are read last; the file's errors in its order.
  const order = (error: ConfigError): number => (error.line === 0 ? Number.POSITIVE_INFINITY : error.line);
  return { errors: errors.sort((a, b) => compare(order(a), order(b)) || a.column - b.column) };
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function existing(file: string): string | undefined {
  return existsSync(file) ? file : undefined;
}

function readText(
  file: string,
  given: string | undefined,
): { tree: TableNode; blank: boolean } | { error: ConfigError } {
  const fail = (message: string): { error: ConfigError } => ({ error: { file, line: 0, column: 0, key: "", message } });
  const read = (content: string) => ({ ...readToml(content, file), blank: content.trim() === "" });
  if (given !== undefined) return read(given);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return fail(`cannot be read: ${READ_ERRORS[code] ?? (code || String(error))}`);
  }
  try {
    return read(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof TypeError) return fail("is not UTF-8 text");
    throw error;
  }
}

const READ_ERRORS: Record<string, string> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of its path is no directory",
};

/** One line for each error: where, which key, what is wrong. */
export function formatConfigErrors(errors: readonly ConfigError[]): string {
  return errors
    .map(({ file, line, column, key, message }) => {
      const place = line === 0 ? file : `${file}:${line}:${column}`;
      // The place of an argument is its key already.
      return key === "" || file === `--set ${key}` ? `${place}: ${message}` : `${place}: ${key}: ${message}`;
    })
    .join("\n");
}
