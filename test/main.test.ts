import { afterAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../package.json";

const MAIN = new URL("../src/main.ts", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "bruce-main-"));
afterAll(() => rmSync(directory, { recursive: true }));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface Run {
  unread?: boolean;
  stdout?: number | "pipe";
}

/** Runs bruce in an empty directory; `unread` closes its stdout before anything is read. */
function bruce(args: string[], { unread = false, stdout = "pipe" }: Run = {}): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, HOME: directory },
    stdio: ["ignore", stdout, "pipe"],
  });
  const ended: Ended = { code: null, stdout: "", stderr: "" };
  if (unread) child.stdout?.destroy();
  else child.stdout?.on("data", (data) => (ended.stdout += data));
  child.stderr?.on("data", (data) => (ended.stderr += data));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...ended, code }));
  });
}

test("--version names the version", async () => {
  expect(await bruce(["--version"])).toEqual({ code: 0, stdout: `bruce ${version} (from source)\n`, stderr: "" });
});

test("help goes to stdout, misuse to stderr with exit code 2", async () => {
  expect(await bruce(["--help"])).toMatchObject({ code: 0, stderr: "" });
  expect(await bruce([])).toMatchObject({ code: 2, stdout: "" });
  expect(await bruce(["chekc"])).toEqual({
    code: 2,
    stdout: "",
    stderr: 'bruce: there is no command "chekc"; did you mean "check"?\n',
  });
});

test("a command's exit code is the process's", async () => {
  expect(await bruce(["check"])).toMatchObject({ code: 0, stderr: "" });
  expect(await bruce(["check", "gone.toml"])).toEqual({
    code: 2,
    stdout: "",
    stderr: "gone.toml: cannot be read: there is no such file\n1 error\n",
  });
});

test("a slow reader gets all of the output", async () => {
  // Much more than a pipe holds, so that the process would be over before the reader comes to the end.
  const rules = Array.from({ length: 20_000 }, (_, index) => `[topics.topic-${index}]\nlinger = "5ms"\n`).join("\n");
  writeFileSync(join(directory, "many.toml"), rules);
  const { code, stdout } = await bruce(["check", "many.toml"]);
  expect(code).toBe(0);
  expect(stdout).toEndWith('[topics."topic-19999"]\nlinger = "5ms"\n');
});

test.if(existsSync("/dev/full"))("output that cannot be written is a failure", async () => {
  const full = openSync("/dev/full", "w");
  try {
    const { code, stderr } = await bruce(["check"], { stdout: full });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^bruce: ENOSPC: no space left on device/)]);
  } finally {
    closeSync(full);
  }
});

test("nobody reading the output is no error", async () => {
  expect(await bruce(["check"], { unread: true })).toEqual({ code: 0, stdout: "", stderr: "" });
});
