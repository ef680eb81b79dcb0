// Which socket the client writes to: the one it was told, or the one the daemon of this user makes.
import { existsSync, readFileSync } from "node:fs";
import { parseAddress } from "../config/kinds.ts";
import { formatConfigErrors, loadSettings } from "../config/load.ts";
import { defaultPlaces, ownSurroundings } from "../config/places.ts";
import { readToml } from "../config/read.ts";
import { defaultSettings } from "../config/settings.ts";
import { nodeAt } from "../config/tree.ts";
import type { Target } from "./dial.ts";
import { MAX_SOCKET_PATH } from "./socket.ts";

export interface TargetOptions {
  socket?: string;
  tcp?: string;
  /** The daemon's configuration file. */
  config?: string;
  env: Record<string, string | undefined>;
  /** The user to choose default places for; this process's unless given. */
  uid?: number;
}

/** `maxMessage`: bytes of the largest frame that the daemon takes there. */
export type Chosen = { target: Target; maxMessage: number; warning?: string } | { problem: string };

/** Chooses the socket. */
export function chooseTarget({ socket, tcp, config, env, uid = ownSurroundings().uid }: TargetOptions): Chosen {
  const { stream, tcp: defaultTcp } = defaultSettings({ env, uid }).input;
  if (socket !== undefined && tcp !== undefined) return { problem: "--socket and --tcp exclude each other" };
  if (tcp !== undefined) {
    const address = parseAddress(tcp);
    if (address === undefined || address.port === 0) return { problem: `--tcp wants HOST:PORT, not "${tcp}"` };
    return { target: { kind: "tcp", ...address }, maxMessage: defaultTcp.maxMessage };
  }
  if (socket !== undefined) return unix(socket, stream.maxMessage);
  const loaded = loadSettings({ file: config, env, uid });
  if ("settings" in loaded) {
    const { enabled, path, maxMessage } = loaded.settings.input.stream;
    if (enabled) return unix(path, maxMessage);
    return { problem: `${loaded.file} switches the stream socket off: name another way in with --tcp or --socket` };
  }
  if (config !== undefined) return { problem: formatConfigErrors(loaded.errors) };
  // The daemon's file may be wrong for reasons that are none of a client's (a variable unset here, not for us to read).
  const file = defaultPlaces({ env, uid }).configFile;
  const chosen = unix(pathIn(file) ?? stream.path, stream.maxMessage);
  if ("problem" in chosen) return chosen;
  return { ...chosen, warning: `${formatConfigErrors(loaded.errors.slice(0, 1))}; ${describe(chosen.target)} it is` };
}

function unix(path: string, maxMessage: number): Chosen {
  if (path === "") return { problem: "the socket's path is empty" };
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    return { problem: `a socket's path has at most ${MAX_SOCKET_PATH} bytes; ${path} has more` };
  }
  return { target: { kind: "unix", path }, maxMessage };
}

/** The path of the stream socket as it stands in a file that is otherwise wrong. */
function pathIn(file: string): string | undefined {
  try {
    const read = readToml(readFileSync(file, "utf8"), file);
    const node = "tree" in read ? nodeAt(read.tree, ["input", "stream", "path"]) : undefined;
    return node?.kind === "value" && typeof node.value === "string" && !node.value.includes("$")
      ? node.value
      : undefined;
  } catch {
    return undefined;
  }
}

/** For messages. */
export function describe(target: Target): string {
  if (target.kind === "unix") return target.path;
  return target.host.includes(":") ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
}

/** A word of help when nothing is at `target`: the system's daemon may be what was meant. */
export function hint(target: Target): string {
  const system = defaultPlaces({ env: {}, uid: 0 }).streamSocket;
  if (target.kind !== "unix" || target.path === system || !existsSync(system)) return "";
  return `; the system's daemon has a socket, --socket ${system}`;
}
