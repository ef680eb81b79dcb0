// `bruce spool`: looks into the buffer on disk, whether or not a daemon is at work in it, and changes nothing.
import { didYouMean } from "../config/nearest.ts";
import { printable } from "../observe/logPrintable.ts";
import { EXIT, type SpoolSurroundings } from "./spoolIo.ts";
import { findPath } from "./spoolPath.ts";

export interface SpoolOptions {
  /** What to do; checked here. */
  action: string;
  path?: string;
  config?: string;
  topics: string[];
  json: boolean;
  frames: boolean;
}

const ACTIONS = ["ls", "verify", "export"];

/** The exit code: 0 done, 1 damage was found or it cannot be read, 2 wrong usage or configuration. */
export async function spoolCommand(options: SpoolOptions, io: SpoolSurroundings = process): Promise<number> {
  const { action } = options;
  const say = (message: string): unknown => io.stderr.write(`bruce spool: ${message}\n`);
  const misuse = misuseOf(options, io);
  if (misuse !== undefined) {
    say(misuse);
    return EXIT.usage;
  }
  const found = findPath({ path: options.path, config: options.config, env: io.env, uid: io.uid });
  if ("failure" in found) {
    say(found.problem);
    return found.failure === "usage" ? EXIT.usage : EXIT.failed;
  }
  if (found.warning !== undefined) say(found.warning);
  try {
    switch (action) {
      case "ls":
        return await (await import("./spoolLs.ts")).listSpool(found.path, options.json, io);
      case "verify":
        return await (await import("./spoolVerify.ts")).verifySpool(found.path, options.json, io);
      default:
        return await (await import("./spoolExport.ts")).exportSpool(found.path, options, io);
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    say(`cannot read ${found.path}: ${printable(error.message)}`);
    return EXIT.failed;
  }
}

function misuseOf({ action, topics, json, frames }: SpoolOptions, { stdout }: SpoolSurroundings): string | undefined {
  if (!ACTIONS.includes(action)) {
    return `there is no "${printable(action)}"${didYouMean(action, ACTIONS)} (ls, verify or export)`;
  }
  if (action !== "export" && topics.length > 0) return `--topic is for export, not for ${action}`;
  if (action !== "export" && frames) return `--frames is for export, not for ${action}`;
  if (frames && json) return "--frames and --json exclude each other";
  if (frames && stdout.isTTY === true) return "--frames writes bytes that are not for a terminal: redirect them";
  return undefined;
}
