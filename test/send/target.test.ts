// Which socket the client chooses.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseTarget } from "../../src/send/target.ts";

const MAX_MESSAGE = 16 * 1024 * 1024;
let home: string;
let env: Record<string, string>;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "bruce-target-"));
  env = { HOME: home, XDG_RUNTIME_DIR: join(home, "run"), XDG_CONFIG_HOME: join(home, "config") };
});

afterEach(() => rmSync(home, { recursive: true }));

function configure(text: string): string {
  mkdirSync(join(home, "config", "bruce"), { recursive: true });
  const file = join(home, "config", "bruce", "bruce.toml");
  writeFileSync(file, text);
  return file;
}

test("without a configuration: where the daemon of this user listens", () => {
  const path = join(home, "run", "bruce", "bruce.stream.sock");
  expect(chooseTarget({ env, uid: 1000 })).toEqual({ target: { kind: "unix", path }, maxMessage: MAX_MESSAGE });
});

test("with the daemon's configuration: where that says, with its limit", () => {
  configure('[input.stream]\npath = "/tmp/elsewhere"\nmax_message = "1m"\n');
  const target = { kind: "unix" as const, path: "/tmp/elsewhere" };
  expect(chooseTarget({ env, uid: 1000 })).toEqual({ target, maxMessage: 1024 * 1024 });
});

test("--socket and --tcp need no configuration, not even a right one", () => {
  configure("nonsense");
  const unix = { target: { kind: "unix", path: "/tmp/s" }, maxMessage: MAX_MESSAGE };
  expect(chooseTarget({ socket: "/tmp/s", env, uid: 1000 })).toEqual(unix as never);
  const tcp = { target: { kind: "tcp", host: "::1", port: 9 }, maxMessage: MAX_MESSAGE };
  expect(chooseTarget({ tcp: "[::1]:9", env, uid: 1000 })).toEqual(tcp as never);
});

test("a configuration that is wrong elsewhere still tells the path, with a warning", () => {
  const file = configure('[kafka]\nclient_id = 7\n[input.stream]\npath = "/tmp/elsewhere"\n');
  const chosen = chooseTarget({ env, uid: 1000 });
  expect(chosen).toMatchObject({ target: { path: "/tmp/elsewhere" } });
  expect("warning" in chosen && chosen.warning).toContain(`${file}:2:1`);
});

test("a configuration named with --config must be right", () => {
  const file = configure("[input.stream]\npaht = 1\n");
  expect(chooseTarget({ config: file, env, uid: 1000 })).toEqual({ problem: expect.stringContaining("paht") } as never);
});

test("a daemon without a stream socket is said to have none", () => {
  configure("[input.stream]\nenabled = false\n");
  expect(chooseTarget({ env, uid: 1000 })).toEqual({ problem: expect.stringContaining("--tcp or --socket") } as never);
});
