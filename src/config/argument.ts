// --set KEY=VALUE to a tree.
import { parse } from "smol-toml";
import { dotted } from "./toml.ts";
import type { ConfigError, Place, TableNode, TreeNode } from "./tree.ts";

/** The tree of one argument of --set. Errors name the key only, since the value may be a secret. */
export function readArgument(argument: string): { tree: TableNode } | { error: ConfigError } {
  const equals = equalsSign(argument);
  const refuse = (written: string, message: string): { error: ConfigError } => {
    // No more than what looks like a key: behind it there may be a secret with the wrong sign before it.
    const name = /^[\w.-]*/.exec(written)?.[0] ?? "";
    return { error: { file: name === "" ? "--set" : `--set ${name}`, line: 0, column: 0, key: "", message } };
  };
  if (equals < 0) return refuse(argument, "has no value; write --set KEY=VALUE");
  const written = argument.slice(0, equals).trim();
  const path = keyPath(written);
  if (path === undefined) {
    return refuse(
      written,
      'is not a key; write --set KEY=VALUE with a key such as batch.linger or topics."a.b".linger',
    );
  }
  const at: Place = { file: `--set ${dotted(path)}`, line: 0, column: 0 };
  const text = argument.slice(equals + 1).trim();
  let node = toNode(at, parsed(text), text);
  for (const part of path.toReversed()) node = { kind: "table", at, entries: new Map([[part, node]]) };
  return node.kind === "table" ? { tree: node } : refuse(written, "is not a key");
}

function toNode(at: Place, value: unknown, plain?: string): TreeNode {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)) {
    const entries = Object.entries(value).map(([name, each]): [string, TreeNode] => [name, toNode(at, each)]);
    return { kind: "table", at, entries: new Map(entries) };
  }
  return { kind: "value", at, valueAt: at, elementsAt: [], value: value ?? plain, plain };
}

/** Where the key ends: at the first equals sign outside of quotes. */
function equalsSign(argument: string): number {
  let quote = "";
  for (let index = 0; index < argument.length; index++) {
    const char = argument[index] ?? "";
    if (quote !== "") {
      if (char === "\\" && quote === '"') index++;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (char === "=") return index;
  }
  return -1;
}

function keyPath(written: string): string[] | undefined {
  // A line break would let a whole document pass for a key.
  if (/[\r\n#]/.test(written)) return undefined;
  try {
    const path: string[] = [];
    let value: unknown = parse(`${written} = 0`);
    while (typeof value === "object" && value !== null) {
      const [name, ...others] = Object.keys(value);
      if (name === undefined || others.length > 0) return undefined;
      path.push(name);
      value = (value as Record<string, unknown>)[name];
    }
    return path;
  } catch {
    return undefined;
  }
}

/** The TOML value that `text` is, or undefined. */
export function parsed(text: string): unknown {
  try {
    const { value, ...others } = parse(`value = ${text}`, { integersAsBigInt: "asNeeded" });
    return Object.keys(others).length > 0 ? undefined : value;
  } catch {
    return undefined;
  }
}
