// Writes the parts of docs/ that come from the schema of the settings and from the table of errors: `npm run docs`.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { withErrorTable } from "./docsErrors.ts";
import { annotatedExample, markdownReference, withRestartTable } from "./docsReference.ts";

const docs = new URL("../docs/", import.meta.url);
mkdirSync(docs, { recursive: true });
writeFileSync(new URL("configuration.md", docs), markdownReference());
writeFileSync(new URL("bruce.toml", docs), annotatedExample());

const reload = new URL("reload.md", docs);
writeFileSync(reload, withRestartTable(readFileSync(reload, "utf8")));

const delivery = new URL("delivery.md", docs);
writeFileSync(delivery, withErrorTable(readFileSync(delivery, "utf8")));
