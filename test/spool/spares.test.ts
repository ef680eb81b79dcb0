// A segment that is written over an old one's file: whatever moment it is left at, nothing of the old one comes back.
import { expect, test } from "bun:test";
import { SEGMENT_HEADER } from "../../src/spool/format.ts";
import { findSegments } from "../../src/spool/recoverSegments.ts";
import { openSegment, scanSegment } from "../../src/spool/scan.ts";
import { readIndex } from "../../src/spool/segmentIndex.ts";
import { SegmentWriter, segmentName, spareName } from "../../src/spool/segmentWriter.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { blockOf, frameOf } from "../support/segments.ts";
import { DiskBench, freshStart } from "./diskBench.ts";
import { DIRECTORY_ID, range } from "./logFixture.ts";

const OLD = 20_000;

function start(ordinal: number, firstNumber: number) {
  return { directory: "/log", ordinal, firstNumber, previousEnd: firstNumber, directoryId: DIRECTORY_ID };
}

function append(writer: SegmentWriter, firstNumber: number, length: number): void {
  const bytes = blockOf(writer.seed, [frameOf("t", "x".repeat(length))], { firstNumber });
  writer.append(bytes, 0, bytes.length);
}

/** A file to be written over, full of blocks of that length. */
function withSpare(length = 150): FakeFiles {
  const files = new FakeFiles();
  files.makeDirectory("/log");
  const old = SegmentWriter.create(files, start(1, 1));
  for (let number = 1; old.offset < OLD; number++) append(old, number, length);
  old.seal();
  old.close();
  files.rename(old.path, `/log/${spareName(1)}`);
  return files;
}

const over = (files: FakeFiles) => SegmentWriter.over(files, start(7, 1001), `/log/${spareName(1)}`);

function scan(files: FakeFiles, path = `/log/${segmentName(7)}`) {
  const opened = openSegment(files, path);
  if ("problem" in opened) throw new Error(opened.problem.message);
  const found: number[] = [];
  const { torn, sealed, end } = scanSegment({
    ...{ files, ...opened },
    visit: ({ firstNumber }) => void found.push(firstNumber),
    damaged: () => void found.push(-1),
  });
  files.close(opened.fd);
  return { found, torn, sealed, end };
}

test("at every write of every block, whole ones are there, and nothing else is, not even a torn end", () => {
  const lengths = [10, 100, 4000, 1, 3000, 150, 150, 9000, 60, 8000, 700];
  for (let fatal = 1; ; fatal++) {
    const files = withSpare();
    const written: number[] = [];
    files.dieAfter(fatal);
    let over7: SegmentWriter | undefined;
    try {
      over7 = over(files);
      for (const [index, length] of lengths.entries()) {
        append(over7, 1001 + index, length);
        written.push(1001 + index);
      }
      over7.seal();
    } catch (error) {
      if (!files.dead) throw error;
    }
    const died = files.dead;
    files.crash("process");
    if (!files.exists(`/log/${segmentName(7)}`)) {
      // Not begun: it is no segment yet.
      expect(files.list("/log")).toEqual([spareName(1)]);
      continue;
    }
    const { found, torn, sealed } = scan(files);
    // The write in which it died may have been done.
    expect([written, [...written, 1001 + written.length]]).toContainEqual(found);
    // Unless it was the index that was cut, or the header of a block.
    if (torn) expect(found.length === lengths.length || headerIsCut(files)).toBe(true);
    if (died) continue;
    expect([found.length, sealed]).toEqual([lengths.length, true]);
    break;
  }
});

/** Where the last block ends, there is a part of a header. */
function headerIsCut(files: FakeFiles): boolean {
  const { end } = scan(files);
  const header = files.content(`/log/${segmentName(7)}`).subarray(end, end + 64);
  return header.includes(0) && header.subarray(-1)[0] === 0;
}

test("a sealed one ends with its index, however much longer or shorter the old one was", () => {
  for (const blocks of [1, 20, 200]) {
    const files = withSpare();
    const writer = over(files);
    for (let index = 0; index < blocks; index++) append(writer, 1001 + index, 150);
    const index = writer.seal();
    expect(files.content(writer.path).length).toBe(writer.offset);
    expect(writer.fileBytes).toBe(writer.offset);
    writer.close();
    const opened = openSegment(files, writer.path);
    if ("problem" in opened) throw new Error(opened.problem.message);
    expect(readIndex(files, opened.fd, opened.header)).toEqual(index);
    expect(opened.header).toMatchObject({ ordinal: 7, firstNumber: 1001 });
  }
});

test("blocks of the old one lie where new ones would, and are none", () => {
  const files = withSpare(150);
  const writer = over(files);
  for (let index = 0; index < 40; index++) {
    append(writer, 1001 + index, 150);
    const { found, torn, end } = scan(files);
    expect({ found, torn, end }).toEqual({ found: range(1001, 1002 + index), torn: false, end: writer.offset });
  }
});

test("a write that fails leaves nothing of the old one either", () => {
  for (const code of ["ENOSPC", "EIO"]) {
    const files = withSpare();
    const writer = over(files);
    append(writer, 1001, 200);
    files.failNext("write", code);
    expect(() => append(writer, 1002, 5000)).toThrow(code);
    expect([writer.broken, writer.fileBytes]).toEqual([code === "EIO", writer.offset]);
    if (code === "ENOSPC") append(writer, 1002, 300);
    expect(scan(files)).toMatchObject({ found: code === "EIO" ? [1001] : [1001, 1002], torn: false });
  }
});

function recover(files: FakeFiles) {
  const problems: string[] = [];
  const { segments, claimedEnd } = findSegments({
    ...{ files, directory: "/log", quarantine: "/quarantine", directoryId: DIRECTORY_ID, state: undefined },
    ...{ gaps: false, repair: true, onBlock: () => {} },
    onProblem: ({ why }) => void problems.push(why),
  });
  return {
    segments: segments.map(({ ordinal, end, messages, size }) => [ordinal, end, messages, size]),
    problems,
    claimedEnd,
  };
}

test("a start cuts off what is left of the old one, and has nothing to tell of it", () => {
  for (const blocks of [0, 1, 30]) {
    const files = withSpare();
    const writer = over(files);
    for (let index = 0; index < blocks; index++) append(writer, 1001 + index, 150);
    const { offset } = writer;
    files.crash("process");
    expect(recover(files)).toEqual({
      segments: [[7, 1001 + blocks, blocks, offset]],
      problems: [],
      claimedEnd: 0,
    });
    expect(files.content(writer.path).length).toBe(offset);
    expect(files.exists("/quarantine")).toBe(false);
  }
});

test("with its header damaged it gets its own again, or none: never that of the old one", () => {
  for (const blocks of [0, 1, 30]) {
    const files = withSpare();
    const writer = over(files);
    for (let index = 0; index < blocks; index++) append(writer, 1001 + index, 150);
    const { path, offset } = writer;
    files.crash("process");
    const bytes = Buffer.from(files.content(path));
    bytes[20] = 99;
    files.put(path, bytes);
    const { segments, problems } = recover(files);
    expect(segments).toEqual(blocks === 0 ? [] : [[7, 1001 + blocks, blocks, offset]]);
    expect(problems).toHaveLength(1);
  }
});

test("a damaged last block is told of, and what it says it had is known", () => {
  const files = withSpare();
  const writer = over(files);
  append(writer, 1001, 150);
  append(writer, 1002, 150);
  const { path, offset } = writer;
  files.crash("process");
  const bytes = Buffer.from(files.content(path));
  bytes[offset - 10] = 1;
  files.put(path, bytes);
  const why = "the end of the log is cut or damaged; it was cut off and set aside";
  expect(recover(files)).toMatchObject({ segments: [[7, 1002, 1, 307]], problems: [why], claimedEnd: 1003 });
});

test("what is no sealed segment is not written over, and neither is a segment that exists", () => {
  const files = withSpare();
  files.put(`/log/${spareName(2)}`, Buffer.alloc(5000));
  expect(() => SegmentWriter.over(files, start(7, 1001), `/log/${spareName(2)}`)).toThrow("no segment");
  SegmentWriter.create(files, start(7, 1001)).close();
  expect(() => over(files)).toThrow("EEXIST");
  expect(files.content(`/log/${segmentName(7)}`).length).toBe(SEGMENT_HEADER);
  expect(files.openFiles).toBe(0);
});

/** What the files have in all. */
function bytesIn(files: FakeFiles): number {
  return files.list("/log").reduce((sum, name) => sum + files.content(`/log/${name}`).length, 0);
}

function churn(bench: DiskBench, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    for (let block = 0; block < 20; block++) bench.append(3, (round * block * 7) % 300);
    for (let numbers = bench.take(); numbers !== undefined; numbers = bench.take()) bench.settle(numbers);
    bench.queue.dropSegments(bench.queue.segmentsToDelete());
    expect(bench.queue.bytesOnDisk).toBe(bytesIn(bench.files));
  }
}

const spares = (bench: DiskBench) => bench.files.list("/log").filter((name) => name.endsWith(".spare")).length;

test("while messages come, files are written over; what they have is counted; a stop deletes what is left", async () => {
  const bench = new DiskBench({ segmentSize: 3000 });
  churn(bench, 60);
  expect(spares(bench)).toBeGreaterThan(0);
  expect(spares(bench)).toBeLessThanOrEqual(5);
  await bench.queue.stop();
  expect(spares(bench)).toBe(0);
  expect(bench.queue.bytesOnDisk).toBe(bytesIn(bench.files));
  expect([bench.lost, bench.damage]).toEqual([[], []]);
});

test("none are kept where room is short, and after a sync that failed; a start deletes what a crash left", async () => {
  const small = new DiskBench({ segmentSize: 3000, limit: 12_000 });
  churn(small, 10);
  small.queue.setLimit(4000);
  expect(spares(small)).toBe(0);
  expect(small.queue.bytesOnDisk).toBe(bytesIn(small.files));

  const bench = new DiskBench({ segmentSize: 3000 });
  churn(bench, 10);
  expect(spares(bench)).toBeGreaterThan(0);
  bench.append(3);
  bench.files.failNext("sync", "EIO");
  await bench.queue.syncNow();
  bench.queue.setLimit(1 << 30);
  churn(bench, 10);
  expect(spares(bench)).toBe(0);

  const left = new DiskBench({ segmentSize: 3000 });
  churn(left, 10);
  expect(spares(left)).toBeGreaterThan(0);
  left.files.crash("process");
  expect(spares(new DiskBench({ start: freshStart() }, left.files))).toBe(0);
});

test("a file that is being synced is none: its failure would be that of what is written there by then", async () => {
  const bench = new DiskBench({ segmentSize: 3000 });
  const { files, queue } = bench;
  for (let block = 0; block < 40; block++) bench.append(3, 200);
  files.holdSyncs = true;
  const synced = queue.syncNow();
  await Bun.sleep(0);
  bench.settle(bench.takeAll());
  const [first = 0] = bench.dropSettled();
  expect(files.exists(`/log/${spareName(first)}`)).toBe(false);
  expect(files.exists(`/log/${segmentName(first)}`)).toBe(false);
  expect(spares(bench)).toBeGreaterThan(0);
  files.holdSyncs = false;
  files.releaseSyncs();
  await synced;
  await queue.stop();
});

test("what comes is written over them as long as there are any, before it takes more room", () => {
  const bench = new DiskBench({ segmentSize: 3000, limit: 30_000 });
  churn(bench, 4);
  const before = bench.queue.bytesOnDisk;
  expect(spares(bench)).toBeGreaterThan(1);
  while (spares(bench) > 0) {
    expect(bench.append(3, 200)).toBeGreaterThan(0);
    expect(bench.queue.bytesOnDisk).toBe(bytesIn(bench.files));
    expect(bench.queue.bytesOnDisk).toBeLessThan(before + 3000);
  }
});

test("they go at once when the disk refuses: it may be full", () => {
  const bench = new DiskBench({ segmentSize: 3000 });
  churn(bench, 10);
  expect(spares(bench)).toBeGreaterThan(0);
  bench.files.failNext("write", "ENOSPC");
  for (let block = 0; block < 20; block++) bench.append(3, 200);
  expect([bench.states, spares(bench)]).toEqual([["degraded"], 0]);
  expect(bench.queue.bytesOnDisk).toBe(bytesIn(bench.files));
});

test("one that cannot be opened when it is needed stays counted as long as it is there", () => {
  const bench = new DiskBench({ segmentSize: 3000 });
  churn(bench, 10);
  expect(spares(bench)).toBeGreaterThan(0);
  for (let block = 0; block < 30; block++) {
    bench.files.failNext("open", "EMFILE");
    bench.append(3, 200);
    expect(bench.queue.bytesOnDisk).toBe(bytesIn(bench.files));
  }
});
