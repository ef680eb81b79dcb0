// biome-ignore-all lint/suspicious/noTemplateCurlyInString: strings that could be taken for variables are the point
import { expect, test } from "bun:test";
import fc from "fast-check";
import { loadSettings } from "../../src/config/load.ts";
import { printSettings } from "../../src/config/print.ts";
import { RULE, SCHEMA } from "../../src/config/schema.ts";
import { errors, load, ROOT } from "./support.ts";

const VALUES = [
  ...["0", "-0", "1", "-1", "0.5", "1e400", "-inf", "nan", "0x10", "9223372036854775807", "1_000"],
  ...[
    "true",
    "false",
    '""',
    '"0"',
    '"x"',
    '" "',
    '"1k"',
    '"1ms"',
    '"9999999999999999g"',
    '"0222"',
    '"a:1"',
    '"[::]:0"',
  ],
  ...[
    '"${X}"',
    '"${"',
    '"${}"',
    '"$$"',
    "'''\n\n'''",
    '"\\u0000"',
    "[]",
    "[[]]",
    '["a:1", 2]',
    "[{}]",
    "{}",
    "{ a.b = 1 }",
  ],
  ...["2026-01-01", "07:32:00", "2026-01-01T00:00:00Z", '"10/1s"', '"/"', '"10/0"'],
];
const KEYS = [
  ...SCHEMA.flatMap(({ name, keys }) => [name, ...[...keys.keys()].map((key) => `${name}.${key}`)]),
  ...[...RULE.keys()].flatMap((key) => [`topics.a.${key}`, `topics."a.b*".${key}`]),
  ...["input", "topics", "topics.a", "x", "x.y", '""', "'\n'", "__proto__", "__proto__.x", "constructor.prototype"],
];
const line = fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES)).map(([key, value]) => `${key} = ${value}`);

test("any text gives settings that print and load again, or errors that say where", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.array(line, { maxLength: 5 }).map((all) => all.join("\n")),
      ),
      (text) => {
        const loaded = loadSettings({ text, env: { X: "1" }, uid: 0 });
        if ("settings" in loaded) expect(load(printSettings(loaded.settings))).toEqual(loaded.settings);
        else
          for (const error of loaded.errors)
            expect(error).toMatchObject({ line: expect.any(Number), message: expect.stringMatching(/./) });
      },
    ),
    { numRuns: 100 },
  );
}, 120_000);

test("any value of any setting is read or refused, from a file and from an argument alike", () => {
  for (const [number, key] of KEYS.entries()) {
    // A third of the values for each key, another third for its neighbours.
    for (const value of VALUES.filter((_, index) => index % 3 === number % 3)) {
      const found = errors(`${key} = ${value}`, { env: { X: "1" } });
      for (const message of found) expect(message).toMatch(/^bruce\.toml:\d+:\d+: ./);
      loadSettings({ text: "", set: [`${key}=${value}`, `${key}=${value}x`, value], ...ROOT });
    }
  }
}, 120_000);
