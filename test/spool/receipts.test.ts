// A question is answered when every message before it is settled, and no later; others have no part in it.
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { createReceiptMemory, ReceiptAnswerer, ReceiptAsker, RequestKind } from "../../src/spool/receiptMemory.ts";
import { Receipts } from "../../src/spool/receipts.ts";
import type { KnownSession } from "../../src/spool/sessions.ts";

const started: Receipts[] = [];
afterEach(() => {
  for (const receipts of started.splice(0)) receipts.stop();
});

const sessionOf = (letter: string) => Buffer.alloc(16, letter);
const hexOf = (letter: string) => sessionOf(letter).toString("hex");

/** Both sides in one thread, and a queue of numbers between them. */
function setUp(sessions: KnownSession[] = [], connections = 64) {
  let next = 1;
  let written = 0;
  const receipts = new Receipts({ connections, sessions, next: () => next, wallClock: () => 1_000_000 });
  started.push(receipts);
  const asker = new ReceiptAsker(receipts.memory, () => {});
  const blocks: { source: number; session: Buffer | undefined; first: number; count: number; endsAt: number }[] = [];
  const keys = new Map<number, number>();
  return {
    receipts,
    asker,
    open: (id: number, slot = id) => asker.opened(id, slot, written),
    resume: (id: number, letter: string) => asker.resumed(id, written, sessionOf(letter)),
    get written() {
      return written;
    },
    append(source: number, count: number, letter?: string, endsAt = 0): number {
      const session = letter === undefined ? undefined : sessionOf(letter);
      blocks.push({ source, session, first: written + 1, count, endsAt });
      written += count;
      return written;
    },
    /** Takes the next block. */
    take(): void {
      const block = blocks.shift();
      if (block === undefined) return;
      next = block.first + block.count;
      const key = receipts.accountOf(block.source, block.session);
      for (let number = block.first; number < next; number++) keys.set(number, key);
      if (key !== 0) receipts.onTaken(key, block.first, block.count, block.endsAt);
    },
    settle(number: number, how: "delivered" | "discarded" | "moved" = "delivered"): void {
      const key = keys.get(number) ?? 0;
      if (key !== 0) receipts.onSettled(key, number, 1, how);
    },
    answered(id: number, slot = id) {
      receipts.wake();
      return asker.answered(slot, id);
    },
    /** Passes over a block without taking it, as if nothing in it were left. */
    pass(): void {
      const block = blocks.shift();
      if (block !== undefined) next = block.first + block.count;
    },
  };
}

test("messages before a question count, those behind it do not", () => {
  const { open, append, take, settle, answered, asker } = setUp();
  open(1);
  append(1, 2);
  asker.asked(1, 2);
  append(1, 1);
  asker.asked(1, 3);
  append(1, 5);
  for (let i = 0; i < 3; i++) take();
  settle(3);
  settle(2);
  expect(answered(1)).toBe(0);
  settle(1);
  expect(answered(1)).toBe(2);
  expect([asker.delivered(1, 1), asker.discarded(1, 1), asker.clean(1)]).toEqual([3, 0, 2]);
});

test("what others wait for delays no answer, nor what the connection sent later", () => {
  const { open, append, take, settle, answered, asker } = setUp();
  open(1);
  open(2);
  append(2, 10);
  append(1, 1);
  asker.asked(1, 11);
  append(1, 10);
  for (let i = 0; i < 3; i++) take();
  settle(11);
  expect(answered(1)).toBe(1);
});

test("a discard makes its question and all later ones unclean, and none before", () => {
  const { open, append, take, settle, answered, asker } = setUp();
  open(1);
  for (let number = 1; number <= 3; number++) {
    append(1, 1);
    asker.asked(1, number);
    take();
  }
  settle(3);
  settle(2, "discarded");
  settle(1);
  expect([answered(1), asker.clean(1), asker.delivered(1, 1), asker.discarded(1, 1)]).toEqual([3, 1, 2, 1]);
});

test("a message that was moved counts until the other log has settled it", () => {
  const { receipts, open, append, take, settle, answered, asker } = setUp();
  open(1);
  append(1, 3);
  asker.asked(1, 3);
  take();
  settle(1);
  settle(2, "moved");
  settle(3);
  expect(answered(1)).toBe(0);
  receipts.onSettled(1, 2, 1, "delivered");
  expect([answered(1), asker.delivered(1, 1)]).toEqual([1, 3]);
});

test("a question without messages is answered at once, one that the reader is not past when it is", async () => {
  const { open, append, pass, answered, asker } = setUp();
  open(1);
  asker.asked(1, 0);
  expect(answered(1)).toBe(1);
  append(1, 2);
  asker.asked(1, 2);
  expect(answered(1)).toBe(1);
  pass();
  while (answered(1) < 2) await Bun.sleep(1);
});

test("a connection that resumes waits for what its session sent before, and counts only its own", () => {
  const { receipts, open, resume, append, take, settle, answered, asker } = setUp();
  open(1);
  resume(1, "s");
  append(1, 2, "s", 2);
  take();
  asker.closed(1);
  open(2);
  resume(2, "s");
  append(2, 1, "s", 3);
  take();
  asker.asked(2, 3);
  settle(3);
  settle(2);
  expect(answered(2)).toBe(0);
  settle(1);
  expect([answered(2), asker.delivered(2, 2), asker.settledTo(2, 2)]).toEqual([1, 1, 3]);
  expect(receipts.sessions()).toEqual([[hexOf("s"), 3, 1_000_000]]);
});

test("after a restart a session waits for its messages of the run before, under whatever connection they came", () => {
  const { receipts, open, resume, append, take, settle, answered, asker } = setUp([[hexOf("s"), 7, 999_999]]);
  append(1, 2, "s", 9); // of the run before
  append(2, 1);
  open(1);
  open(2);
  resume(2, "s");
  asker.asked(2, 3);
  asker.asked(1, 0);
  expect(answered(1)).toBe(1);
  take();
  take();
  settle(1);
  settle(3); // of another connection 2, in the run before
  expect([answered(2), asker.delivered(2, 2)]).toEqual([0, 0]);
  settle(2);
  expect([answered(2), asker.delivered(2, 2)]).toEqual([1, 0]);
  expect(receipts.sessions()).toEqual([[hexOf("s"), 9, 999_999]]);
});

test("a session waits for logs from before the start that hold messages of it", () => {
  const { receipts, open, resume, append, pass, answered, asker } = setUp([[hexOf("s"), 7, 999_999]]);
  append(9, 50);
  pass();
  const drained = receipts.waitFor([hexOf("s"), hexOf("t")]);
  open(1);
  resume(1, "s");
  asker.asked(1, 50);
  expect(answered(1)).toBe(0);
  const key = receipts.accountOf(9, sessionOf("s"));
  receipts.onTaken(key, 40, 1, 0);
  drained();
  expect(answered(1)).toBe(0);
  receipts.onSettled(key, 40, 1, "delivered");
  expect(answered(1)).toBe(1);
});

test("a slot that another connection had says nothing of it", () => {
  const { receipts, open, append, take, settle, answered, asker } = setUp();
  open(1, 5);
  append(1, 1);
  asker.asked(1, 1);
  take();
  asker.closed(1);
  open(2, 5);
  settle(1);
  expect([answered(1, 5), asker.delivered(5, 1), answered(2, 5), asker.delivered(5, 2)]).toEqual([0, 0, 0, 0]);
  receipts.stop();
});

test("there is always room for the end of a connection, and other requests wait until there is", () => {
  const { receipts, asker } = setUp([], 8);
  let opened = 0;
  while (asker.room) asker.opened(++opened, opened % 8, 0);
  expect(opened).toBeGreaterThanOrEqual(8);
  for (let id = 1; id <= 8; id++) asker.closed(id);
  let woken = 0;
  receipts.onAnswer(() => woken++);
  receipts.wake();
  expect([asker.room > 0, woken > 0]).toEqual([true, true]);
});

test("a million connections that come and go leave nothing behind, and no number of sessions does", () => {
  const { receipts, asker } = setUp([], 4);
  for (let id = 1; id <= 30_000; id++) {
    while (!asker.room) receipts.wake();
    asker.opened(id, 0, id);
    const session = Buffer.alloc(16);
    session.writeInt32BE(id);
    asker.resumed(id, id, session);
    receipts.wake();
    receipts.onTaken(receipts.accountOf(id, session), id + 1, 1, 1);
    asker.closed(id);
  }
  receipts.wake();
  expect(receipts.sessions().length).toBeLessThanOrEqual(10_000);
});

type Step =
  | { type: "append"; id: number; count: number }
  | { type: "ask"; id: number }
  | { type: "take" }
  | { type: "settle"; which: number; how: "delivered" | "discarded" };

const id = fc.integer({ min: 1, max: 3 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant("append" as const), id, count: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ type: fc.constant("ask" as const), id }),
    fc.record({ type: fc.constant("take" as const) }),
    fc.record({
      type: fc.constant("settle" as const),
      which: fc.nat(),
      how: fc.constantFrom("delivered" as const, "discarded" as const),
    }),
  ),
  { maxLength: 120 },
);

test("whatever the order of sending, asking, taking and settling, the answers are those of a plain count", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const { open, append, take, settle, answered, asker } = setUp();
      const sent: { owner: number; state: "waiting" | "taken" | "delivered" | "discarded" }[] = [];
      const blocks: number[] = [];
      const asked: { id: number; upTo: number }[] = [];
      for (let one = 1; one <= 3; one++) open(one);
      for (const step of all) {
        if (step.type === "append") {
          append(step.id, step.count);
          blocks.push(step.count);
          for (let i = 0; i < step.count; i++) sent.push({ owner: step.id, state: "waiting" });
        } else if (step.type === "ask") {
          const upTo = sent.findLastIndex(({ owner }) => owner === step.id) + 1;
          asker.asked(step.id, upTo);
          asked.push({ id: step.id, upTo });
        } else if (step.type === "take") {
          take();
          const from = sent.findIndex(({ state }) => state === "waiting");
          for (const message of sent.slice(from, from + (blocks.shift() ?? 0))) message.state = "taken";
        } else {
          const taken = sent.flatMap(({ state }, index) => (state === "taken" ? [index] : []));
          const index = taken[step.which % taken.length];
          if (index === undefined) continue;
          settle(index + 1, step.how);
          (sent[index] as (typeof sent)[0]).state = step.how;
        }
        for (let one = 1; one <= 3; one++) {
          const mine = asked.filter((question) => question.id === one);
          const before = (upTo: number) => sent.slice(0, upTo).filter(({ owner }) => owner === one);
          const done = mine.filter(({ upTo }) =>
            before(upTo).every(({ state }) => state === "delivered" || state === "discarded"),
          );
          expect(answered(one)).toBe(done.length);
          const clean = done.filter(({ upTo }) => before(upTo).every(({ state }) => state === "delivered"));
          expect(asker.clean(one)).toBe(clean.length);
          const own = sent.filter(({ owner }) => owner === one);
          expect(asker.delivered(one, one)).toBe(own.filter(({ state }) => state === "delivered").length);
          expect(asker.discarded(one, one)).toBe(own.filter(({ state }) => state === "discarded").length);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("however many connections come at once, there is room for the end of each", () => {
  const connections = 4;
  const memory = createReceiptMemory(connections);
  const asker = new ReceiptAsker(memory, () => {});
  const answerer = new ReceiptAnswerer(memory);
  for (let before = 0; before < 16; before++) {
    let written = 0;
    for (; written < before && asker.room > 0; written++) asker.asked(1, written);
    const open = Math.min(asker.room, connections);
    for (let id = 1; id <= open; id++) asker.opened(id, id, 0);
    for (let id = 1; id <= open; id++) asker.closed(id);
    const kinds: number[] = [];
    while (answerer.take()) kinds.push(answerer.kind);
    const times = (count: number, kind: number) => Array.from({ length: count }, () => kind);
    const { Asked, Opened, Closed } = RequestKind;
    expect(kinds).toEqual([...times(written, Asked), ...times(open, Opened), ...times(open, Closed)]);
  }
});
