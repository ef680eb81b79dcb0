// TOML text to a tree: smol-toml says what is in it, toml-eslint-parser where.
import { parse, TomlError } from "smol-toml";
import { type AST, parseTOML } from "toml-eslint-parser";
import type { ConfigError, Place, TableNode, TreeNode } from "./tree.ts";

interface Located {
  at: Place;
  valueAt: Place;
  elementsAt: Place[];
}

type Locations = Map<string, Located>;
type Path = readonly (string | number)[];

/** The tree of `text`, or the syntax error in it. Never shows the text itself, which may hold a password. */
export function readToml(text: string, file: string): { tree: TableNode } | { error: ConfigError } {
  let values: object;
  try {
    // Integers that JavaScript cannot hold become BigInts, which no setting takes: a better error than the parser's.
    values = parse(text, { integersAsBigInt: "asNeeded" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return { error: syntaxError(error, file) };
  }
  const locations = locate(text, file);
  const nowhere: Located = { at: { file, line: 1, column: 1 }, valueAt: { file, line: 1, column: 1 }, elementsAt: [] };
  const convert = (value: unknown, path: Path): TreeNode => {
    const { at, valueAt, elementsAt } = locations.get(JSON.stringify(path)) ?? nowhere;
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Date) {
      return { kind: "value", at, valueAt, elementsAt, value };
    }
    const entries = Object.entries(value).map(([name, each]): [string, TreeNode] => [
      name,
      convert(each, [...path, name]),
    ]);
    return { kind: "table", at, entries: new Map(entries) };
  };
  const tree = convert(values, []);
  return tree.kind === "table" ? { tree } : { tree: { kind: "table", at: nowhere.at, entries: new Map() } };
}

function syntaxError({ message, line, column }: TomlError, file: string): ConfigError {
  // What follows the first line is the text around the error.
  const what = (message.split("\n", 1)[0] ?? "").replace("Invalid TOML document: ", "");
  const hint = what === "invalid value" ? " (a string needs quotes)" : "";
  return { file, line, column, key: "", message: `not valid TOML: ${what}${hint}` };
}

function locate(text: string, file: string): Locations {
  const locations: Locations = new Map();
  const place = ({ loc }: AST.TOMLNode): Place => ({ file, line: loc.start.line, column: loc.start.column + 1 });
  const remember = (path: Path, key: AST.TOMLNode, value?: AST.TOMLContentNode): void => {
    const name = JSON.stringify(path);
    if (locations.has(name)) return;
    const elementsAt = value?.type === "TOMLArray" ? value.elements.map(place) : [];
    locations.set(name, { at: place(key), valueAt: place(value ?? key), elementsAt });
  };
  const walk = (body: readonly (AST.TOMLKeyValue | AST.TOMLTable)[], base: Path): void => {
    for (const node of body) {
      const parts = node.key.keys.map((part) => (part.type === "TOMLBare" ? part.name : part.value));
      const path = node.type === "TOMLTable" ? node.resolvedKey : [...base, ...parts];
      for (const [index, part] of node.key.keys.entries()) {
        const last = index === parts.length - 1;
        const upTo = last ? path : [...base, ...parts.slice(0, index + 1)];
        remember(upTo, part, last && node.type === "TOMLKeyValue" ? node.value : undefined);
      }
      // [[a]] is an element of the list a, which stands where its first element does.
      if (node.type === "TOMLTable" && node.kind === "array") remember(parts, node.key);
      if (node.type === "TOMLTable") walk(node.body, path);
      else if (node.value.type === "TOMLInlineTable") walk(node.value.body, path);
    }
  };
  try {
    walk(parseTOML(text, { tomlVersion: "next" }).body[0].body, []);
  } catch {
    // The two parsers disagree on what TOML is: the settings are good all the same, only their places are not known.
  }
  return locations;
}
