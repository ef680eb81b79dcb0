// What a configuration says, each part with the place it stands at, and one laid over another.

/** Where something stands. Line and column count from 1; both are 0 where there are none (an argument, the defaults). */
export interface Place {
  file: string;
  line: number;
  column: number;
}

export interface TableNode {
  kind: "table";
  at: Place;
  entries: Map<string, TreeNode>;
}

export interface ValueNode {
  kind: "value";
  /** Of the key. */
  at: Place;
  valueAt: Place;
  /** Of the elements of a list, where they are known. */
  elementsAt: Place[];
  value: unknown;
  /** The value as a plain string, when it came from where nobody writes quotes: an argument. */
  plain?: string;
}

export type TreeNode = TableNode | ValueNode;

export interface ConfigError extends Place {
  /** As in TOML, such as `batch.linger`; empty when the error is about no key. */
  key: string;
  message: string;
}

export function emptyTable(file: string): TableNode {
  return { kind: "table", at: { file, line: 0, column: 0 }, entries: new Map() };
}

/** `under` with everything that `over` says instead. Tables are laid over tables, lists replace lists. */
export function overlay(under: TableNode, over: TableNode): TableNode {
  const entries = new Map(under.entries);
  for (const [name, node] of over.entries) {
    const below = entries.get(name);
    entries.set(name, node.kind === "table" && below?.kind === "table" ? overlay(below, node) : node);
  }
  return { ...under, entries };
}

/** The node at `path`, if there is one. */
export function nodeAt(root: TableNode, path: readonly string[]): TreeNode | undefined {
  let node: TreeNode | undefined = root;
  for (const part of path) node = node?.kind === "table" ? node.entries.get(part) : undefined;
  return node;
}
