// Who asked after messages that were damaged where they were held is told so, when all the others have come out.
import { afterEach, expect, test } from "bun:test";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { HeldFrames } from "../../src/route/heldFrames.ts";
import { MemoryBudget, MemoryUse } from "../../src/route/memoryBudget.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { ReceiptAsker } from "../../src/spool/receiptMemory.ts";
import { Receipts } from "../../src/spool/receipts.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { frameOf } from "../support/segments.ts";

const PATH = "/held/t/0000000001.segment";
const started: Receipts[] = [];
afterEach(() => {
  for (const receipts of started.splice(0)) receipts.stop();
});

/** Three connections that have sent a block each, of ten messages, all of which are held; each has asked after its own. */
function setUp() {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  const receipts = new Receipts({ next: () => 31, wallClock: () => 1_000_000 });
  started.push(receipts);
  const asker = new ReceiptAsker(receipts.memory, () => {});
  for (const id of [1, 2, 3]) asker.opened(id, id, 0);
  receipts.wake();
  let lost = 0;
  const logs = new HeldLogs({
    ...{ files, directory: "/held", directoryId: "01".repeat(16), cap: 1 << 30, segment: 1 << 20, hooks: receipts },
    onLost: (_topic, count) => {
      lost += count;
    },
  });
  const frames = new HeldFrames(new BufferPool(1 << 24), new MemoryUse(new MemoryBudget(1 << 30)));
  for (const id of [1, 2, 3]) {
    const first = id * 10 - 9;
    receipts.onTaken(receipts.accountOf(id, undefined), first, 10, 0);
    for (let number = first; number < first + 10; number++) {
      const frame = frameOf("t", `value ${number}`);
      frames.append(number, frame, 0, frame.length, { source: id, receivedAt: 1, session: undefined });
    }
    asker.asked(id, first + 9);
  }
  const log = logs.open("t", undefined);
  log.take(frames, () => {});
  /** Damages the block that has this value. */
  const damage = (value: string) => {
    const bytes = Buffer.from(files.content(PATH));
    const at = bytes.indexOf(value);
    bytes[at] = (bytes[at] as number) ^ 1;
    files.put(PATH, bytes);
  };
  /** Delivers all that comes out, but `not`. */
  const drain = (not = 0) => {
    const numbers = new MessageNumbers();
    log.drain(
      () => true,
      (number) => {
        if (number !== not) numbers.append(number);
        return true;
      },
    );
    logs.settle("t", numbers, "delivered");
    return numbers.count;
  };
  const answers = () => {
    receipts.wake();
    return [1, 2, 3].map((id) => [asker.answered(id, id), asker.clean(id), asker.discarded(id, id)]);
  };
  return { damage, drain, answers, log, receipts, lost: () => lost };
}

test("whose messages were damaged is answered, not cleanly; the others are answered cleanly", () => {
  const { damage, drain, answers, lost } = setUp();
  damage("value 15");
  expect([drain(), lost()]).toEqual([20, 10]);
  expect(answers()).toEqual([
    [1, 1, 0],
    [1, 0, 10],
    [1, 1, 0],
  ]);
});

test("so it is when the last block is damaged, or all are", () => {
  const { damage, drain, answers } = setUp();
  for (const value of ["value 1", "value 11", "value 21"]) damage(`${value}`);
  expect(drain()).toBe(0);
  expect(answers()).toEqual([
    [1, 0, 10],
    [1, 0, 10],
    [1, 0, 10],
  ]);
});

test("what was put back and is damaged then counts, too", () => {
  const { damage, drain, answers, log, receipts } = setUp();
  expect(drain(12)).toBe(29);
  log.untake(12);
  expect(answers()[1]).toEqual([0, 0, 0]);
  damage("value 12");
  expect(drain()).toBe(0);
  expect(answers()[1]).toEqual([1, 0, 1]);
  expect(receipts.accountOf(2, undefined)).toBe(2);
});

test("of two questions, neither is answered before its own messages are settled, whichever has lost some", () => {
  const receipts = new Receipts({ next: () => 9 });
  started.push(receipts);
  const asker = new ReceiptAsker(receipts.memory, () => {});
  asker.opened(1, 1, 0);
  receipts.wake();
  receipts.accountOf(1, undefined);
  receipts.onTaken(1, 1, 1, 0);
  asker.asked(1, 1);
  receipts.wake();
  receipts.onTaken(1, 2, 1, 0);
  asker.asked(1, 2);
  receipts.wake();
  // It was message 1 or 2: nobody knows.
  receipts.onLost(1, 1, 3, 1);
  expect(asker.answered(1, 1)).toBe(0);
  receipts.onSettled(1, 2, 1, "delivered");
  expect([asker.answered(1, 1), asker.clean(1), asker.discarded(1, 1), asker.delivered(1, 1)]).toEqual([2, 0, 1, 1]);
});
