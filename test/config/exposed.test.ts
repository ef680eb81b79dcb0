import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "../../src/config/load.ts";
import { ROOT } from "./support.ts";

let directory: string;
let file: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-exposed-"));
  file = join(directory, "bruce.toml");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const login = (password: string) => `mechanism = "plain", username = "u", password = "${password}"`;

function warnings(mode: number, text: string, set: string[] = []): string[] {
  writeFileSync(file, text);
  chmodSync(file, mode);
  const loaded = loadSettings({ ...ROOT, file, set, env: { PASSWORD: "hunter2" } });
  if ("errors" in loaded) throw new Error(JSON.stringify(loaded.errors));
  return loaded.warnings ?? [];
}

test("a secret in a file that everybody may read is told of, and not shown", () => {
  const text = `kafka.sasl = { ${login("hunter2")} }`;
  expect(warnings(0o644, text)).toEqual([`kafka.sasl.password: everybody may read ${file}: chmod o-r`]);
  expect(warnings(0o640, text)).toEqual([]);
});

test("the name of a variable is no secret, nor is a file without any", () => {
  const variable = ["$", "{PASSWORD}"].join("");
  expect(warnings(0o644, `kafka.sasl = { ${login(variable)} }`)).toEqual([]);
  expect(warnings(0o644, 'kafka.brokers = "a:1"')).toEqual([]);
});

test("so is one on the command line, whoever may read the file", () => {
  const told = ["kafka.sasl.password: everybody may read command lines: leave it out of --set"];
  expect(warnings(0o600, `kafka.sasl = { ${login("hunter1")} }`, ["kafka.sasl.password=hunter2"])).toEqual(told);
  expect(warnings(0o644, "", [`kafka.sasl={ ${login("hunter2")} }`])).toEqual(told);
});
