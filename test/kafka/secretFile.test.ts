import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSecretFile } from "../../src/kafka/secretFile.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-secret-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(content: string | Uint8Array, mode = 0o600): string {
  const path = join(directory, crypto.randomUUID());
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

test.each(["secret\n", "secret\r\n", "secret"])("a line end behind it is no part of it: %j", (content) => {
  expect(readSecretFile(file(content))).toEqual({ secret: "secret", exposed: false });
});

test("spaces are a part of it", () => {
  expect(readSecretFile(file("  a b \n"))).toEqual({ secret: "  a b ", exposed: false });
});

test("one that everybody may read is told of", () => {
  expect(readSecretFile(file("secret", 0o644))).toEqual({ secret: "secret", exposed: true });
  expect(readSecretFile(file("secret", 0o640))).toEqual({ secret: "secret", exposed: false });
});

test.each<[string | Uint8Array, string]>([
  ["", "is empty"],
  ["\n", "is empty"],
  ["hunter2\n\n", "has more than one line"],
  ["user\nhunter2\n", "has more than one line"],
  ["x".repeat(70_000), "is larger than 64 KiB"],
  [new Uint8Array([0xff, 0xfe]), "is not UTF-8 text"],
])("a problem names the file, and nothing of what is in it", (content, reason) => {
  const path = file(content);
  const read = readSecretFile(path);
  const problem = "problem" in read ? read.problem : "none";
  expect(problem).toStartWith(`${path} ${reason}`);
  expect(problem).not.toContain("hunter2");
});

test("one that is not there, or is a directory", () => {
  expect(readSecretFile("/nowhere/secret")).toEqual({
    problem: "/nowhere/secret cannot be read: there is no such file",
  });
  expect(readSecretFile(directory)).toEqual({ problem: `${directory} cannot be read: it is a directory` });
});

test("a secret that was taken for the path of its file is not shown", () => {
  for (const path of ["hunter2", "hunter2/x", "x".repeat(300)]) {
    expect(readSecretFile(path)).toEqual({ problem: "it must be the path of a file, and there is no such file" });
  }
});
