// Where a daemon's HTTP is, by its configuration.
import { readFileSync } from "node:fs";
import { parseAddress } from "../config/kinds.ts";
import { formatConfigErrors, loadSettings } from "../config/load.ts";
import { defaultPlaces, ownSurroundings } from "../config/places.ts";
import { readToml } from "../config/read.ts";
import { defaultSettings } from "../config/settings.ts";
import { nodeAt } from "../config/tree.ts";

export type Found = { url: URL; warning?: string } | { problem: string };

export interface UrlOptions {
  url?: string;
  config?: string;
  env: Record<string, string | undefined>;
}

/** The address asked for, or that of the configuration, or the default one. */
export function findUrl({ url, config, env }: UrlOptions): Found {
  if (url !== undefined) return parseUrl(url);
  const loaded = loadSettings({ file: config, env });
  if ("settings" in loaded) {
    const { enabled, listen } = loaded.settings.http;
    const where = loaded.file ?? "the configuration";
    if (!enabled) return { problem: `${where} switches HTTP off (http.enabled): there is nothing to ask` };
    if (listen.port === 0)
      return { problem: `${where} takes any free port (http.listen): name the address with --url` };
    return { url: urlOf(listen) };
  }
  if (config !== undefined) return { problem: formatConfigErrors(loaded.errors) };
  // The daemon's file may be wrong for reasons of this user alone: a variable unset here, or not for us to read.
  const surroundings = { ...ownSurroundings(), env };
  const listen = listenIn(defaultPlaces(surroundings).configFile) ?? defaultSettings(surroundings).http.listen;
  const found = urlOf(listen);
  return { url: found, warning: `${formatConfigErrors(loaded.errors.slice(0, 1))}; asking ${found.origin}` };
}

function parseUrl(text: string): Found {
  const problem = { problem: `--url wants http://HOST:PORT, not "${text}"` };
  const full = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(full)) return problem;
  const url = new URL(full);
  return url.protocol === "http:" || url.protocol === "https:" ? { url } : problem;
}

/** A daemon that listens on every address is asked on loopback. */
function urlOf({ host, port }: { host: string; port: number }): URL {
  const bare = host.replace(/^\[|\]$/g, "");
  const reachable = bare === "0.0.0.0" || bare === "" ? "127.0.0.1" : bare === "::" ? "::1" : bare;
  return new URL(`http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`);
}

/** http.listen as it stands in a file that is otherwise wrong. */
function listenIn(file: string): { host: string; port: number } | undefined {
  try {
    const read = readToml(readFileSync(file, "utf8"), file);
    const node = "tree" in read ? nodeAt(read.tree, ["http", "listen"]) : undefined;
    return node?.kind === "value" && typeof node.value === "string" ? parseAddress(node.value) : undefined;
  } catch {
    return undefined;
  }
}
