// A data directory that could not be used at the start is looked at again, and whoever looks after bruce is told.
import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDataDirectory } from "../../src/spool/dataDirectory.ts";
import { DirectoryWatch } from "../../src/spool/directoryWatch.ts";
import { nodeFiles } from "../../src/spool/files.ts";

test("it says what is wrong now, tells once of each change, and leaves the directory to whoever comes", () => {
  const room = mkdtempSync(join(tmpdir(), "bruce-watch-"));
  const path = join(room, "state");
  writeFileSync(path, "in the way");
  const opened = openDataDirectory(path, nodeFiles);
  if (!("problem" in opened)) throw new Error("it can be used");
  const told: boolean[] = [];
  const { problem } = opened;
  const watch = new DirectoryWatch({
    path,
    problem,
    onChange: (usable) => void told.push(usable),
    interval: 3_600_000,
  });
  try {
    watch.look();
    expect([watch.reason, told]).toEqual([problem.message, []]);
    rmSync(path);
    watch.look();
    watch.look();
    expect(watch.reason).toContain("restart bruce");
    expect(told).toEqual([true]);
    const other = openDataDirectory(path, nodeFiles);
    expect("lock" in other).toBe(true);
    watch.look();
    expect(watch.reason).toContain("is using");
    expect(told).toEqual([true, false]);
    if ("lock" in other) other.lock.release();
    chmodSync(path, 0o700);
    watch.look();
    expect(told).toEqual([true, false, true]);
  } finally {
    watch.stop();
    rmSync(room, { recursive: true, force: true });
  }
});
