import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkCommand } from "../../src/commands/check.ts";
import { loadSettings } from "../../src/config/load.ts";
import { defaultSettings } from "../../src/config/settings.ts";

const directory = mkdtempSync(join(tmpdir(), "bruce-check-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs the command as a user who has nothing configured. */
async function check(text: string | undefined, set: string[] = []) {
  const file = text === undefined ? undefined : join(directory, "bruce.toml");
  if (file !== undefined) writeFileSync(file, text ?? "");
  const [stdout, stderr]: string[][] = [[], []];
  const env = { HOME: directory, TMPDIR: "/tmp" };
  const code = await checkCommand(
    { file, set },
    {
      stdout: { write: (part) => stdout?.push(part) },
      stderr: { write: (part) => stderr?.push(part) },
      ...{ env, uid: 7 },
    },
  );
  return { code, stdout: stdout?.join(""), stderr: stderr?.join(""), env };
}

test("a good file exits with 0 and prints all settings, which load to the same", async () => {
  const { code, stdout, stderr, env } = await check('[batch]\nlinger = "5ms"\n', ["log.level=warn"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toStartWith(`# Valid: ${directory}/bruce.toml. All settings, defaults included:\n\n[kafka]\n`);
  const expected = defaultSettings({ env, uid: 7 });
  expected.batch.linger = 5;
  expected.log.level = "warn";
  expect(loadSettings({ text: stdout, env: {}, uid: 0 })).toEqual({ settings: expected, file: undefined });
});

test("a bad file exits with 2 and says everything that is wrong on stderr", async () => {
  const { code, stdout, stderr } = await check("a = 1\nb = 2\n", ["c=3"]);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toBe(
    `${directory}/bruce.toml:1:1: a: unknown setting\n${directory}/bruce.toml:2:1: b: unknown setting\n` +
      "--set c: unknown setting\n3 errors\n",
  );
});

test("without any file there are the defaults", async () => {
  const { code, stdout } = await check(undefined);
  expect(code).toBe(0);
  expect(stdout).toStartWith("# No configuration file. All settings, defaults included:\n");
});

test("one error is one error", async () => {
  expect((await check("a = 1")).stderr).toEndWith("unknown setting\n1 error\n");
});

test("what is allowed and unwise is warned of, without a secret, and is no error", async () => {
  const { code, stdout, stderr } = await check(
    '[kafka.sasl]\nmechanism = "plain"\nusername = "u"\npassword = "hunter1"\n',
    ["kafka.sasl.password=hunter2"],
  );
  expect(code).toBe(0);
  expect(stderr).toBe(
    "warning: kafka.sasl: plain without kafka.tls lets the network read the secret\n" +
      "warning: kafka.sasl.password: everybody may read command lines: leave it out of --set\n",
  );
  expect(stdout).not.toContain("hunter");
});
