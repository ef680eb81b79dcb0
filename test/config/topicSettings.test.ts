import { expect, test } from "bun:test";
import { defaultSettings, topicSettings } from "../../src/config/settings.ts";
import { load, ROOT } from "./support.ts";

const settings = load(`
  [batch]
  linger = "10ms"
  [topics."*"]
  linger = "1ms"
  messages = 5
  [topics."clicks*"]
  linger = "2ms"
  [topics."clicks.eu*"]
  linger = "3ms"
  [topics."clicks.eu"]
  linger = "4ms"
  partitioner = "murmur2"
  codec = "none"`);

test("a topic's own rule beats the longest pattern, which beats shorter ones", () => {
  const linger = (topic: string): number => topicSettings(settings, topic).linger;
  expect(linger("other")).toBe(1);
  expect(linger("click")).toBe(1);
  expect(linger("clicks")).toBe(2);
  expect(linger("clicks.us")).toBe(2);
  expect(linger("clicks.eu.1")).toBe(3);
  expect(linger("clicks.eu")).toBe(4);
});

test("one rule holds, over the settings for all topics", () => {
  expect(topicSettings(settings, "clicks.eu")).toMatchObject({
    ...{ linger: 4, partitioner: "murmur2", codec: "none" },
    ...{ messages: 0, bytes: 256 * 1024, unknownTopic: "hold" },
  });
  expect(topicSettings(settings, "other").messages).toBe(5);
});

test("without rules every topic has the settings for all", () => {
  expect(topicSettings(defaultSettings(ROOT), "any")).toEqual({
    ...{ linger: 50, bytes: 262_144, messages: 0, requestBytes: 1_048_576, maxRecord: 1_000_000 },
    ...{ codec: "zstd", level: 1, minSize: 128, maxRatio: 0.75 },
    ...{ unknownTopic: "hold", unauthorizedTopic: "hold", partitioner: "sticky", onUnavailable: "wait", maxAge: 0 },
  });
});

test("a star without the last place is no pattern, and a prefix is not a topic", () => {
  expect(topicSettings({ ...settings, topics: [{ pattern: "ab*", overrides: { linger: 9 } }] }, "a").linger).toBe(10);
  expect(topicSettings({ ...settings, topics: [{ pattern: "ab*", overrides: { linger: 9 } }] }, "ab").linger).toBe(9);
});
