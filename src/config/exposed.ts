// Secrets that stand where everybody on this host may read them: in an open file, or on the command line.
import { statSync } from "node:fs";
import { SCHEMA } from "./schema.ts";
import { dotted } from "./toml.ts";
import { nodeAt, type TableNode, type ValueNode } from "./tree.ts";

const OTHERS_MAY_READ = 0o004;

/** One line for each. What a variable of the environment stands for is nowhere in the file. */
export function exposedSecrets(root: TableNode, file: string | undefined): string[] {
  const warnings: string[] = [];
  for (const path of SECRETS) {
    const node = nodeAt(root, path);
    if (node?.kind !== "value" || (typeof node.value === "string" && node.value.includes("${"))) continue;
    if (isArgument(node)) warnings.push(`${dotted(path)}: everybody may read command lines: leave it out of --set`);
    else if (file !== undefined && mayBeReadByAll(file))
      warnings.push(`${dotted(path)}: everybody may read ${file}: chmod o-r`);
  }
  return warnings;
}

const SECRETS: readonly string[][] = SCHEMA.flatMap(({ path, keys }) =>
  [...keys.values()].filter(({ secret }) => secret === true).map(({ name }) => [...path, name]),
);

function isArgument({ at }: ValueNode): boolean {
  return at.line === 0;
}

function mayBeReadByAll(file: string): boolean {
  try {
    const status = statSync(file);
    return status.isFile() && (status.mode & OTHERS_MAY_READ) !== 0;
  } catch {
    return false;
  }
}
