// A witness that overlooks something would make every other test worthless.
import { expect, test } from "bun:test";
import { accountFor, exactlyOnce } from "./readBackVerdict.ts";

const sent = ["a", "b", "c", "d"];

function verdictOn(found: [id: string, lane?: string][]) {
  const account = accountFor(sent);
  for (const [id, lane] of found) account.found(id, lane);
  return account.verdict();
}

test("everything once and in order is exactly once, whatever the order between lanes", () => {
  expect(verdictOn([["a"], ["b"], ["c"], ["d"]])).toEqual(exactlyOnce);
  expect(verdictOn([["d"], ["c"], ["b"], ["a"]])).toEqual(exactlyOnce);
  expect(verdictOn(["b", "d"].map((id) => [id, "x"])).lost).toBe(2);
  const lanes = [..."bd"].map((id): [string, string] => [id, "x"]).concat([..."ac"].map((id) => [id, "y"]));
  expect(verdictOn(lanes)).toEqual(exactlyOnce);
});

test("what is lost, repeated, strange or late is counted and named", () => {
  expect(
    verdictOn([
      ["b", "x"],
      ["a", "x"],
      ["b", "x"],
      ["z", "x"],
    ]),
  ).toEqual({
    lost: 2,
    twice: 1,
    unexpected: 1,
    outOfOrder: 1,
    examples: ["outOfOrder: a", "twice: b", "unexpected: z", "lost: c", "lost: d"],
  });
});

test("a verdict may be asked for again", () => {
  const account = accountFor(sent);
  expect(account.verdict().lost).toBe(4);
  for (const id of sent) account.found(id);
  expect(account.verdict()).toEqual(exactlyOnce);
});
