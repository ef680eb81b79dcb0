// A volume that fills up: nothing crashes, the policies hold, and when there is space again all goes on by itself.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface SmallVolume {
  path: string;
  /** Fills it with a file, so that nobody else finds a byte. */
  fill(): void;
  /** Takes that file away. */
  relieve(): void;
  close(): void;
}

/** A tmpfs of its own, or why there can be none (it needs root). */
export function mountSmallVolume(directory: string, megabytes: number): SmallVolume | { problem: string } {
  const path = join(directory, "volume");
  mkdirSync(path, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path], { encoding: "utf8" });
  if (mounted.status !== 0) return { problem: `no tmpfs can be mounted here: ${mounted.stderr?.trim()}` };
  const ballast = join(path, "ballast");
  return {
    path,
    fill() {
      const chunk = Buffer.alloc(65_536);
      try {
        for (;;) writeFileSync(ballast, chunk, { flag: "a" });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
    },
    relieve: () => rmSync(ballast, { force: true }),
    close() {
      spawnSync("umount", ["-l", path]);
    },
  };
}
