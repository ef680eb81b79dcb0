// dist/bruce for scripts that run it: where it is, and built anew when a source is newer.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";

const root = new URL("..", import.meta.url).pathname;

/** Another one, say an older, when the environment names it. */
const other = process.env.BRUCE_EXECUTABLE;

export const BRUCE = other ?? `${root}dist/bruce`;

/** Builds it when it is missing or stale; false when that failed, of which the build then has told on stderr. */
export function ensureExecutable(): boolean {
  if (other !== undefined || !isStale()) return true;
  const { status } = spawnSync(process.execPath, [`${root}scripts/build.ts`], { cwd: root, stdio: "inherit" });
  return status === 0;
}

/** A deleted source shows in the time of its directory. */
function isStale(): boolean {
  const built = statSync(BRUCE, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = ["package.json", "package-lock.json", "scripts/build.ts", "src"];
  for (const entry of readdirSync(`${root}src`, { recursive: true })) sources.push(`src/${entry}`);
  return sources.some((path) => (statSync(root + path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > built);
}
