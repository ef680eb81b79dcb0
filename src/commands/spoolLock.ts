// Whether a daemon is at work in a directory. Only looks: to try its lock would keep a daemon out that starts just then.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** "unknown": this system does not tell. `pid`: as the lock file says, when it does. */
export type Holder = { state: "running"; pid: number | undefined } | { state: "absent" | "unknown" };

/** Who holds the lock of `directory`. `locks`: where the kernel lists all locks (proc(5)). */
export function lockHolder(directory: string, locks = "/proc/locks"): Holder {
  let inode: number;
  let pid: number;
  try {
    const path = join(directory, "lock");
    inode = statSync(path).ino;
    pid = Number.parseInt(readFileSync(path, "utf8"), 10);
  } catch {
    return { state: "absent" };
  }
  try {
    // 1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF
    const held = readFileSync(locks, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .some((fields) => fields[1] === "FLOCK" && fields[5]?.split(":")[2] === String(inode));
    if (!held) return { state: "absent" };
  } catch {
    return { state: "unknown" };
  }
  return { state: "running", pid: Number.isSafeInteger(pid) ? pid : undefined };
}
