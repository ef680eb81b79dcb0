// What differs between two settings: which keys, from what to what, and which of them must wait for a restart.
import { RULE, SCHEMA, type SchemaKey } from "./schema.ts";
import { tableAt } from "./settings.ts";
import { dotted } from "./toml.ts";
import type { Settings, TopicRule } from "./types.ts";

export interface SettingChange {
  /** As in TOML, such as `kafka.brokers` or `topics."a.b".linger`; of a rule that says nothing, its own name. */
  key: string;
  /** As TOML writes them; undefined: not set, or not to be shown. */
  from: string | undefined;
  to: string | undefined;
  secret: boolean;
  /** It cannot take effect while bruce runs. */
  restart: boolean;
  /** The table it is in, or "topics" and the rule's pattern. */
  path: readonly string[];
  /** Its name in that table of `Settings`; undefined: it comes and goes with its rule. */
  field: string | undefined;
}

/** What is different in `after`, in the order of the reference. */
export function settingChanges(before: Settings, after: Settings): SettingChange[] {
  const changes = SCHEMA.flatMap(({ path, keys }) =>
    keyChanges(path, keys.values(), tableAt(before, path), tableAt(after, path)),
  );
  return [...changes, ...ruleChanges(before.topics, after.topics)];
}

/** One line for people; never a secret. */
export function describeChange({ key, from, to, secret }: SettingChange): string {
  return secret ? `${key} changed` : `${key}: ${from ?? "unset"} -> ${to ?? "unset"}`;
}

/** Puts those of `next` that changed into `settings`, in place. */
export function adopt(settings: Settings, next: Settings, changes: readonly SettingChange[]): void {
  const rules = new Set<string>();
  for (const { path, field } of changes) {
    if (path[0] === "topics") rules.add(path[1] as string);
    else if (field !== undefined) {
      const value = tableAt(next, path)[field];
      if (value === undefined) delete tableAt(settings, path)[field];
      else tableAt(settings, path)[field] = value;
    }
  }
  if (rules.size === 0) return;
  const isChanged = ({ pattern }: TopicRule): boolean => rules.has(pattern);
  settings.topics = [...settings.topics.filter((rule) => !isChanged(rule)), ...next.topics.filter(isChanged)];
}

type Values = Readonly<Record<string, unknown>>;

function keyChanges(
  path: readonly string[],
  keys: Iterable<SchemaKey>,
  before: Values,
  after: Values,
): SettingChange[] {
  const changes: SettingChange[] = [];
  for (const key of keys) {
    const [old, now] = [before[key.field], after[key.field]];
    const [from, to] = [written(key, old), written(key, now)];
    if (from === to) continue;
    const secret = key.secret === true;
    const shown = secret ? { from: undefined, to: undefined } : { from, to };
    const restart = needsRestart(key, old, now);
    changes.push({ key: dotted([...path, key.name]), ...shown, secret, restart, path, field: key.field });
  }
  return changes;
}

function written(key: SchemaKey, value: unknown): string | undefined {
  return value === undefined ? undefined : key.kind.write(value);
}

function needsRestart({ restart }: SchemaKey, from: unknown, to: unknown): boolean {
  return restart === true || (restart?.when(from, to) ?? false);
}

function ruleChanges(before: readonly TopicRule[], after: readonly TopicRule[]): SettingChange[] {
  const old = new Map(before.map(({ pattern, overrides }) => [pattern, overrides]));
  const now = new Map(after.map(({ pattern, overrides }) => [pattern, overrides]));
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((pattern) => {
    const path = ["topics", pattern];
    const changes = keyChanges(path, RULE.values(), { ...old.get(pattern) }, { ...now.get(pattern) });
    if (changes.length > 0 || old.has(pattern) === now.has(pattern)) return changes;
    // It says nothing, but where it matches, shorter ones do not.
    const [from, to] = [old, now].map((rules) => (rules.has(pattern) ? "{}" : undefined));
    return [{ key: dotted(path), from, to, secret: false, restart: false, path, field: undefined }];
  });
}
