// Reading the configuration again: all of it or nothing, told without secrets, whatever comes when.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "../src/config/load.ts";
import type { Settings } from "../src/config/settings.ts";
import { openSecurity, type SecuritySource } from "../src/kafka/security.ts";
import { createLogger } from "../src/observe/log.ts";
import { type Changed, Reloader } from "../src/reload.ts";

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-reload-"));
  file = join(directory, "bruce.toml");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Bench {
  settings: Settings;
  reloader: Reloader;
  security: { current: SecuritySource };
  /** What the daemon was told, each time. */
  told: Changed[];
  lines: Record<string, unknown>[];
  write(text: string): void;
  /** Writes it, reads it, and gives the lines logged. */
  reload(text: string): Record<string, unknown>[];
}

interface BenchOptions {
  set?: string[];
  env?: Record<string, string>;
  /** Without it, there is none at first. */
  text?: string;
  /** Not given on the command line: at the default place. */
  byDefault?: boolean;
  start?: boolean;
}

function bench({ set = [], env = {}, text, byDefault = false, start = true }: BenchOptions = {}): Bench {
  const place = byDefault ? join(directory, "bruce", "bruce.toml") : file;
  if (byDefault) mkdirSync(join(directory, "bruce"));
  const write = (content: string) => writeFileSync(place, content, { mode: 0o600 });
  if (text !== undefined) write(text);
  const surroundings = { ...env, XDG_CONFIG_HOME: directory };
  const load = () => loadSettings({ file: byDefault ? undefined : file, set, env: surroundings, uid: 1000 });
  const loaded = load();
  if ("errors" in loaded) throw new Error(JSON.stringify(loaded.errors));
  const { settings } = loaded;
  const opened = openSecurity(settings.kafka);
  if ("problem" in opened) throw new Error(opened.problem);
  const lines: Bench["lines"] = [];
  const log = createLogger(settings.log, { write: (line) => lines.push(JSON.parse(line)) });
  const security = { current: opened.security };
  const reloader = new Reloader({ settings, file: loaded.file, load, openSecurity, security, log });
  const told: Changed[] = [];
  if (start) reloader.start({ settingsChanged: (changed) => void told.push(changed) });
  const reload = (content: string) => {
    write(content);
    const before = lines.length;
    reloader.reload();
    return lines.slice(before);
  };
  return { settings, reloader, security, told, lines, write, reload };
}

const NEXT_TURN = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe("a good file", () => {
  test("changes the settings in place, and the log says from what to what", () => {
    const { settings, reload, told, reloader } = bench({ text: 'batch.linger = "5ms"' });
    const { batch } = settings;
    const lines = reload('batch.linger = "7ms"\nkafka.brokers = ["a:1"]');
    expect(lines).toMatchObject([
      {
        level: "info",
        msg: "configuration read again",
        file,
        changed: ['kafka.brokers: ["localhost:9092"] -> ["a:1"]', 'batch.linger: "5ms" -> "7ms"'],
      },
    ]);
    expect(batch.linger).toBe(7);
    expect(settings.batch).toBe(batch);
    const [changed] = told;
    expect([changed?.("batch.linger"), changed?.("batch"), changed?.("kafka.sasl", "kafka.brokers")]).toEqual([
      true,
      true,
      true,
    ]);
    expect([changed?.("batch.lin"), changed?.("kafka.client_id"), changed?.("kafka.sasl")]).toEqual([
      false,
      false,
      false,
    ]);
    expect(reloader.status).toMatchObject({ file, error: null, failed_at: null, restart_needed: [] });
  });

  test("in which nothing is new: says so", () => {
    const { reload } = bench({ text: 'batch.linger = "5ms"' });
    expect(reload('# other words\n[batch]\nlinger = "5ms"')).toMatchObject([{ level: "info", changed: "nothing" }]);
  });

  test("what needs a restart is named, stays as it is, and is named until it is put back", () => {
    const { settings, reload, reloader } = bench({ text: "" });
    const lines = reload('http.listen = "127.0.0.1:1"\nbatch.linger = "7ms"');
    expect(lines).toMatchObject([
      { level: "info", changed: ['batch.linger: "50ms" -> "7ms"'] },
      { level: "warn", settings: ['http.listen: "127.0.0.1:9090" -> "127.0.0.1:1"'] },
    ]);
    expect(settings.http.listen.port).toBe(9090);
    expect(reloader.status.restart_needed).toEqual(["http.listen"]);
    expect(reload('http.listen = "127.0.0.1:1"\nbatch.linger = "7ms"')).toMatchObject([
      { level: "info", changed: "nothing" },
      { level: "warn" },
    ]);
    expect(reload('batch.linger = "7ms"')).toMatchObject([{ level: "info", changed: "nothing" }]);
    expect(reloader.status.restart_needed).toEqual([]);
  });

  test("--set stays in force over it, and variables are those of the start", () => {
    const { settings, reload } = bench({ text: "", set: ["batch.linger=1ms"], env: { BROKER: "first:1" } });
    const variable = (name: string) => ["$", "{", name, "}"].join("");
    reload(`batch.linger = "9ms"\nkafka.brokers = "${variable("BROKER")}"`);
    expect(settings.batch.linger).toBe(1);
    expect(settings.kafka.brokers).toEqual([{ host: "first", port: 1 }]);
    const [line] = reload(`kafka.client_id = "${variable("OTHER")}"`);
    expect(line).toMatchObject({ level: "error", errors: [expect.stringContaining("OTHER is not set")] });
  });

  test("that has come to the default place since the start is read", () => {
    const { settings, reload, reloader } = bench({ byDefault: true });
    expect(reloader.status.file).toBeNull();
    reload('batch.linger = "9ms"');
    expect(settings.batch.linger).toBe(9);
    expect(reloader.status.file).toBe(join(directory, "bruce", "bruce.toml"));
  });
});

describe("anything that is wrong changes nothing at all", () => {
  const GOOD = 'batch.linger = "5ms"';

  function expectUntouched({ settings, told }: Bench): void {
    expect(settings.batch.linger).toBe(5);
    expect(told).toEqual([]);
  }

  test("every mistake in the file is named, with file, line, what is there and what may be", () => {
    const it = bench({ text: GOOD });
    const [line] = it.reload('batch.linger = 7\nbatch.byte = 1\nlog.level = "debug"\nkafka.sasl.password = 5');
    expect(line?.level).toBe("error");
    expect(line?.errors).toEqual([
      expect.stringContaining(`${file}:1:16: batch.linger: got 7; must be a duration`),
      expect.stringMatching(/:2:7: batch\.byte: unknown setting; did you mean "bytes"\?/),
      expect.stringMatching(/:4:23: kafka\.sasl\.password: got a value that is not shown/),
    ]);
    expectUntouched(it);
    expect(it.reloader.status.error).toContain("batch.linger");
    expect(it.reloader.status.failed_at).toBeGreaterThan(0);
    it.lines.length = 0;
    it.reload(GOOD);
    expect(it.reloader.status).toMatchObject({ error: null, failed_at: null });
  });

  test("what is no TOML, and what are no bytes of text", () => {
    const it = bench({ text: GOOD });
    expect(it.reload("[batch")).toMatchObject([
      { level: "error", errors: [expect.stringContaining("not valid TOML")] },
    ]);
    writeFileSync(file, Buffer.from([0xff, 0xfe, 0]));
    it.reloader.reload();
    expect(it.lines.at(-1)).toMatchObject({ level: "error", errors: [expect.stringContaining("UTF-8")] });
    expectUntouched(it);
  });

  test("a file that is gone, given or at the default place", () => {
    const given = bench({ text: GOOD });
    rmSync(file);
    given.reloader.reload();
    expect(given.lines).toMatchObject([{ level: "error", errors: [expect.stringContaining("no such file")] }]);
    expectUntouched(given);
    const byDefault = bench({ text: GOOD, byDefault: true });
    rmSync(join(directory, "bruce", "bruce.toml"));
    byDefault.reloader.reload();
    expect(byDefault.lines).toMatchObject([{ level: "error", errors: [expect.stringContaining("no such file")] }]);
    expectUntouched(byDefault);
  });

  test("a file with nothing in it, as it is for a moment while somebody writes it; a comment says that it is meant", () => {
    const it = bench({ text: GOOD });
    for (const nothing of ["", "\n \n"])
      expect(it.reload(nothing)).toMatchObject([
        { level: "error", errors: [expect.stringContaining(`${file}: there is nothing in it`)] },
      ]);
    expectUntouched(it);
    expect(it.reload("# the defaults")).toMatchObject([{ level: "info", changed: ['batch.linger: "5ms" -> "50ms"'] }]);
    expect(it.reload("")).toMatchObject([{ level: "info", changed: "nothing" }]);
  });

  test("a certificate or password file that cannot be read, or a log file that cannot be opened", () => {
    const it = bench({ text: GOOD });
    const sasl = `kafka.sasl = { mechanism = "plain", username = "u", password_file = "${directory}/none" }`;
    expect(it.reload(`batch.linger = "9ms"\n${sasl}`)).toMatchObject([
      { level: "error", errors: [expect.stringMatching(/kafka\.sasl\.password_file: .*none/)] },
    ]);
    const tls = `kafka.tls = { enabled = true, ca = "${file}" }`;
    expect(it.reload(`batch.linger = "9ms"\n${tls}`)).toMatchObject([
      { level: "error", errors: [expect.stringContaining("kafka.tls.ca")] },
    ]);
    expectUntouched(it);
  });

  test("a hundred mistakes make one line of bounded length", () => {
    const it = bench({ text: GOOD });
    const [line, ...others] = it.reload(Array.from({ length: 100 }, (_, i) => `wrong${i} = 1`).join("\n"));
    expect(others).toEqual([]);
    const { errors } = line as { errors: string[] };
    expect([errors.length, errors.at(-1)]).toEqual([51, "and 50 more"]);
    expectUntouched(it);
  });
});

test("a log file that cannot be opened changes nothing; one that can goes on there, and the old one says where", () => {
  const [first, second] = [join(directory, "first.log"), join(directory, "second.log")];
  const read = (path: string) =>
    readFileSync(path, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  writeFileSync(file, `log.file = "${first}"`);
  const load = () => loadSettings({ file, env: {}, uid: 1000 });
  const loaded = load();
  if ("errors" in loaded) throw new Error("no settings");
  const { settings } = loaded;
  const log = createLogger(settings.log, undefined, {});
  const security = { current: { forHost: () => ({ ssl: undefined, sasl: undefined }) } };
  const reloader = new Reloader({ settings, file, load, openSecurity, security, log });
  writeFileSync(file, `log.file = "${directory}/no/such"\nlog.level = "error"`);
  reloader.reload();
  expect(read(first)).toMatchObject([{ level: "error", errors: [expect.stringContaining("log.file")] }]);
  writeFileSync(file, `log.file = "${second}"`);
  reloader.reload();
  expect(read(first).at(-1)).toMatchObject({ msg: "the log goes on elsewhere", file: second });
  expect(read(second)).toMatchObject([{ msg: "configuration read again" }]);
  // Before it gets quieter, it says so; when it gets more talkative, right after.
  writeFileSync(file, `log.file = "${second}"\nlog.level = "error"`);
  reloader.reload();
  expect(read(second).at(-1)).toMatchObject({ changed: ['log.level: "info" -> "error"'] });
  log.warn("not written");
  writeFileSync(file, `log.file = "${second}"\nlog.level = "debug"`);
  reloader.reload();
  expect(read(second)).toHaveLength(3);
  expect(read(second).at(-1)).toMatchObject({ changed: ['log.level: "error" -> "debug"'] });
});

describe("credentials", () => {
  const sasl = (more: string) => `kafka.sasl = { mechanism = "scram-sha-256", username = "u", ${more} }`;
  const passwordOf = ({ security }: Bench) => {
    const { sasl: login } = security.current.forHost("h");
    return login !== undefined && "password" in login ? login.password : undefined;
  };

  test("a new password holds for connections made from now on, and is shown nowhere", () => {
    const it = bench({ text: sasl('password = "hunter1"') });
    expect(passwordOf(it)).toBe("hunter1");
    it.reload(sasl('password = "hunter2"'));
    expect(passwordOf(it)).toBe("hunter2");
    expect(it.told[0]?.("kafka.sasl")).toBe(true);
    expect(it.lines).toMatchObject([{ changed: ["kafka.sasl.password changed"] }]);
    expect(JSON.stringify([it.lines, it.reloader.status])).not.toContain("hunter");
  });

  test("a password in a file that everybody may read is warned of", () => {
    const it = bench({ text: sasl('password = "hunter1"') });
    chmodSync(file, 0o644);
    const warning = { level: "warn", msg: `kafka.sasl.password: everybody may read ${file}: chmod o-r` };
    expect(it.reload(sasl('password = "hunter2"'))).toMatchObject([warning, { level: "info" }]);
  });

  test("a password file whose content changed counts as a change, though no setting did; the same content does not", () => {
    const path = join(directory, "password");
    writeFileSync(path, "hunter1\n", { mode: 0o600 });
    const text = sasl(`password_file = "${path}"`);
    const it = bench({ text });
    const first = it.security.current;
    it.reload(text);
    expect(it.security.current).toBe(first);
    writeFileSync(path, "hunter2\n");
    expect(it.reload(text)[0]).toMatchObject({ changed: ["kafka.sasl.password_file: the file's content changed"] });
    expect(passwordOf(it)).toBe("hunter2");
    expect(it.told.map((changed) => changed("kafka.sasl"))).toEqual([false, true]);
    rmSync(path);
    expect(it.reload(text)).toMatchObject([{ level: "error" }]);
    expect(passwordOf(it)).toBe("hunter2");
  });
});

describe("when it is asked for", () => {
  test("many times in a row, what was written last holds, and it is read few times", async () => {
    const it = bench({ text: "" });
    for (let i = 1; i <= 100; i++) {
      it.write(i % 2 === 0 ? `batch.linger = "${i}ms"` : "wrong = 1");
      it.reloader.request();
    }
    await NEXT_TURN();
    expect(it.settings.batch.linger).toBe(100);
    expect(it.lines).toHaveLength(1);
  });

  test("while bruce starts, it is obeyed once it has started", async () => {
    const it = bench({ text: "", start: false });
    it.write('batch.linger = "9ms"');
    it.reloader.request();
    await NEXT_TURN();
    expect(it.settings.batch.linger).toBe(50);
    it.reloader.start({ settingsChanged: (changed) => void it.told.push(changed) });
    await NEXT_TURN();
    expect(it.settings.batch.linger).toBe(9);
    expect(it.told).toHaveLength(1);
  });

  test("while bruce stops, nothing changes any more, also by what was asked for just before", async () => {
    const it = bench({ text: "" });
    it.write('batch.linger = "9ms"');
    it.reloader.request();
    it.reloader.stop();
    it.reloader.request();
    await NEXT_TURN();
    expect(it.settings.batch.linger).toBe(50);
    expect(it.lines).toMatchObject([{ level: "warn", msg: expect.stringContaining("bruce is stopping") }]);
  });

  test("a part of bruce that fails to take it over does not end the process, and the status says so", () => {
    const it = bench({ text: "", start: false });
    it.reloader.start({
      settingsChanged() {
        throw new Error("oh");
      },
    });
    expect(it.reload('batch.linger = "9ms"').at(-1)).toMatchObject({ level: "error", why: "oh" });
    expect(it.reloader.status.error).toContain("restart bruce: oh");
  });
});
