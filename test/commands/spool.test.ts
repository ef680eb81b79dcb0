import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPath } from "../../src/commands/spoolPath.ts";
import { directoriesOfTests } from "./spoolDirectory.ts";
import { runSpool } from "./spoolOutput.ts";

const directory = directoriesOfTests();

test("what cannot be meant is wrong usage", async () => {
  const path = directory();
  const cases: [Parameters<typeof runSpool>[0], string][] = [
    [{ action: "lst", path }, 'there is no "lst"; did you mean "ls"? (ls, verify or export)'],
    [{ action: "ls", path, topics: ["t"] }, "--topic is for export, not for ls"],
    [{ action: "verify", path, frames: true }, "--frames is for export, not for verify"],
    [{ action: "export", path, frames: true, json: true }, "--frames and --json exclude each other"],
    [{ action: "ls", path, config: "x" }, "--path and --config exclude each other"],
    [{ action: "ls", path: "" }, "--path is empty"],
  ];
  for (const [options, message] of cases) {
    expect(await runSpool(options)).toMatchObject({ code: 2, out: "", err: `bruce spool: ${message}\n` });
  }
  const { code, err } = await runSpool({ action: "export", path, frames: true }, { isTTY: true });
  expect([code, err]).toEqual([2, "bruce spool: --frames writes bytes that are not for a terminal: redirect them\n"]);
});

test("a directory that is not there, is none, or is another user's is said to be, with what to do", async () => {
  const path = directory();
  const gone = await runSpool({ action: "ls", path: join(path, "gone") });
  expect(gone).toMatchObject({ code: 1, out: "" });
  expect(gone.err).toStartWith(`bruce spool: ${join(path, "gone")}: there is no such directory`);
  writeFileSync(join(path, "file"), "");
  expect((await runSpool({ action: "ls", path: join(path, "file") })).err).toContain("it is no directory");
  expect((await runSpool({ action: "ls", path: join(path, "file", "x") })).err).toContain("a part of its path");
  mkdirSync(join(path, "other"));
  for (const action of ["ls", "verify", "export"]) {
    const other = await runSpool({ action, path: join(path, "other") });
    expect(other).toMatchObject({ code: 1, out: "", err: expect.stringContaining("no disk buffer is in it") });
    // Nobody asked for the system's daemon.
    expect(gone.err + other.err).not.toContain("sudo bruce");
  }
  // Root may read everything.
  if (process.getuid?.() !== 0) {
    chmodSync(path, 0);
    expect((await runSpool({ action: "ls", path })).err).toContain("run this as the user of the daemon");
    chmodSync(path, 0o700);
  }
});

test("the directory is that of the configuration", async () => {
  const home = directory();
  const state = directory();
  mkdirSync(join(home, "bruce"));
  const file = join(home, "bruce", "bruce.toml");
  const env = { XDG_CONFIG_HOME: home };
  writeFileSync(file, `[buffer]\npath = "${state}"\n`);
  expect(findPath({ env, uid: 7 })).toEqual({ path: state, warning: undefined });
  expect((await runSpool({ action: "ls", json: true }, { env })).out).toContain(JSON.stringify(state));

  // Wrong for reasons that need not be the daemon's.
  writeFileSync(file, `[buffer]\npath = "${state}"\n[kafka]\nclient_id = "\${NOT_SET}"\n`);
  const { code, err } = await runSpool({ action: "ls", json: true }, { env });
  expect(code).toBe(0);
  expect(err).toContain("NOT_SET");
  expect(err).toContain(`looking at ${state}`);
  expect(findPath({ config: file, env, uid: 7 })).toMatchObject({ failure: "usage" });

  writeFileSync(file, `[buffer]\npath = "${join(state, "gone")}"\ndisk = 0\n`);
  const memory = await runSpool({ action: "ls" }, { env });
  expect(memory.code).toBe(1);
  expect(memory.err).toContain("buffer.disk is 0: messages are kept in memory only");
});
