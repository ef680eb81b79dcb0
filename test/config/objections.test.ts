import { expect, test } from "bun:test";
import type { LoadOptions } from "../../src/config/load.ts";
import { errors, load } from "./support.ts";

/** A machine that has no lz4. */
const objections: LoadOptions["objections"] = ({ compression, topics }) => [
  ...(compression.codec === "lz4" ? [{ path: ["compression", "codec"], message: "not here" }] : []),
  ...topics.flatMap(({ pattern, overrides }) =>
    overrides.codec === "lz4" ? [{ path: ["topics", pattern, "codec"], message: "not here" }] : [],
  ),
];

test("what the machine cannot do is an error at the setting that wants it", () => {
  const text = '[compression]\ncodec = "lz4"\n[topics."a.*"]\nlinger = "1ms"\ncodec = "lz4"';
  expect(errors(text, { objections })).toEqual([
    "bruce.toml:2:9: compression.codec: not here",
    'bruce.toml:5:9: topics."a.*".codec: not here',
  ]);
  expect(errors("", { objections, set: ["compression.codec=lz4"] })).toEqual(["--set compression.codec: not here"]);
});

test("it is asked for only when all else is right", () => {
  expect(errors('compression = { codec = "lz4", level = 0 }', { objections })).toEqual([
    "bruce.toml:1:40: compression.level: got 0; must be an integer from 1 to 22",
  ]);
});

test("without an objection the settings are taken", () => {
  expect(load('compression.codec = "gzip"', { objections }).compression.codec).toBe("gzip");
});
