import { expect, test } from "bun:test";
import { deliver, discard, heldIn, Ledger, receive } from "../../src/observe/ledger.ts";

test("books go on where those before them ended, also with more topics than are allowed now", () => {
  const before = new Ledger(10);
  for (const name of ["a", "b", "c"]) receive(before.topic(name), 5);
  receive(before.total, 17);
  receive(before.noTopic, 2);
  discard(before.noTopic, "malformed", 2);
  discard(before.total, "malformed", 2);

  const ledger = new Ledger(2, before);
  expect([...ledger.topics()].map(([name]) => name)).toEqual(["a", "b", "c"]);
  deliver(ledger.topic("c"), 1);
  deliver(ledger.total, 1);
  expect(heldIn(ledger.topic("c"))).toBe(4);
  expect(heldIn(ledger.total)).toBe(14);
  expect(ledger.noTopic.discardsByReason).toEqual(new Map([["malformed", 2]]));
  expect(ledger.topic("d")).toBe(ledger.noTopic);
});

test("beyond so many topics, messages are booked under none", () => {
  const ledger = new Ledger(1);
  expect(ledger.topic("a")).toBe(ledger.topic("a"));
  expect(ledger.topic("b")).toBe(ledger.noTopic);
});
