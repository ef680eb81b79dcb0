// Files that are written over, and then a crash or a power cut: a start finds all that was safe, and nothing of what they had.
import { expect, test } from "bun:test";
import { findSegments } from "../../src/spool/recoverSegments.ts";
import { openSegment, scanSegment } from "../../src/spool/scan.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { DiskBench } from "./diskBench.ts";
import { DIRECTORY_ID } from "./logFixture.ts";

const ROUNDS = process.env.BRUCE_LONG === "1" ? 1500 : 80;

/** Messages come, are settled for the most part, and are made safe now and then; files are written over meanwhile. */
async function live(bench: DiskBench): Promise<void> {
  const { files, queue } = bench;
  const rounds = 5 + Math.floor(files.random() * 40);
  for (let round = 0; round < rounds; round++) {
    const length = Math.floor(files.random() * 400);
    for (let blocks = 1 + files.random() * 20; blocks > 0; blocks--) bench.append(1 + (round % 3), length);
    if (files.random() < 0.8) {
      bench.settle(bench.takeAll());
      bench.dropSettled();
    }
    if (files.random() < 0.3) await queue.syncNow();
  }
}

/** What a start says of it, and the numbers of all messages that are there then. */
function start(files: FakeFiles, { queue }: DiskBench) {
  const problems: string[] = [];
  const numbers = new Set<number>();
  const { segments } = findSegments({
    ...{ files, directory: "/log", quarantine: "/quarantine", directoryId: DIRECTORY_ID, gaps: false, repair: true },
    ...{ state: { read: queue.readPosition, head: queue.head }, onBlock: () => {} },
    onProblem: ({ why }) => void problems.push(why),
  });
  for (const { path } of segments) {
    const opened = openSegment(files, path);
    if ("problem" in opened) throw new Error(opened.problem.message);
    scanSegment({
      ...{ files, ...opened, damaged: () => {} },
      visit: ({ firstNumber, count }) => {
        for (let number = firstNumber; number < firstNumber + count; number++) numbers.add(number);
      },
    });
    files.close(opened.fd);
  }
  return { problems, numbers };
}

for (const how of ["process", "power"] as const)
  test(`after a crash (${how}) at any moment all that was safe is there, and no number that was never given`, async () => {
    let over = 0;
    for (let seed = 1; seed <= ROUNDS; seed++) {
      const files = new FakeFiles(seed);
      const bench = new DiskBench({ segmentSize: 3000 * (1 + (seed % 4)) }, files);
      await live(bench);
      const { lastNumber, synced } = bench.writer;
      const unread = bench.queue.readPosition.number;
      over += files.list("/log").filter((name) => name.endsWith(".spare")).length;
      files.crash(how);
      const { problems, numbers } = start(files, bench);
      const safe = how === "process" ? lastNumber : synced;
      for (let number = unread; number <= safe; number++)
        if (!numbers.has(number)) throw new Error(`${seed}: ${number}`);
      for (const number of numbers) if (number > lastNumber) throw new Error(`${seed}: ${number} was never given`);
      if (how === "process") expect(problems).toEqual([]);
    }
    expect(over).toBeGreaterThan(0);
  }, 300_000);
