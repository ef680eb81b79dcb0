// What an earlier run left in held logs is found by those who wait there, also when all of it is in a batch.
import { expect, test } from "bun:test";
import { BufferPool } from "../../src/route/bufferPool.ts";
import { HeldFrames } from "../../src/route/heldFrames.ts";
import { MemoryBudget, MemoryUse } from "../../src/route/memoryBudget.ts";
import { HeldLogs } from "../../src/spool/heldLogs.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { findHeldLogs } from "../../src/spool/recoverHeld.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { frameOf, testPipeline } from "../support/testPipeline.ts";

const ID = "0".repeat(32);

test("a message that comes back out of a batch goes to where it was on disk, and is not lost behind the reader", async () => {
  const files = new FakeFiles();
  files.makeDirectory("/held");
  const open = () => new HeldLogs({ files, directory: "/held", directoryId: ID, cap: 1 << 30, segment: 1 << 20 });
  const before = open();
  const frames = new HeldFrames(new BufferPool(1 << 20), new MemoryUse(new MemoryBudget(1 << 30)));
  for (let number = 1; number <= 10; number++) {
    const frame = frameOf({ value: `${number}`, partitionKey: 0 });
    frames.append(number, frame, 0, frame.length);
  }
  before.open("t", 0).take(frames, () => {});
  before.open("t", 0).drain(
    () => true,
    () => true,
  );
  const [state] = before.states();
  if (state === undefined) throw new Error("there is no log");
  files.crash("process");
  const search = { files, directory: "/held", quarantine: "/quarantine", directoryId: ID, repair: true };
  const segments = findHeldLogs({ ...search, states: [state], onProblem: () => {} })[0]?.found.segments ?? [];
  let lost = 0;
  const held = new HeldLogs({
    ...{ files, directory: "/held", directoryId: ID, cap: 1 << 30, segment: 1 << 20 },
    onLost: (_topic, count) => {
      lost += count;
    },
  });
  held.restore([
    {
      ...state,
      segments,
      again: new NumberSet(),
      skip: new NumberSet(),
      open: state.unsettled,
      unread: 0,
      nextOrdinal: 9,
    },
  ]);
  await using it = await testPipeline(() => {}, {}, { held });
  const topic = it.pipeline.topics.find(Buffer.from("t"), 0, 1);
  const partition = topic?.ensurePartition(0);
  if (topic === undefined || partition === undefined) throw new Error("too many topics");
  const waiting = topic.waitingOf(partition);
  expect(waiting.owns(3)).toBe(true);
  const { frame, done } = waiting.putBack((numbers) => held.settle("t", numbers, "moved"));
  for (let number = 1; number <= 10; number++) {
    const bytes = frameOf({ value: `${number}`, partitionKey: 0 });
    frame(number, bytes, 0, bytes.length, { source: 0, receivedAt: 0, session: undefined });
  }
  done();
  const out = new MessageNumbers();
  waiting.drain(
    () => true,
    (number) => {
      out.append(number);
      return true;
    },
  );
  expect([out.count, out.first, out.last, lost, held.unsettled]).toEqual([10, 1, 10, 0, 10]);
});
