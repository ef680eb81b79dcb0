import { describe, expect, test } from "bun:test";
import { judge } from "../../src/deliver/outcome.ts";

const answer = (errorCode: number, more: object = {}) => ({ errorCode, errorMessage: null, recordErrors: [], ...more });

describe("what a broker's answer means for a batch", () => {
  const cases: [name: string, code: number, count: number, kind: ReturnType<typeof judge>["kind"]][] = [
    ["no error", 0, 5, "delivered"],
    ["a sequence the broker has", 46, 5, "delivered"],
    ["a corrupt message", 2, 5, "again"],
    ["a leader that moved", 6, 5, "again"],
    ["too few replicas", 19, 5, "again"],
    ["a batch too large", 10, 5, "split"],
    ["one record too large", 10, 1, "discard"],
    ["an invalid record, not named", 87, 5, "split"],
    ["an invalid record, alone", 87, 1, "discard"],
    ["a forgotten producer", 59, 5, "renew"],
    ["a sequence out of order", 45, 5, "renew"],
    ["a forbidden topic", 29, 5, "hold"],
    ["a code nobody has listed", 30_000, 5, "hold"],
    ["an illegal topic", 17, 5, "discard"],
  ];
  test.each(cases)("%s", (_, code, count, kind) => {
    expect(judge(answer(code), count).kind).toBe(kind);
  });

  test("the records that the broker names are taken out, and no others", () => {
    const outcome = judge(
      answer(87, {
        recordErrors: [
          { index: 3, message: "no key" },
          { index: 99, message: null },
        ],
      }),
      10,
    );
    expect(outcome).toMatchObject({ kind: "remove", indexes: new Set([3]), reason: "rejected_by_broker" });
    expect(outcome).toMatchObject({ why: expect.stringContaining("(no key)") });
  });

  test("says when the batch may be in the log all the same", () => {
    const written = (code: number) => {
      const outcome = judge(answer(code), 1);
      return "written" in outcome ? outcome.written : undefined;
    };
    expect([7, 20, 13, -1, 56, 30_000].map(written)).toEqual(Array(6).fill("perhaps"));
    // The leader appends, waits for its replicas, and finds that it leads, or has, the partition no more.
    expect([3, 5, 6].map(written)).toEqual(Array(3).fill("acks all"));
    expect([2, 14, 19, 89, 29, 31, 44].map(written)).toEqual(Array(7).fill("no"));
  });

  test("is told in the broker's words, with what to do about it", () => {
    const outcome = judge(answer(29, { errorMessage: "no luck" }), 1);
    expect(outcome).toMatchObject({ why: "TOPIC_AUTHORIZATION_FAILED: no luck: grant WRITE and DESCRIBE on it" });
  });

  test("asks for fresh metadata when the leader is in doubt", () => {
    const refresh = [3, 5, 6, 74, 75, 2, 7].map((code) => {
      const outcome = judge(answer(code), 1);
      return outcome.kind === "again" && outcome.refresh;
    });
    expect(refresh).toEqual([true, true, true, true, true, false, false]);
  });
});
