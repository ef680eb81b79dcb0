// The input thread starts and takes messages inside a compiled executable too.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directory = mkdtempSync(join(tmpdir(), "bruce-compiled-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("messages arrive on all inputs of a compiled executable, started in an empty directory", async () => {
  const root = join(import.meta.dir, "../..");
  const executable = join(directory, "inputs");
  const main = new URL("./compiledMain.ts", import.meta.url).pathname;
  const entries = [main, "src/ingest/input.worker.ts"];
  const build = Bun.spawnSync(
    [process.execPath, "build", "--compile", "--root", ".", "--outfile", executable, ...entries],
    { cwd: root, stdout: "ignore", stderr: "pipe" },
  );
  expect(build.exitCode, build.stderr.toString()).toBe(0);
  const run = Bun.spawn([executable], { cwd: directory, stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([run.stdout.text(), run.stderr.text()]);
  expect(errors).toBe("");
  expect(JSON.parse(output)).toEqual({ values: ["datagram", "stream", "tcp"], compiled: true });
  expect(await run.exited).toBe(0);
}, 120_000);
