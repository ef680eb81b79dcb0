// Which changes of the settings can take effect while bruce runs, and which must wait for its next start.
import { adopt, type SettingChange, settingChanges } from "./changes.ts";
import { consistencyErrors } from "./consistency.ts";
import { RULE, SCHEMA, type SchemaKey } from "./schema.ts";
import { emptyTable, type Place, type TableNode, type ValueNode } from "./tree.ts";
import type { Settings } from "./types.ts";

export interface ReloadPlan {
  now: SettingChange[];
  later: SettingChange[];
  /** What holds once those of `now` are in force. */
  settings: Settings;
}

/**
 * From `running` to `next`, each right by itself. What fits only together with something that waits for a restart waits with
 * it: a larger `batch.max_record`, for one, for the larger `buffer.memory`.
 */
export function planReload(running: Settings, next: Settings): ReloadPlan {
  const changes = settingChanges(running, next);
  let now = changes.filter(({ restart }) => !restart);
  for (;;) {
    const settings = structuredClone(running);
    adopt(settings, next, now);
    const misfits = misfitsOf(settings);
    const fitting = now.filter(
      ({ key, path }) => !misfits.has(key) && !(path[0] === "topics" && misfits.has(ruleOf(path))),
    );
    if (fitting.length === now.length) return { now, later: changes.filter((each) => !now.includes(each)), settings };
    now = fitting;
  }
}

/** The keys that do not go together with others, and those others; of rules also their own name. */
function misfitsOf(settings: Settings): Set<string> {
  const misfits = new Set<string>();
  consistencyErrors(fullTree(settings), settings, new Set(), (_at, path, _message, keys) => {
    for (const key of keys) misfits.add(key);
    if (path[0] === "topics") misfits.add(ruleOf(path));
  });
  return misfits;
}

function ruleOf(path: readonly string[]): string {
  return path.slice(0, 2).join("\0");
}

const NOWHERE: Place = { file: "", line: 0, column: 0 };
const SOMETHING: ValueNode = { kind: "value", at: NOWHERE, valueAt: NOWHERE, elementsAt: [], value: undefined };

/** A tree in which every setting is there, so that none that is at its default is taken for unset. */
function fullTree({ topics }: Settings): TableNode {
  const root = emptyTable("");
  for (const { path, keys } of SCHEMA) putAll(root, path, keys.values());
  for (const { pattern, overrides } of topics) {
    putAll(
      root,
      ["topics", pattern],
      [...RULE.values()].filter(({ field }) => field in overrides),
    );
  }
  return root;
}

function putAll(root: TableNode, path: readonly string[], keys: Iterable<SchemaKey>): void {
  let table = root;
  for (const part of path) {
    const next = table.entries.get(part);
    const child = next?.kind === "table" ? next : emptyTable("");
    table.entries.set(part, child);
    table = child;
  }
  for (const { name } of keys) table.entries.set(name, SOMETHING);
}
