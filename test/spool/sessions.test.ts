// The newest sessions are remembered, those in use always, none for longer than a day after its last message.
import { expect, test } from "bun:test";
import { isLater, type Session, SessionTable } from "../../src/spool/sessions.ts";

class TestSession implements Session {
  readonly hex: string;
  position = 0;
  lastAt = 0;
  inUse = false;
  constructor(hex: string) {
    this.hex = hex;
  }
}

const DAY = 86_400_000;

function setUp(most: number) {
  const forgotten: string[] = [];
  const table = new SessionTable(
    (hex) => new TestSession(hex),
    ({ hex }) => forgotten.push(hex),
    most,
  );
  return { table, forgotten };
}

test("beyond the limit those without messages for longest are forgotten, unless they are in use", () => {
  const { table, forgotten } = setUp(3);
  for (const [index, hex] of ["a", "b", "c"].entries()) table.of(hex, index);
  table.of("a", 3).inUse = true;
  table.touch(table.of("b", 4), 100_000);
  table.of("d", 100_001);
  expect(forgotten).toEqual(["c"]);
  table.of("e", 100_002);
  expect(forgotten).toEqual(["c", "b"]);
  expect([...table.values()].map(({ hex }) => hex).sort()).toEqual(["a", "d", "e"]);
});

test("all in use are kept, however many, and so is the newest", () => {
  const { table, forgotten } = setUp(2);
  for (let index = 0; index < 10; index++) table.of(`${index}`, index).inUse = true;
  expect([table.size, forgotten]).toEqual([10, []]);
});

test("a session is new again a day after its last message, but not while it is in use", () => {
  const { table } = setUp(10);
  table.of("a", 0).position = 5;
  table.touch(table.of("a", 1000), 100_000);
  expect(table.of("a", DAY + 99_999).position).toBe(5);
  table.of("a", DAY + 99_999).inUse = true;
  expect(table.of("a", DAY * 3).position).toBe(5);
  table.of("a", DAY * 3).inUse = false;
  expect(table.of("a", DAY * 3).position).toBe(0);
});

test("of two ends of a session the higher is later, unless it was forgotten between them", () => {
  expect(isLater(5, 2000, [4, 3000])).toBe(true);
  expect(isLater(4, 3000, [5, 2000])).toBe(false);
  expect(isLater(1, 2000 + DAY + 1, [5, 2000])).toBe(true);
  expect(isLater(5, 2000, [1, 2000 + DAY + 1])).toBe(false);
});

test("what is kept for the next run comes back, without what is too old or was never used", () => {
  const { table } = setUp(10);
  table.of("unused", 10);
  table.of("used", 20).position = 3;
  const known = table.known(30);
  expect(known).toEqual([["used", 3, 20]]);
  const { table: next } = setUp(10);
  next.restore([...known, ["old", 9, 5]], 5 + DAY + 1);
  expect(next.known(40)).toEqual(known);
  expect(next.of("old", 50).position).toBe(0);
});
