import { describe, expect, test } from "bun:test";
import type { Topic } from "../../src/route/topic.ts";
import { TopicTable } from "../../src/route/topicTable.ts";

function table(limit: number) {
  const made: string[] = [];
  const topics = new TopicTable(limit, (name) => {
    made.push(name);
    return { name } as Topic;
  });
  const find = (name: string) => {
    const bytes = Buffer.from(`<${name}>`);
    return topics.find(bytes, 1, bytes.length - 1)?.name;
  };
  return { topics, made, find };
}

describe("the topic table", () => {
  test("makes each topic once and finds it by the bytes of its name", () => {
    const { find, made, topics } = table(10_000);
    const names = Array.from({ length: 3000 }, (_, index) => `topic-${index}`);
    for (const name of [...names, ...names.toReversed()]) expect(find(name)).toBe(name);
    expect(made).toEqual(names);
    expect(topics.size).toBe(3000);
  });

  test("takes no topic beyond the limit, and keeps those it has", () => {
    const { find } = table(2);
    expect([find("a"), find("b"), find("c"), find("a"), find("b"), find("c")]).toEqual([
      "a",
      "b",
      undefined,
      "a",
      "b",
      undefined,
    ]);
  });

  test("tells apart names that begin alike", () => {
    const { find } = table(10);
    expect([find("logs"), find("logs.web"), find("log"), find("logs")]).toEqual(["logs", "logs.web", "log", "logs"]);
  });
});
