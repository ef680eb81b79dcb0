// One daemon for each data directory, and a clear word for whoever cannot have it.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { openDataDirectory } from "../../src/spool/dataDirectory.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { FakeFiles } from "../support/fakeFiles.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/bruce-data-`);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function opened(path: string) {
  const result = openDataDirectory(path, nodeFiles);
  if ("problem" in result) throw new Error(result.problem.message);
  return result.lock;
}

test("it is made with all that belongs in it, for this user alone", () => {
  const path = `${directory}/deep/data`;
  const lock = opened(path);
  for (const name of [".", "log", "held", "journal", "quarantine"])
    expect(statSync(`${path}/${name}`).mode & 0o777).toBe(0o700);
  expect(statSync(`${path}/lock`).mode & 0o777).toBe(0o600);
  expect(readFileSync(`${path}/lock`, "utf8")).toBe(`${process.pid}\n`);
  expect(lock.machineId).toMatch(/^[0-9a-f]{32}$/);
  lock.release();
  expect(opened(path).machineId).toBe(lock.machineId);
});

test("a second daemon is refused while a process has it, and accepted when that was killed", async () => {
  const program = `
    import { openDataDirectory } from "${import.meta.dir}/../../src/spool/dataDirectory.ts";
    import { nodeFiles } from "${import.meta.dir}/../../src/spool/files.ts";
    const result = openDataDirectory(process.argv[1], nodeFiles);
    process.stdout.write("lock" in result ? "mine" : result.problem.message);
    setInterval(() => {}, 1000);`;
  const first = Bun.spawn([process.execPath, "-e", program, directory], { stdout: "pipe" });
  try {
    const { value } = await first.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("mine");
    const result = openDataDirectory(directory, nodeFiles);
    expect(result).toMatchObject({ problem: { kind: "locked" } });
    if ("problem" in result) expect(result.problem.message).toContain(`the process ${first.pid} is using ${directory}`);
  } finally {
    first.kill("SIGKILL");
  }
  await first.exited;
  opened(directory).release();
});

test("what is no directory, or may not be written, is named with what to do", () => {
  writeFileSync(`${directory}/file`, "");
  for (const path of [`${directory}/file`, `${directory}/file/below`]) {
    const result = openDataDirectory(path, nodeFiles);
    expect(result).toMatchObject({ problem: { kind: "unusable", message: expect.stringContaining("is a file") } });
  }
  if (process.getuid?.() === 0) return; // root may write anywhere
  chmodSync(directory, 0o500);
  const result = openDataDirectory(`${directory}/data`, nodeFiles);
  expect(result).toMatchObject({ problem: { kind: "unusable", message: expect.stringContaining("may not write") } });
});

test.each([
  ["open", "EROFS", "read-only"],
  ["makeDirectory", "EIO", "disk fails"],
  ["makeDirectory", "ENOSPC", "volume is full"],
] as const)("a disk that fails %s with %s is unusable, which is no reason not to start", (call, code, words) => {
  const files = new FakeFiles();
  files.failNext(call, code);
  const result = openDataDirectory("/data", files, () => ({ kind: "locked" }));
  expect(result).toMatchObject({ problem: { kind: "unusable", message: expect.stringContaining(words) } });
});

test("a full disk does not keep a directory that is there from being locked", () => {
  const files = new FakeFiles();
  const open = () => openDataDirectory("/data", files, () => ({ kind: "locked" }));
  expect(open()).toHaveProperty("lock");
  files.capacity = files.used;
  expect(open()).toHaveProperty("lock");
  expect(openDataDirectory("/data", files, () => ({ kind: "failed", why: "ENOLCK" }))).toMatchObject({
    problem: { kind: "unusable", message: expect.stringContaining("ENOLCK") },
  });
});
