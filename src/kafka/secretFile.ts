// A secret that stands in a file of its own: read whole, without the line end that editors put there.
import { existsSync, readFileSync, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { fileProblem } from "./fileProblem.ts";

export type SecretFile = { secret: string; exposed: boolean } | { problem: string };

/** Nobody's password is longer; a log file that was named by mistake is. Bytes. */
const MAX_SIZE = 64 * 1024;

/** Everybody may read it. */
const WORLD_READABLE = 0o004;

/**
 * What the file at `path` holds, but for one line end at its end. `exposed`: everybody on this host may read it. A problem
 * tells the path and the reason, never anything of what is in it; nor the path where that may be the secret itself.
 */
export function readSecretFile(path: string): SecretFile {
  let bytes: Uint8Array;
  let exposed: boolean;
  try {
    const { mode, size } = statSync(path);
    if (size > MAX_SIZE) return { problem: `${path} is larger than ${MAX_SIZE / 1024} KiB: that is no secret` };
    exposed = (mode & WORLD_READABLE) !== 0;
    bytes = readFileSync(path);
  } catch (error) {
    // Nothing is found, neither is it a path from the root: somebody may have put the secret where its file belongs.
    const doubtful = !isAbsolute(path) && !existsSync(path);
    return {
      problem: doubtful ? "it must be the path of a file, and there is no such file" : fileProblem(path, error),
    };
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { problem: `${path} is not UTF-8 text` };
  }
  const secret = text.replace(/\r?\n$/, "");
  if (secret === "") return { problem: `${path} is empty` };
  if (/[\r\n\0]/.test(secret))
    return { problem: `${path} has more than one line: it must hold the secret and nothing else` };
  return { secret, exposed };
}
