// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what is tested
import { expect, test } from "bun:test";
import { loadSettings } from "../../src/config/load.ts";
import { printSettings } from "../../src/config/print.ts";
import { defaultSettings } from "../../src/config/settings.ts";
import { errors, ROOT } from "./support.ts";

const SECRET = "hunter2";

test("no error shows a secret, however it is written", () => {
  const texts = [
    `[kafka.sasl]\npassword = "${SECRET}"`,
    `[kafka.sasl]\npassword = ["${SECRET}"]`,
    `[kafka.sasl]\npassword = { is = "${SECRET}" }`,
    `[kafka.sasl]\npassword = "${SECRET}`,
    `[kafka.sasl]\npassword = ${SECRET}`,
    `[kafka.sasl]\npasword = "${SECRET}"`,
    `[kafka]\npassword = "${SECRET}"`,
    `[kafka]\nsasl = "${SECRET}"`,
    `[kafka.sasl]\npassword = "pa\${${SECRET}}"`,
    `[kafka.sasl]\npassword = "pa\${${SECRET}-}"`,
    `[kafka.sasl]\nclient_secret = "${SECRET}"`,
    `[kafka.sasl]\nmechanism = "plain"\nusername = "a"\npassword = "${SECRET}"\npassword_file = "/a"`,
    `[kafka.sasl]\nmechanism = "oauthbearer"\npassword = "${SECRET}"`,
    `[kafka.sasl]\ntoken_url = "https://user:${SECRET}@issuer.example/"`,
    `[kafka.sasl]\ntoken_url = "https://user:${SECRET}/1@issuer.example/"`,
    `[kafka.sasl]\ntoken_url = "https://user:1/@${SECRET} 2@issuer.example/"`,
    `[kafka.sasl]\ntoken_url = "issuer.example/token?client_secret=${SECRET}"`,
    `[kafka.sasl]\ntoken_url = "https://issuer.example/token?a=b&client_secret=${SECRET}"`,
    `kafka.brokers = "kafka://user:${SECRET}/1@kafka:9092"`,
    `kafka.brokers = ["kafka:9092?password=${SECRET}"]`,
    `[kafka.tls]\nkey = """-----BEGIN PRIVATE KEY-----\n${SECRET}\n"""`,
    `[kafka.tls]\nkey = "-----BEGIN PRIVATE KEY-----\\\\n${SECRET}"`,
    `topics = "${SECRET}"`,
  ];
  for (const text of texts) {
    const found = errors(text);
    expect(found).not.toBeEmpty();
    expect(found.join("\n")).not.toContain(SECRET);
  }
});

test("no error about --set shows a value that may be a secret", () => {
  for (const set of [
    `kafka.sasl.password=${SECRET}`,
    `kafka.pasword="${SECRET}`,
    `kafka sasl=${SECRET}`,
    `a:${SECRET}`,
  ]) {
    const found = errors("", { set: [set] });
    expect(found).not.toBeEmpty();
    expect(found.join("\n")).not.toContain(SECRET);
  }
});

test("what came from the environment is shown by its name only", () => {
  const env = { LINGER: SECRET, BROKER: SECRET, KAFKA_PASSWORD: SECRET };
  expect(errors('batch.linger = "${LINGER}"\nkafka.brokers = ["a:1", "${BROKER}"]', { env })).toEqual([
    'bruce.toml:1:16: batch.linger: got "${LINGER}"; must be a duration from "0" to "1h", such as "500ms", "30s", "15m" or "24h"',
    'bruce.toml:2:25: kafka.brokers: got "${BROKER}"; must be "host:port" with a port from 1 to 65535',
  ]);
  expect(errors('kafka.sasl.password = "${KAFKA_PASSWORD}"', { env: { KAFKA_PASSWORD: `${SECRET}\n` } })).toEqual([
    "bruce.toml:1:23: kafka.sasl.password: got a value that is not shown; must be a string that is not empty",
  ]);
});

test("a secret that is nothing but a variable names the variable when it is not set", () => {
  expect(errors('kafka.sasl.password = "${KAFKA_PASSWORD}"')).toEqual([
    "bruce.toml:1:23: kafka.sasl.password: the environment variable KAFKA_PASSWORD is not set",
  ]);
  expect(errors('kafka.sasl.password = "a${b}"')).toEqual([
    "bruce.toml:1:23: kafka.sasl.password: a variable in it is not set",
  ]);
});

test("what would be shown because it is taken for a path or an address is refused", () => {
  const env = { TLS_KEY: `-----BEGIN PRIVATE KEY-----\\n${SECRET}\\n-----END PRIVATE KEY-----` };
  expect(errors('[kafka.tls]\nenabled = true\ncert = "c"\nkey = "${TLS_KEY}"', { env })).toEqual([
    'bruce.toml:4:7: kafka.tls.key: got "${TLS_KEY}"; must be the path of a file: this is what should be in the file',
  ]);
  expect(errors(`kafka.sasl.token_url = "https://issuer.example/token?v=1&client_secret=${SECRET}"`)[0]).toBe(
    'bruce.toml:1:24: kafka.sasl.token_url: got "https://issuer.example/token?v=***&client_secret=***"; must be a URL ' +
      'that begins with "https://" or "http://", without a user in it and without a secret: that belongs in client_secret, or client_secret_file',
  );
});

test("printed settings show no secret", () => {
  const settings = defaultSettings(ROOT);
  settings.kafka.sasl = { mechanism: "plain", username: "bruce", password: SECRET, clientSecret: SECRET };
  const text = printSettings(settings);
  expect(text).not.toContain(SECRET);
  expect(text).toContain(
    '[kafka.sasl]\nmechanism = "plain"\nusername = "bruce"\npassword = "***"\nclient_secret = "***"\n',
  );
  expect(loadSettings({ text: printSettings(defaultSettings(ROOT)), ...ROOT })).toEqual({
    settings: defaultSettings(ROOT),
    file: undefined,
  });
});
