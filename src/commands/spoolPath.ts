// Which directory `bruce spool` looks at: the one it was told, or the one that the daemon of this user has.
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { formatConfigErrors, loadSettings } from "../config/load.ts";
import { defaultPlaces, ownSurroundings } from "../config/places.ts";
import { readToml } from "../config/read.ts";
import { nodeAt } from "../config/tree.ts";

export interface PathOptions {
  path?: string;
  /** The daemon's configuration file. */
  config?: string;
  env: Record<string, string | undefined>;
  /** The user to choose default places for; this process's unless given. */
  uid?: number;
}

/** "usage": what was asked for is wrong; "absent": there is nothing to look at, or not for this user. */
export type FoundPath = { path: string; warning?: string } | { failure: "usage" | "absent"; problem: string };

/** The directory, which is there and can be listed. */
export function findPath(options: PathOptions): FoundPath {
  const named = namePath(options);
  if ("failure" in named) return named;
  const problem = unreadable(named.path);
  const { path, warning } = named;
  if (problem === undefined) return { path, warning };
  const asked = options.path !== undefined || options.config !== undefined;
  const other = asked ? "" : elsewhere(named.path);
  const hint = named.memoryOnly ? "; buffer.disk is 0: messages are kept in memory only" : other;
  return { failure: "absent", problem: `${named.path}: ${problem}${hint}` };
}

type Named = { path: string; warning?: string; memoryOnly?: boolean } | { failure: "usage"; problem: string };

function namePath({ path, config, env, uid = ownSurroundings().uid }: PathOptions): Named {
  if (path !== undefined && config !== undefined) {
    return { failure: "usage", problem: "--path and --config exclude each other" };
  }
  if (path !== undefined) return path === "" ? { failure: "usage", problem: "--path is empty" } : { path };
  const loaded = loadSettings({ file: config, env, uid });
  if ("settings" in loaded) {
    const { buffer } = loaded.settings;
    return { path: buffer.path, memoryOnly: buffer.disk === 0 };
  }
  if (config !== undefined) return { failure: "usage", problem: formatConfigErrors(loaded.errors) };
  // The daemon's file may be wrong for reasons of this user alone: a variable unset here, or not for us to read.
  const places = defaultPlaces({ env, uid });
  const found = pathIn(places.configFile) ?? places.state;
  return { path: found, warning: `${formatConfigErrors(loaded.errors.slice(0, 1))}; looking at ${found}` };
}

/** buffer.path as it stands in a file that is otherwise wrong. */
function pathIn(file: string): string | undefined {
  try {
    const read = readToml(readFileSync(file, "utf8"), file);
    const node = "tree" in read ? nodeAt(read.tree, ["buffer", "path"]) : undefined;
    return node?.kind === "value" && typeof node.value === "string" && !node.value.includes("$")
      ? node.value
      : undefined;
  } catch {
    return undefined;
  }
}

/** One of them is in any directory that a daemon has used. */
const PARTS = ["checkpoint.0", "checkpoint.1", "log", "held", "journal"];

function unreadable(path: string): string | undefined {
  try {
    if (!statSync(path).isDirectory()) return "it is no directory";
    accessSync(path, constants.R_OK | constants.X_OK);
    if (PARTS.some((part) => existsSync(join(path, part)))) return undefined;
    return "no disk buffer is in it: no daemon has used it yet, or it is another directory than buffer.path";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") return "there is no such directory";
    if (code === "EACCES") return "permission denied: run this as the user of the daemon, or with sudo";
    return code === "ENOTDIR" ? "a part of its path is no directory" : code || String(error);
  }
}

/** The system's daemon may be what was meant. */
function elsewhere(path: string): string {
  const system = defaultPlaces({ env: {}, uid: 0 }).state;
  return path === system || !existsSync(system) ? "" : `; the system's daemon has ${system}: sudo bruce spool …`;
}
