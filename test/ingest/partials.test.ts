// The memory of incomplete messages stays bounded, and everyone's turn comes.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Partials } from "../../src/ingest/partials.ts";

interface Client {
  held: number;
}

test("below the limit all may read, beyond it the one that began first, and those that hold nothing", () => {
  const partials = new Partials<Client>(100, 30);
  const [a, b, c] = [{ held: 60 }, { held: 40 }, { held: 0 }];
  partials.note(a, 0);
  expect(partials.note(b, 1)).toBe(false);
  expect([a, b, c].map((one) => partials.mayRead(one))).toEqual([true, true, true]);
  b.held = 41;
  expect(partials.note(b, 2)).toBe(true);
  expect(partials.crowded).toBe(true);
  expect([a, b, c].map((one) => partials.mayRead(one))).toEqual([true, false, true]);
  a.held = 0;
  expect(partials.note(a, 3)).toBe(true);
  expect([a, b, c].map((one) => partials.mayRead(one))).toEqual([true, true, true]);
});

test("who takes longer than its turn, while others wait, is overdue; then the next has its own turn", () => {
  const partials = new Partials<Client>(100, 30);
  const [a, b] = [{ held: 90 }, { held: 90 }];
  partials.note(a, 0);
  expect([partials.timeLeft(1000), partials.overdue(1000)]).toEqual([undefined, undefined]);
  partials.note(b, 1000);
  expect([partials.timeLeft(1010), partials.overdue(1029)]).toEqual([20, undefined]);
  expect(partials.overdue(1030)).toBe(a);
  partials.excuse(1030);
  expect(partials.overdue(1059)).toBeUndefined();
  expect(partials.overdue(1060)).toBe(a);
  expect(partials.forget(a, 1060)).toBe(true);
  expect(partials.overdue(2000)).toBeUndefined();
});

test("whatever the clients do, someone may always read on, and memory exceeds the limit by one step and one message", () => {
  const LIMIT = 500;
  const MESSAGE = 300;
  const STEP = 50;
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(11), fc.integer({ min: 1, max: STEP })), { maxLength: 400 }), (steps) => {
      const partials = new Partials<Client>(LIMIT, 30);
      const clients = Array.from({ length: 12 }, (): Client => ({ held: 0 }));
      for (const [index, bytes] of steps) {
        const client = clients[index] as Client;
        if (partials.mayRead(client)) {
          client.held = client.held + bytes >= MESSAGE ? 0 : client.held + bytes;
          partials.note(client, 0);
        }
        const total = clients.reduce((sum, { held }) => sum + held, 0);
        // Those that hold nothing may still begin: here each by one step, in the input thread by a few KiB.
        expect(total).toBeLessThanOrEqual(LIMIT + MESSAGE + STEP * clients.length);
        const holders = clients.filter(({ held }) => held > 0);
        if (holders.length > 0) expect(holders.some((one) => partials.mayRead(one))).toBe(true);
      }
    }),
  );
});
