import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { withErrorTable } from "../../scripts/docsErrors.ts";

test("docs/delivery.md has every error of the table; `npm run docs` makes it so", () => {
  const committed = readFileSync(new URL("../../docs/delivery.md", import.meta.url), "utf8");
  expect(committed).toBe(withErrorTable(committed));
  expect(committed).toContain("| 29 TOPIC_AUTHORIZATION_FAILED | not allowed to write to the topic |");
});
