import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { annotatedExample, markdownReference, withRestartTable } from "../../scripts/docsReference.ts";
import { defaultSettings } from "../../src/config/settings.ts";
import { load, ROOT } from "./support.ts";

const committed = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");

test("the reference of the settings is what the schema says; `npm run docs` makes it so", () => {
  expect(committed("configuration.md")).toBe(markdownReference());
  expect(committed("bruce.toml")).toBe(annotatedExample());
  expect(committed("reload.md")).toBe(withRestartTable(committed("reload.md")));
});

test("the example with every default loads to the defaults", () => {
  expect(load(annotatedExample())).toEqual(defaultSettings(ROOT));
});
