// Which changes of the settings can take effect while bruce runs, and which must wait for its next start.
import { adopt, type SettingChange, settingChanges } from "./changes.ts";
import { consistencyErrors } from "./consistency.ts";
import { printSettings } from "./print.ts";
import { readToml } from "./read.ts";
import { emptyTable } from "./tree.ts";
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
  // Every setting is there, so that one that is at its default is not taken for none.
  const read = readToml(printSettings(settings), "");
  const root = "tree" in read ? read.tree : emptyTable("");
  consistencyErrors(root, settings, new Set(), (_at, path, _message, keys) => {
    for (const key of keys) misfits.add(key);
    if (path[0] === "topics") misfits.add(ruleOf(path));
  });
  return misfits;
}

function ruleOf(path: readonly string[]): string {
  return path.slice(0, 2).join("\0");
}
