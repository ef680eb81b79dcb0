// Messages that wait, read while the daemon writes over the file of an older segment.
import { expect, test } from "bun:test";
import { waitingMessages } from "../../src/commands/spoolMessages.ts";
import type { SpoolView } from "../../src/commands/spoolView.ts";
import type { Files } from "../../src/spool/files.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { blockOf, frameOf } from "../support/segments.ts";

test("a block that was written while it was read is none that is damaged", () => {
  const fake = new FakeFiles();
  fake.makeDirectory("/log");
  const start = { directory: "/log", ordinal: 1, firstNumber: 1, previousEnd: 1, directoryId: "0".repeat(32) };
  const writer = SegmentWriter.create(fake, start);
  const offsets = [1, 2, 3].map((firstNumber) => {
    const bytes = blockOf(writer.seed, [frameOf("t", "value")], { firstNumber });
    return writer.append(bytes, 0, bytes.length);
  });
  const [, second = 0] = offsets;
  let reads = 0;
  const read = fake.read.bind(fake);
  fake.read = (...[fd, into, from, to, position]: Parameters<Files["read"]>) => {
    const count = read(fd, into, from, to, position);
    // The page with the header of the second block was read before that was there, the one with the third after.
    const at = second - position + from;
    if (position > 0 && at >= from && at + 64 <= from + count && reads++ === 0) into.fill(0, at, at + 64);
    return count;
  };
  const segments = [{ path: writer.path, firstNumber: 1, end: Number.POSITIVE_INFINITY }];
  const log = { topic: undefined, segments, readFrom: 1, mayWait: () => true, waits: () => true };
  const damage: number[] = [];
  const source = { files: fake, topics: undefined, onDamage: (_: string, offset: number) => void damage.push(offset) };
  const numbers = [...waitingMessages({ logs: [log] } as unknown as SpoolView, source)].map(({ number }) => number);
  expect({ numbers, damage, reads: reads > 1 }).toEqual({ numbers: [1, 2, 3], damage: [], reads: true });
});
