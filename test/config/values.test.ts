// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what is tested
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatConfigErrors, loadSettings } from "../../src/config/load.ts";
import { defaultSettings } from "../../src/config/settings.ts";
import { errors, load, ROOT } from "./support.ts";

test("an empty configuration gives the defaults", () => {
  expect(load("")).toEqual(defaultSettings(ROOT));
});

test("values come in bytes and milliseconds", () => {
  const settings = load(`
    [kafka]
    brokers = ["kafka-1:9092", "[::1]:9093"]
    acks = 0
    idempotence = false
    [input]
    datagram = { mode = "0660", max_message = 2048, when_full = "block" }
    tcp = { enabled = true, listen = "[::]:0" }
    [buffer]
    memory = "1G"
    [batch]
    linger = 0
    [delivery]
    backoff_max = "15m"`);
  expect(settings.kafka.brokers).toEqual([
    { host: "kafka-1", port: 9092 },
    { host: "::1", port: 9093 },
  ]);
  expect(settings.kafka.acks).toBe(0);
  expect(settings.input.datagram).toMatchObject({ mode: 0o660, maxMessage: 2048, whenFull: "block" });
  expect(settings.input.tcp.listen).toEqual({ host: "::", port: 0 });
  expect(settings.buffer.memory).toBe(1024 ** 3);
  expect(settings.batch.linger).toBe(0);
  expect(settings.delivery.backoffMax).toBe(900_000);
});

test("the disk buffer is set by size, time and words", () => {
  const buffer = (text: string) => load(`[buffer]\n${text}`).buffer;
  expect(buffer('disk = "4g"\nsync = "250ms"')).toMatchObject({ disk: 4 * 1024 ** 3, sync: 250 });
  expect(buffer('sync = "always"').sync).toBe("always");
  expect(buffer('sync = "never"').sync).toBe("never");
  expect(load('input.stream.when_full = "drop_oldest"').input.stream.whenFull).toBe("drop_oldest");
});

test("what is not set fits the size of the disk buffer", () => {
  const MB = 1024 ** 2;
  const sizes = (text: string) => {
    const { segment, held } = load(`[buffer]\n${text}`).buffer;
    return { segment: segment / MB, held: held / MB };
  };
  expect(sizes('disk = "0"')).toEqual({ segment: 64, held: 1024 });
  expect(sizes('disk = "100g"')).toEqual({ segment: 64, held: 1024 });
  expect(sizes('disk = "64m"')).toEqual({ segment: 8, held: 16 });
  expect(sizes('disk = "64m"\nsegment = "1m"\nheld = "60m"')).toEqual({ segment: 1, held: 60 });
});

test("nothing is minus nothing", () => {
  expect(Object.is(load("batch.messages = -0").batch.messages, 0)).toBe(true);
});

test("brokers may be one string with commas", () => {
  expect(load('kafka.brokers = "${BROKERS}"', { env: { BROKERS: "a:1, b:2" } }).kafka.brokers).toEqual([
    { host: "a", port: 1 },
    { host: "b", port: 2 },
  ]);
});

test("variables are expanded in strings, and nowhere else", () => {
  const env = { NAME: "x", EMPTY: "", N: "3", ON: "true", DOLLARS: "$$${NAME}" };
  expect(load('kafka.client_id = "${NAME}-$${NAME}-$$-$NAME-${EMPTY}"', { env }).kafka.clientId).toBe(
    "x-${NAME}-$-$NAME-",
  );
  // What a variable holds is not expanded again.
  expect(load('kafka.client_id = "${DOLLARS}"', { env }).kafka.clientId).toBe("$$${NAME}");
  expect(load('kafka.max_in_flight = "${N}"\ninput.tcp.enabled = "${ON}"', { env }).kafka.maxInFlight).toBe(3);
  expect(errors('"${NAME}" = 1', { env })).toEqual(['bruce.toml:1:1: "${NAME}": unknown setting']);
  expect(errors('kafka.max_in_flight = "3"', { env })).toEqual([
    'bruce.toml:1:23: kafka.max_in_flight: got "3"; must be an integer from 1 to 100',
  ]);
});

test("a socket that is not opened may have any path", () => {
  const path = `/${"x".repeat(200)}`;
  expect(load(`[input.datagram]\nenabled = false\npath = "${path}"`).input.datagram.path).toBe(path);
});

test("the file's place is optional, a file that is named is not", () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-config-"));
  try {
    const env = { XDG_CONFIG_HOME: directory, XDG_RUNTIME_DIR: "/run/user/7" };
    expect(loadSettings({ env, uid: 7 })).toEqual({ settings: defaultSettings({ env, uid: 7 }), file: undefined });
    mkdirSync(join(directory, "bruce"));
    const file = join(directory, "bruce", "bruce.toml");
    writeFileSync(file, '\ufeff[kafka]\nclient_id = "found"\n');
    const found = loadSettings({ env, uid: 7 });
    expect("settings" in found && [found.settings.kafka.clientId, found.file]).toEqual(["found", file]);

    const failing = (path: string): string => {
      const loaded = loadSettings({ file: path, env, uid: 7 });
      return "errors" in loaded ? formatConfigErrors(loaded.errors) : "";
    };
    expect(failing(`${file}.gone`)).toBe(`${file}.gone: cannot be read: there is no such file`);
    expect(failing(directory)).toBe(`${directory}: cannot be read: it is a directory`);
    expect(failing(`${file}/x`)).toBe(`${file}/x: cannot be read: a part of its path is no directory`);
    writeFileSync(file, Buffer.from([0x61, 0xff]));
    expect(failing(file)).toBe(`${file}: is not UTF-8 text`);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
