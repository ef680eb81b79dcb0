// The settings: their types, their defaults, and what holds for one topic.
import { defaultPlaces, ownSurroundings, type Surroundings } from "./places.ts";
import { defaultOf, SCHEMA } from "./schema.ts";
import type { Settings, TopicRule, TopicSettings } from "./types.ts";

export type * from "./types.ts";

/** The table at `path` in `settings`, made if it is not there. The schema's types vouch for what is put in it. */
export function tableAt(settings: object, path: readonly string[]): Record<string, unknown> {
  let table = settings as Record<string, unknown>;
  for (const part of path) {
    table[part] ??= {};
    table = table[part] as Record<string, unknown>;
  }
  return table;
}

/** The settings of an empty configuration. */
export function defaultSettings(surroundings: Surroundings = ownSurroundings()): Settings {
  const places = defaultPlaces(surroundings);
  const settings = { topics: [] };
  for (const { path, keys } of SCHEMA) {
    const table = tableAt(settings, path);
    for (const key of keys.values()) {
      const value = defaultOf(key, places);
      if (value !== undefined) table[key.field] = structuredClone(value);
    }
  }
  return settings as unknown as Settings;
}

/** What holds for the topic `name`: the settings of the longest rule that matches it, over those for all topics. */
export function topicSettings(settings: Settings, name: string): TopicSettings {
  let best: TopicRule | undefined;
  for (const rule of settings.topics) {
    if (rule.pattern === name) return withOverrides(settings, rule.overrides);
    if (!rule.pattern.endsWith("*") || !name.startsWith(rule.pattern.slice(0, -1))) continue;
    if (best === undefined || rule.pattern.length > best.pattern.length) best = rule;
  }
  return withOverrides(settings, best?.overrides);
}

/** The settings for all topics with those of one rule over them. */
export function withOverrides(settings: Settings, overrides: Partial<TopicSettings> = {}): TopicSettings {
  const { maxAge, unknownTopic, unauthorizedTopic, partitioner, onUnavailable } = settings.delivery;
  return {
    ...settings.batch,
    ...settings.compression,
    ...{ unknownTopic, unauthorizedTopic, partitioner, onUnavailable, maxAge },
    ...overrides,
  };
}
