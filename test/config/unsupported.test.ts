import { expect, test } from "bun:test";
import { SCHEMA } from "../../src/config/schema.ts";
import { isUnsupported } from "../../src/config/unsupported.ts";
import { errors, load } from "./support.ts";

/** Every setting that is known but does nothing yet, with a value that would ask for it. */
const REFUSED: Record<string, string> = {
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
  const tables = SCHEMA.filter(({ name }) => isUnsupported(name));
  const names = tables.flatMap(({ name, keys }) => [...keys.keys()].map((key) => `${name}.${key}`));
  const tested = Object.keys(REFUSED).map((text) => text.replace(/ =.*/, ""));
  for (const name of names) expect(tested).toContain(name);
});

test("their defaults may be written down", () => {
  const text = `
    discards.max_file = "32m"
    debug.path = ""`;
  expect(load(text)).toEqual(load(""));
});
