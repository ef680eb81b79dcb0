import { expect, test } from "bun:test";
import { RULE, SCHEMA } from "../../src/config/schema.ts";
import { isUnsupported } from "../../src/config/unsupported.ts";
import { errors, load } from "./support.ts";

/** Every setting that is known but does nothing yet, with a value that would ask for it. */
const REFUSED: Record<string, string> = {
  "kafka.tls.enabled = true": "kafka.tls.enabled: got true; not supported yet; leave it at false",
  "kafka.tls.verify = false": "kafka.tls.verify: got false; not supported yet; leave it at true",
  'kafka.tls.ca = "/a"': 'kafka.tls.ca: got "/a"; not supported yet; leave it out',
  'kafka.tls.cert = "/a"': 'kafka.tls.cert: got "/a"; not supported yet; leave it out',
  'kafka.tls.key = "/a"': 'kafka.tls.key: got "/a"; not supported yet; leave it out',
  'kafka.tls.server_name = "a"': 'kafka.tls.server_name: got "a"; not supported yet; leave it out',
  'kafka.sasl.mechanism = "plain"': 'kafka.sasl.mechanism: got "plain"; not supported yet; leave it out',
  'kafka.sasl.username = "a"': 'kafka.sasl.username: got "a"; not supported yet; leave it out',
  'kafka.sasl.password = "a"': "kafka.sasl.password: got a value that is not shown; not supported yet; leave it out",
  'kafka.sasl.password_file = "/a"': 'kafka.sasl.password_file: got "/a"; not supported yet; leave it out',
  'kafka.sasl.token_url = "a"': 'kafka.sasl.token_url: got "a"; not supported yet; leave it out',
  'kafka.sasl.client_id = "a"': 'kafka.sasl.client_id: got "a"; not supported yet; leave it out',
  'kafka.sasl.client_secret = "a"':
    "kafka.sasl.client_secret: got a value that is not shown; not supported yet; leave it out",
  'delivery.max_age = "24h"': 'delivery.max_age: got "24h"; not supported yet; leave it at "0"',
  'topics.a.max_age = "24h"': 'topics.a.max_age: got "24h"; not supported yet; leave it at "0"',
  'topics.a.rate_limit = "10000/1s"': 'topics.a.rate_limit: got "10000/1s"; not supported yet; leave it out',
  'discards.path = "/a"': 'discards.path: got "/a"; not supported yet; leave it at ""',
  'discards.max_file = "1m"': 'discards.max_file: got "1m"; not supported yet; leave it at "32m"',
  'discards.max_total = "1m"': 'discards.max_total: got "1m"; not supported yet; leave it at "256m"',
  'discards.max_value = "all"': 'discards.max_value: got "all"; not supported yet; leave it at "2k"',
  'debug.path = "/a"': 'debug.path: got "/a"; not supported yet; leave it at ""',
  'debug.time_limit = "1s"': 'debug.time_limit: got "1s"; not supported yet; leave it at "1h"',
  'debug.byte_limit = "1m"': 'debug.byte_limit: got "1m"; not supported yet; leave it at "2g"',
};

for (const [text, message] of Object.entries(REFUSED)) {
  test(`refused, not ignored: ${text}`, () => {
    expect(errors(text)).toEqual([`bruce.toml:1:${text.indexOf("=") + 3}: ${message}`]);
  });
}

test("every setting that does nothing yet is among them", () => {
  const tables = [...SCHEMA.map(({ name, keys }) => ({ name, keys })), { name: "topics", keys: RULE }];
  const names = tables.flatMap(({ name, keys }) =>
    [...keys.values()].filter((key) => isUnsupported(name, key)).map((key) => `${name}.${key.name}`),
  );
  const tested = Object.keys(REFUSED).map((text) => text.replace(/ =.*/, "").replace("topics.a.", "topics."));
  for (const name of names) expect(tested).toContain(name);
});

test("their defaults may be written down", () => {
  const text = `
    kafka.tls = { enabled = false, verify = true }
    delivery.max_age = "0"
    topics.a.max_age = 0
    discards.max_file = "32m"
    debug.path = ""`;
  expect(load(text)).toEqual(load("topics.a.max_age = 0"));
});
