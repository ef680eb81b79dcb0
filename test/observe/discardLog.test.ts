import { describe, expect, test } from "bun:test";
import { DiscardLog } from "../../src/observe/discardLog.ts";

function logged() {
  const lines: unknown[] = [];
  return { lines, log: new DiscardLog({ warn: (_, fields) => lines.push(fields) }, 3_600_000) };
}

describe("the log of discards", () => {
  test("tells of the first of a kind at once, and sums up the others", () => {
    const { lines, log } = logged();
    log.note("t", 2, "queue_full");
    log.note("t", 3, "queue_full");
    log.note("t", 4, "queue_full");
    log.note("u", 1, "queue_full");
    expect(lines).toEqual([
      { reason: "queue_full", count: 2, topic: "t" },
      { reason: "queue_full", count: 1, topic: "u" },
    ]);
    lines.length = 0;
    log.flush();
    expect(lines).toEqual([{ reason: "queue_full", count: 7, topic: "t" }]);
  });

  test("stays short however many topics there are, and loses no count", () => {
    const { lines, log } = logged();
    for (let index = 0; index < 5000; index++) log.note(`topic-${index}`, 1, "max_topics");
    log.flush();
    expect(lines.length).toBeLessThan(110);
    expect(lines.reduce((sum: number, line) => sum + (line as { count: number }).count, 0)).toBe(5000);
  });

  test("keeps the newest samples of each kind", () => {
    const { log } = logged();
    for (let index = 0; index < 25; index++) log.sample("tcp", "malformed", [Buffer.from(`${index}`)]);
    log.sample("stream", "unclean_disconnect", [Buffer.from("half")]);
    const kept = log.samples().map(({ prefix }) => Buffer.from(prefix, "base64").toString());
    expect(kept).toEqual([...Array.from({ length: 10 }, (_, index) => `${15 + index}`), "half"]);
    log.flush();
  });
});
