import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBruce } from "./command.ts";

test("SIGTERM at any moment from the start on ends it in good order", async () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-ready-"));
  const ends: unknown[] = [];
  try {
    for (let i = 0; i < 8; i++) {
      const dev = runBruce(["serve", "--dev"], { cwd: directory });
      await dev.said(i % 2 === 0 ? '"msg":"starting"' : '"msg":"ready"');
      dev.signal("SIGTERM");
      const { code } = await dev.finished;
      if (code !== 0) ends.push(code);
    }
    expect({ ends, left: readdirSync(directory).filter((name) => name.startsWith("bruce-dev-")) }).toEqual({
      ends: [],
      left: [],
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
