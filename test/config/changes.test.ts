// What differs between two configurations, and what of it waits for a restart.
import { describe, expect, test } from "bun:test";
import { adopt, describeChange, settingChanges } from "../../src/config/changes.ts";
import { planReload } from "../../src/config/plan.ts";
import { RULE, SCHEMA, type SchemaKey } from "../../src/config/schema.ts";
import type { Settings } from "../../src/config/settings.ts";
import { load } from "./support.ts";

const changes = (before: string, after: string) => settingChanges(load(before), load(after));
const described = (before: string, after: string) => changes(before, after).map(describeChange);

describe("what differs", () => {
  test("nothing, when the same is written in another way", () => {
    expect(changes('batch.linger = "1s"\nkafka.brokers = "a:1,b:2"', "")).not.toEqual([]);
    const other = '[kafka]\nbrokers = ["a:1", "b:2"]\n[batch]\nlinger = "1000ms"';
    expect(changes('batch.linger = "1s"\nkafka.brokers = "a:1,b:2"', other)).toEqual([]);
  });

  test("is told as TOML writes it, from what to what", () => {
    const before = 'kafka.brokers = "a:1"\nbatch.linger = "5ms"';
    expect(described(before, 'kafka.brokers = ["b:1", "c:2"]\ncompression.level = 3')).toEqual([
      'kafka.brokers: ["a:1"] -> ["b:1", "c:2"]',
      'batch.linger: "5ms" -> "50ms"',
      "compression.level: 1 -> 3",
    ]);
  });

  test("a secret is never shown, also when it comes or goes", () => {
    const sasl = (password: string) => `kafka.sasl = { mechanism = "plain", username = "u", password = "${password}" }`;
    expect(described(sasl("hunter1"), sasl("hunter2"))).toEqual(["kafka.sasl.password changed"]);
    expect(described("", sasl("hunter2")).join()).not.toContain("hunter2");
    expect(JSON.stringify(changes(sasl("hunter1"), ""))).not.toContain("hunter1");
  });

  test("a topic's rule: each of its settings, what it no longer says, and that it is there at all", () => {
    const before = '[topics."a.b"]\nlinger = "5ms"\nrate_limit = "5/1s"\n[topics.old]\ncodec = "none"';
    const after = '[topics."a.b"]\nlinger = "6ms"\n[topics."a*"]';
    expect(described(before, after)).toEqual([
      'topics."a.b".linger: "5ms" -> "6ms"',
      'topics."a.b".rate_limit: "5/1s" -> unset',
      'topics.old.codec: "none" -> unset',
      'topics."a*": unset -> {}',
    ]);
  });

  test("each of all the settings is noticed, and can be taken over", () => {
    for (const { name, path, keys } of SCHEMA) {
      for (const key of keys.values()) {
        const [before, after] = [load(""), load("")];
        const table = path.reduce<Record<string, unknown>>((at, part) => at[part] as never, after as never);
        table[key.field] = another(key, table[key.field]);
        const found = settingChanges(before, after);
        expect(found.map((each) => each.key)).toEqual([`${name}.${key.name}`]);
        adopt(before, after, found);
        expect(before).toEqual(after);
      }
    }
    for (const key of RULE.values()) {
      const [before, after] = [load(""), load("")];
      after.topics = [{ pattern: "t", overrides: { [key.field]: another(key, key.default) } }];
      expect(settingChanges(before, after).map((each) => each.key)).toEqual([`topics.t.${key.name}`]);
    }
  });
});

/** A value of the same kind as `value`. */
function another(key: SchemaKey, value: unknown): unknown {
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return value + 1;
  if (typeof value === "string") return `${value}x`;
  if (Array.isArray(value)) return [...value, { host: "another", port: 1 }];
  if (value !== undefined) return { host: "another", port: 1 };
  for (const raw of ["plain", "https://a", "1/1s"]) {
    const reading = key.kind.read(raw);
    if ("value" in reading) return reading.value;
  }
  throw new Error(`what can ${key.name} be?`);
}

describe("taking over", () => {
  test("changes the settings in place, so that whoever has a table of them sees it", () => {
    const settings = load('[topics.a]\nlinger = "5ms"\n[topics.b]\nlinger = "5ms"');
    const { kafka, batch } = settings;
    const next = load('kafka.brokers = "b:1"\nbatch.linger = "7ms"\n[topics.b]\nlinger = "6ms"\n[topics.c]\n');
    adopt(settings, next, settingChanges(settings, next));
    expect(settings).toEqual(next);
    expect([settings.kafka === kafka, settings.batch === batch]).toEqual([true, true]);
    expect(batch.linger).toBe(7);
  });

  test("what is unset is unset again", () => {
    const settings = load('kafka.tls = { enabled = true, server_name = "x" }');
    const next = load("");
    adopt(settings, next, settingChanges(settings, next));
    expect(settings).toEqual(next);
    expect("serverName" in settings.kafka.tls).toBe(false);
  });
});

describe("what waits for a restart", () => {
  const keys = (running: Settings, next: Settings) => {
    const { now, later, settings } = planReload(running, next);
    return { now: now.map(({ key }) => key), later: later.map(({ key }) => key), settings };
  };
  const plan = (before: string, after: string) => keys(load(before), load(after));

  test("is what the schema says, and nothing else", () => {
    const after = 'http.listen = "127.0.0.1:1"\nkafka.idempotence = false\nkafka.acks = 1\nbatch.linger = "1s"';
    const { now, later, settings } = plan("", after);
    expect(now).toEqual(["batch.linger"]);
    expect(later).toEqual(["kafka.acks", "kafka.idempotence", "http.listen"]);
    expect(settings).toEqual(load('batch.linger = "1s"'));
  });

  test("the running settings are not touched by planning", () => {
    const running = load("");
    planReload(running, load('batch.linger = "1s"'));
    expect(running).toEqual(load(""));
  });

  test("a disk buffer that comes, goes, or is small on either side", () => {
    expect(plan('buffer.disk = "4g"', "buffer.disk = 0").later).toContain("buffer.disk");
    expect(plan("buffer.disk = 0", 'buffer.disk = "4g"').later).toContain("buffer.disk");
    expect(plan('buffer.disk = "4g"', 'buffer.disk = "32m"').later).toContain("buffer.disk");
    expect(plan('buffer.disk = "4g"', 'buffer.disk = "8g"').now).toEqual(["buffer.disk"]);
  });

  test("also what does not fit together with something that does, as the rule of a topic", () => {
    const after =
      'buffer.memory = "1g"\nbatch.linger = "1s"\n[topics.big]\nmax_record = "64m"\nlinger = "2s"\n[topics.b]\nlinger = "3s"';
    const { now, later, settings } = plan("", after);
    expect(now).toEqual(["batch.linger", "topics.b.linger"]);
    expect(later).toEqual(["buffer.memory", "topics.big.linger", "topics.big.max_record"]);
    expect(settings.topics).toEqual([{ pattern: "b", overrides: { linger: 3000 } }]);
  });

  test("max_record beyond a quarter of the memory in use, and a disk too small for the segments in use", () => {
    expect(plan("", 'buffer.memory = "1g"\nbatch.max_record = "64m"')).toMatchObject({
      now: [],
      later: ["buffer.memory", "batch.max_record"],
    });
    const { now, later } = plan(
      'buffer = { disk = "4g", segment = "64m" }',
      'buffer = { disk = "256m", segment = "8m" }',
    );
    expect(later).toEqual(["buffer.disk", "buffer.segment"]);
    expect(now).toEqual(["buffer.held"]);
  });

  test("does so until it is put back, or bruce is started again", () => {
    const running = load("");
    const next = load('http.listen = "127.0.0.1:1"');
    expect(keys(running, next).later).toEqual(["http.listen"]);
    expect(keys(running, next).later).toEqual(["http.listen"]);
    expect(keys(running, load("")).later).toEqual([]);
  });
});
