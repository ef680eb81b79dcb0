// However a spool came to be, its description, bruce's recovery and the truth agree on what is still to be delivered.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import { nodeFiles } from "../../src/spool/files.ts";
import { recover } from "../../src/spool/recover.ts";
import { readLog, readWaiting } from "../support/documentReader.ts";
import { type ModelStep, WrittenSpool } from "../support/writtenSpool.ts";

const step: fc.Arbitrary<ModelStep> = fc.record({
  do: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom("append" as const, "take" as const, "send" as const, "hold" as const) },
    { weight: 2, arbitrary: fc.constantFrom("end" as const, "heldTake" as const, "moveOn" as const) },
    { weight: 1, arbitrary: fc.constantFrom("rotate" as const, "checkpoint" as const) },
  ),
  count: fc.integer({ min: 1, max: 9 }),
  which: fc.nat(11),
});

function numbersIn(list: { number: number }[]): number[] {
  return list.map(({ number }) => number);
}

const ascending = (a: number, b: number) => a - b;

test("the reader of the description, and recovery, find exactly what waits", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80 }), async (steps) => {
      const root = mkdtempSync(`${tmpdir()}/bruce-model-`);
      const model = new WrittenSpool(root);
      try {
        for (const each of steps) await model.run(each);
        model.close();
        const truth = model.waiting();

        const waiting = readWaiting(root);
        expect(numbersIn([...waiting.log, ...Object.values(waiting.held).flat()]).sort(ascending)).toEqual(truth);
        for (const { number, value } of waiting.log) expect(value).toBe(`m${number}`);

        const found = recover(nodeFiles, root, { machineId: "77".repeat(16), repair: false });
        expect(found.problems).toEqual([]);
        const again = [found.log, ...found.held].flatMap((log) => {
          const directory = "name" in log ? `held/${log.name}` : "log";
          const messages = readLog(`${root}/${directory}`).flatMap((segment) => segment.messages);
          return numbersIn(messages).filter(
            (number) => (number >= log.read.number || log.again.has(number)) && !log.skip.has(number),
          );
        });
        for (const { numbers } of found.openEntries)
          numbers.forEach((number) => {
            again.push(number);
          });
        expect(again.sort(ascending)).toEqual(truth);
      } finally {
        rmSync(root, { recursive: true, force: true });
      }
    }),
    { numRuns: 60 },
  );
});
