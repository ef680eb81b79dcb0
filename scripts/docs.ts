// Writes the parts of docs/ that come from the schema of the settings: `npm run docs`.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { annotatedExample, markdownReference, withRestartTable } from "./docsReference.ts";

const docs = new URL("../docs/", import.meta.url);
mkdirSync(docs, { recursive: true });
writeFileSync(new URL("configuration.md", docs), markdownReference());
writeFileSync(new URL("bruce.toml", docs), annotatedExample());

const reload = new URL("reload.md", docs);
writeFileSync(reload, withRestartTable(readFileSync(reload, "utf8")));
