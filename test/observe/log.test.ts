import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, type LogSettings } from "../../src/observe/log.ts";
import { rateLimited } from "../../src/observe/logLimit.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function capture(settings: Partial<LogSettings> = {}, isTTY = false, env: NodeJS.ProcessEnv = {}) {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line), isTTY };
  return { lines, log: createLogger({ level: "info", format: "json", file: "", ...settings }, stream, env) };
}

function messagesIn(file: string): string[] {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line).msg);
}

const SECRETS = {
  password: "hunter2",
  kafka: { sasl: { mechanism: "plain", username: "bruce", password: "hunter2" } },
  config: { deep: { list: [{ client_secret: "hunter2" }, { clientSecret: "hunter2" }] } },
  headers: { Authorization: "Bearer hunter2", "Set-Cookie": "id=hunter2", "x-api-key": "hunter2" },
  access_token: "hunter2",
  token: Buffer.from("hunter2"),
  tls: { key_passphrase: "hunter2", private_key: "hunter2" },
  url: "https://bruce:hunter2@auth.example/token",
  map: new Map([["password", "hunter2"]]),
  error: Object.assign(new Error("cannot reach https://bruce:hunter2@auth.example"), { password: "hunter2" }),
};

for (const format of ["json", "text", "journal"] as const) {
  test(`no secret is written, however deep it sits (${format})`, () => {
    const { lines, log } = capture({ format, level: "debug" });
    log.error("failed with https://u:hunter2@host/", SECRETS);
    log.child(SECRETS).warn("and again", { nested: { error: new Error("x", { cause: SECRETS.error }) } });
    expect(lines).toHaveLength(2);
    expect(lines.join("")).not.toContain("hunter2");
    expect(lines.join("")).not.toContain(Buffer.from("hunter2").toString("base64"));
    expect(lines[0]).toContain("[redacted]");
  });

  test(`nobody forges a line or steers a terminal through what is logged (${format})`, () => {
    const { lines, log } = capture({ format });
    log.warn("first\n<0>second\u001b[31m\u009b1m\u2028third", {
      topic: "a\nb\u001b[2J\u009b1m",
      error: new Error("x\ny"),
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.trimEnd().split("\n")).toHaveLength(1);
    expect(lines[0]).not.toContain("\u001b");
    if (format !== "json") expect(lines[0]).not.toMatch(/[\u0080-\u009f\u2028]/);
  });
}

test("harmless fields are written as they are", () => {
  const { lines, log } = capture();
  const fields = {
    topic: "clicks",
    token_url: "https://auth/",
    password_file: "/run/x",
    key: "k",
    tokens: 3,
    tls: true,
  };
  log.info("ready", fields);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "info", msg: "ready", ...fields });
});

test("errors, big integers, bytes, cycles and fields that pino uses itself can all be logged", () => {
  const { lines, log } = capture();
  const cycle: Record<string, unknown> = { name: "cycle" };
  cycle.self = cycle;
  log.error("odd", {
    level: "mine",
    n: 2n ** 70n,
    bytes: new Uint8Array(5),
    cycle,
    error: new TypeError("no"),
    f() {},
  });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "error",
    level_: "mine",
    n: "1180591620717411303424",
    bytes: "[5 bytes]",
    cycle: { name: "cycle", self: "[circular]" },
    error: { type: "TypeError", message: "no" },
  });
});

test("what cannot be read does not stop who logs it", () => {
  const { lines, log } = capture();
  const trap = {
    get value(): string {
      throw new Error("no");
    },
  };
  log.info("trapped", { trap, rest: 1 });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ trap: "[unreadable]", rest: 1, msg: "trapped" });
});

test("journald gets its level prefixes", () => {
  const { lines, log } = capture({ format: "journal", level: "debug" });
  log.debug("d");
  log.info("i", { n: 1, text: "two words" });
  log.warn("w");
  log.error("e");
  expect(lines).toEqual(["<7>d\n", '<6>i n=1 text="two words"\n', "<4>w\n", "<3>e\n"]);
});

test("the automatic format is text on a terminal and json elsewhere, also under an inherited JOURNAL_STREAM", () => {
  const terminal = capture({ format: "auto" }, true, { NO_COLOR: "1" });
  terminal.log.info("hello", { a: 1 });
  expect(terminal.lines[0]).toMatch(/^\[\d{4}-\d\d-\d\d .*\] INFO: hello \{"a":1\}\n$/);
  const pipe = capture({ format: "auto" }, false, { JOURNAL_STREAM: "1:1" });
  pipe.log.info("hello");
  expect(JSON.parse(pipe.lines[0] ?? "")).toMatchObject({ msg: "hello" });
});

test("the level holds for children, and can be changed while running", () => {
  const { lines, log } = capture({ level: "warn" });
  const child = log.child({ broker: "kafka-1:9092" });
  child.info("no");
  log.setLevel("debug");
  child.debug("yes");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ msg: "yes", broker: "kafka-1:9092" }]);
});

test("a file is appended to, and opened anew after it was moved away", () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-log-"));
  directories.push(directory);
  const file = join(directory, "bruce.log");
  const log = createLogger({ level: "info", format: "json", file });
  log.info("one");
  renameSync(file, `${file}.1`);
  log.info("two");
  log.reopen();
  log.info("three");
  expect(messagesIn(`${file}.1`)).toEqual(["one", "two"]);
  expect(messagesIn(file)).toEqual(["three"]);
});

test("a file that cannot be opened anew is no reason to stop: the old one is written on, and says so", () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-log-"));
  directories.push(directory);
  const [before, after] = [join(directory, "before"), join(directory, "after")];
  mkdirSync(before);
  const log = createLogger({ level: "info", format: "json", file: join(before, "bruce.log") });
  log.info("one");
  renameSync(before, after);
  log.reopen();
  log.info("two");
  expect(messagesIn(join(after, "bruce.log"))).toEqual([
    "one",
    expect.stringContaining("cannot be opened anew"),
    "two",
  ]);
  mkdirSync(before);
  log.reopen();
  log.info("three");
  expect(messagesIn(join(before, "bruce.log"))).toEqual(["three"]);
});

test("a file that cannot be opened is an error, not a silent loss", () => {
  expect(() => createLogger({ level: "info", format: "json", file: "/no/such/directory/bruce.log" })).toThrow(/ENOENT/);
});

test("a pipe that nobody reads from is an error, not the end of all work until somebody does", () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-log-"));
  directories.push(directory);
  const pipe = join(directory, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  const log = createLogger({ level: "info", format: "json", file: join(directory, "first") });
  expect(log.prepare({ level: "info", format: "json", file: pipe })).toEqual({
    problem: `the log file ${pipe} (log.file) cannot be opened: nobody reads from this pipe (ENXIO)`,
  });
});

test("other settings can be put in force while it is written: level, format and file, also for its children", () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-log-"));
  directories.push(directory);
  const [first, second] = [join(directory, "first"), join(directory, "second")];
  const log = createLogger({ level: "warn", format: "json", file: first });
  const child = log.child({ broker: 1 });
  child.info("no");
  child.warn("one");
  const prepared = log.prepare({ level: "debug", format: "json", file: second });
  if ("problem" in prepared) throw new Error(prepared.problem);
  child.warn("two");
  prepared.use();
  child.debug("three");
  renameSync(second, `${second}.1`);
  child.reopen();
  log.info("four");
  expect(messagesIn(first)).toEqual(["one", "two"]);
  expect(messagesIn(`${second}.1`)).toEqual(["three"]);
  expect(messagesIn(second)).toEqual(["four"]);
});

test("a file that cannot be opened, or a change that is called off, leaves all as it was", () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-log-"));
  directories.push(directory);
  const [first, second] = [join(directory, "first"), join(directory, "second")];
  const log = createLogger({ level: "info", format: "json", file: first });
  expect(log.prepare({ level: "debug", format: "text", file: join(directory, "no/such") })).toEqual({
    problem: expect.stringMatching(/no\/such \(log\.file\) cannot be opened: ENOENT/),
  });
  const prepared = log.prepare({ level: "debug", format: "text", file: second });
  if ("drop" in prepared) prepared.drop();
  log.debug("no");
  log.info("yes");
  expect(messagesIn(first)).toEqual(["yes"]);
  expect(readFileSync(second, "utf8")).toBe("");
});

test("the form of the lines can change on the same stream", () => {
  const { lines, log } = capture();
  const prepared = log.prepare({ level: "info", format: "journal", file: "" });
  if ("use" in prepared) prepared.use();
  log.info("hello", { n: 1 });
  expect(lines).toEqual(["<6>hello n=1\n"]);
});

test("a full disk does not stop the process", () => {
  const log = createLogger({ level: "info", format: "json", file: "/dev/full" });
  for (let i = 0; i < 1000; i++) log.info("x".repeat(2000));
});

test("the same warning is written once per interval, with the number left out", () => {
  const { lines, log } = capture();
  let time = 0;
  const limited = rateLimited(log, 1000, () => time);
  for (time = 0; time < 2500; time += 10) limited.warn("broker is down", { broker: "a" });
  limited.warn("broker is down", { broker: "b" }, "broker b is down");
  limited.error("broker is down");
  const written = lines.map((line) => JSON.parse(line));
  expect(written.map(({ level, broker, repeated }) => [level, broker, repeated])).toEqual([
    ["warn", "a", undefined],
    ["warn", "a", 99],
    ["warn", "a", 99],
    ["warn", "b", undefined],
    ["error", undefined, undefined],
  ]);
});

test("a clock set back does not silence warnings, and countless keys take no countless memory", () => {
  const { lines, log } = capture();
  let time = 1_000_000;
  const limited = rateLimited(log, 1000, () => time);
  limited.warn("a");
  time = 0;
  limited.warn("a");
  expect(lines).toHaveLength(2);
  for (let i = 0; i < 1001; i++) limited.warn("b", {}, `topic ${i}`);
  limited.warn("b", {}, "topic 1000");
  expect(lines).toHaveLength(1003);
});
