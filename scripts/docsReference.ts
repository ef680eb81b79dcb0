// The reference of the settings as Markdown, and the example with every default, from the schema.
import { defaultPlaces } from "../src/config/places.ts";
import { defaultOf, RULE, SCHEMA, type SchemaKey } from "../src/config/schema.ts";
import { isUnsupported } from "../src/config/unsupported.ts";

const places = defaultPlaces({ env: {}, uid: 0 });

const INTRODUCTION = `# Configuration

<!-- Made from the schema in src/config by \`npm run docs\`: change it there. -->

\`bruce serve -c FILE\` reads one TOML file; without \`-c\`, \`/etc/bruce/bruce.toml\` (root) or
\`$XDG_CONFIG_HOME/bruce/bruce.toml\`, which is \`~/.config/bruce/bruce.toml\` (anyone else), if it is there. Every
setting has a default, so a file with only \`[kafka] brokers\` is complete. [bruce.toml](bruce.toml) has them all.

\`bruce check FILE\` names everything that is wrong in a file, each with its line, or prints all the settings it comes to.

- **Sizes** are strings such as \`"64k"\`, \`"128m"\`, \`"4g"\` (powers of 1024), or plain bytes.
- **Durations** are strings such as \`"500ms"\`, \`"30s"\`, \`"15m"\`, \`"24h"\`, or \`"0"\`.
- **\`\${NAME}\`** in a string is taken from the environment; it is an error if it is not set. \`$$\` is a dollar.
- **\`--set KEY=VALUE\`** goes over the file, once for each setting: \`--set batch.linger=5ms\`,
  \`--set 'topics."a.b".codec=gzip'\`. The value is TOML, or else a string.
- **Default paths** are those of root. For anyone else sockets are in \`$XDG_RUNTIME_DIR/bruce\` (without it, in
  \`bruce-UID\` in the temporary directory) and the buffer is in \`$XDG_STATE_HOME/bruce\` (\`~/.local/state/bruce\`).
- **Not supported yet** means that this release knows the setting, and refuses any value but the default.
- **Needs a restart** marks what stays as it is until bruce is started again. Everything else can be changed while bruce
  runs: [reload.md](reload.md).
`;

const RULES = `## [topics."NAME"]

What one topic does differently from \`[batch]\`, \`[compression]\` and \`[delivery]\`. A name that ends in \`*\` stands for all
topics that begin with what is before it. One rule holds for a topic: its own, or else the longest that matches. Names
with dots need the quotes. [policies.md](policies.md) has examples. A rule can have `;

function link(name: string): string {
  return `\`${name}\``;
}

function notYet(table: string): string {
  return isUnsupported(table) ? " *Not supported yet.*" : "";
}

/** What a change waits for, as a sentence. */
function restart({ restart: when }: SchemaKey): string {
  if (when === undefined) return "";
  return when === true ? " *Needs a restart.*" : ` *Needs a restart: ${when.about}.*`;
}

function row(table: string, key: SchemaKey): string {
  const value = defaultOf(key, places);
  const shown = value === undefined ? "" : link(key.kind.write(value));
  return `| ${link(key.name)} | ${shown} | ${key.about}${restart(key)}${notYet(table)} | ${key.kind.allowed} |`;
}

function keyTable(table: string, keys: Iterable<SchemaKey>): string {
  const rows = [...keys].map((key) => row(table, key));
  return ["| Setting | Default | | Allowed |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** docs/configuration.md */
export function markdownReference(): string {
  const tables = SCHEMA.map(
    ({ name, about, keys }) => `## [${name}]\n\n${about}\n\n${keyTable(name, keys.values())}\n`,
  );
  const common = new Set(SCHEMA.flatMap(({ keys }) => [...keys.keys()]));
  const own = [...RULE.values()].filter((key) => !common.has(key.name));
  const shared = [...RULE.keys()].filter((name) => common.has(name)).map(link);
  const rules = `${RULES}${shared.join(", ")}, and:\n\n${keyTable("topics", own)}\n`;
  return [INTRODUCTION, ...tables, rules].join("\n");
}

const [TABLE_BEGINS, TABLE_ENDS] = ["<!-- Made by `npm run docs`: -->", "<!-- : until here -->"];

/** A document with the part of it that is made. */
export function withMadePart(text: string, made: string): string {
  const [before, rest = ""] = text.split(TABLE_BEGINS);
  return `${before}${TABLE_BEGINS}\n\n${made}\n\n${TABLE_ENDS}${rest.split(TABLE_ENDS)[1]}`;
}

/** docs/reload.md with the table of what a reload leaves as it is. */
export function withRestartTable(text: string): string {
  return withMadePart(text, restartTable());
}

function restartTable(): string {
  const rows = SCHEMA.flatMap(({ name, keys }) =>
    [...keys.values()].flatMap(({ name: key, restart: when }) =>
      when === undefined ? [] : [`| ${link(`${name}.${key}`)} | ${when === true ? "any change" : when.about} |`],
    ),
  );
  return ["| Setting | What waits |", "| --- | --- |", ...rows].join("\n");
}

/** Text in lines of at most 118 characters, each behind a `# `. */
function comment(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line.length + word.length > 115) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.map((line) => `# ${line}`).join("\n");
}

function plain(text: string): string {
  return text.replaceAll("`", "").replaceAll("*", "");
}

/** docs/bruce.toml: loads to the defaults of root. */
export function annotatedExample(): string {
  const entry = (table: string, key: SchemaKey): string => {
    const value = defaultOf(key, places);
    const setting = value === undefined ? `# ${key.name} =` : `${key.name} = ${key.kind.write(value)}`;
    return `${comment(plain(key.about + restart(key) + notYet(table)))}\n${setting}\n`;
  };
  const tables = SCHEMA.map(({ name, about, keys }) => {
    const entries = [...keys.values()].map((key) => entry(name, key));
    return `${comment(plain(about))}\n[${name}]\n\n${entries.join("\n")}`;
  });
  const head =
    "# Every setting of bruce with its default. Made by `npm run docs`; docs/configuration.md says what is allowed.\n";
  const rule = '# What a topic does differently; a name may end in *.\n# [topics."clicks"]\n# linger = "5ms"\n';
  return [head, ...tables, rule].join("\n");
}
