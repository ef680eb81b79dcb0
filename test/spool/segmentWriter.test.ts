// A segment ends in an index that says what is in it, and a block that failed leaves nothing behind.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { type Files, nodeFiles } from "../../src/spool/files.ts";
import { SEGMENT_HEADER } from "../../src/spool/format.ts";
import { openSegment, scanSegment } from "../../src/spool/scan.ts";
import { readIndex } from "../../src/spool/segmentIndex.ts";
import { SegmentWriter, segmentName } from "../../src/spool/segmentWriter.ts";
import { blockOf, frameOf } from "../support/segments.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/bruce-segment-`);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const directoryId = randomBytes(16).toString("hex");

function create(files: Files = nodeFiles, ordinal = 1, firstNumber = 1): SegmentWriter {
  return SegmentWriter.create(files, { directory, ordinal, firstNumber, previousEnd: firstNumber, directoryId }, 1234);
}

function firstNumbersIn(path: string): number[] {
  const opened = openSegment(nodeFiles, path);
  if ("problem" in opened) throw new Error(opened.problem.message);
  const found: number[] = [];
  const visit = (block: { firstNumber: number }) => found.push(block.firstNumber);
  const damaged = () => found.push(-1);
  const { torn } = scanSegment({ files: nodeFiles, ...opened, visit, damaged });
  if (torn) found.push(-2);
  nodeFiles.close(opened.fd);
  return found;
}

/** Fails the next write after that many bytes of it. */
function failing(): Files & { failAfter: number; code: string } {
  return {
    ...nodeFiles,
    failAfter: -1,
    code: "ENOSPC",
    write(fd, bytes, start, end, position) {
      if (this.failAfter < 0) return nodeFiles.write(fd, bytes, start, end, position);
      const part = this.failAfter;
      this.failAfter = 0;
      if (part > 0) return nodeFiles.write(fd, bytes, start, start + part, position);
      this.failAfter = -1;
      throw Object.assign(new Error(`${this.code}: as asked`), { code: this.code });
    },
  };
}

test("a sealed segment's index says what is in it, and where", () => {
  const writer = create(nodeFiles, 7, 100);
  expect(writer.path).toBe(`${directory}/${segmentName(7)}`);
  const session = randomBytes(16);
  const append = (...block: Parameters<typeof blockOf> extends [number, ...infer Rest] ? Rest : never) => {
    const bytes = blockOf(writer.seed, ...block);
    return writer.append(bytes, 0, bytes.length);
  };
  const large = "v".repeat(40_000);
  expect(append([frameOf("a", "1"), frameOf("b", "2")], { firstNumber: 100 })).toBe(SEGMENT_HEADER);
  const second = append([frameOf("a", large)], { firstNumber: 102, session, position: 9, receivedAt: 5 });
  append([frameOf("__proto__", large)], { firstNumber: 103, session, position: 12, receivedAt: 6 });
  const fourth = append([frameOf("b", "5"), frameOf("b", "6")], {}, [200, 900]);
  expect(second).toBeLessThan(fourth);
  expect([writer.messages, writer.end]).toEqual([6, 901]);
  const dataEnd = writer.offset;
  const index = writer.seal();
  writer.close();
  expect(index).toEqual({
    first: 100,
    end: 901,
    messages: 6,
    topics: new Map([
      ["a", 2],
      ["b", 3],
      ["__proto__", 1],
    ]),
    sessions: new Map([[session.toString("hex"), { position: 13, receivedAt: 6 }]]),
    offsets: [
      [100, SEGMENT_HEADER],
      [200, fourth],
    ],
    dataEnd,
  });
  const opened = openSegment(nodeFiles, writer.path);
  if ("problem" in opened) throw new Error(opened.problem.message);
  expect(opened.header).toMatchObject({ ordinal: 7, firstNumber: 100, previousEnd: 100, createdAt: 1234, directoryId });
  expect(opened.size).toBe(writer.offset);
  expect(readIndex(nodeFiles, opened.fd, opened.header)).toEqual(index);
  expect(readIndex(nodeFiles, opened.fd, { ...opened.header, seed: opened.header.seed ^ 1 })).toBeUndefined();
  nodeFiles.close(opened.fd);
  expect(firstNumbersIn(writer.path)).toEqual([100, 102, 103, 200]);
});

test("a segment without a message can be sealed", () => {
  const writer = create(nodeFiles, 1, 50);
  const index = writer.seal();
  expect([index.first, index.end, index.messages, index.dataEnd]).toEqual([50, 50, 0, SEGMENT_HEADER]);
  writer.close();
  expect(firstNumbersIn(writer.path)).toEqual([]);
});

test("more topics than an index names are counted together", () => {
  const writer = create();
  let number = 1;
  for (let i = 0; i < 10_050; i += 50) {
    const frames = Array.from({ length: 100 }, (_, j) => frameOf(`topic-${i + (j % 50)}`, "x"));
    const block = blockOf(writer.seed, frames, { firstNumber: number });
    writer.append(block, 0, block.length);
    number += 100;
  }
  const { topics, messages } = writer.seal();
  writer.close();
  expect(messages).toBe(20_100);
  expect([topics.size, topics.get("topic-0"), topics.get("topic-9999"), topics.get("")]).toEqual([10_001, 2, 2, 100]);
});

test("a block that failed halfway is written over by the next one, however short that is", () => {
  for (const truncates of [true, false]) {
    const files = failing();
    if (!truncates) {
      let refused = 0;
      files.truncate = (fd, size) => {
        if (refused++ === 0) throw Object.assign(new Error("EIO"), { code: "EIO" });
        nodeFiles.truncate(fd, size);
      };
    }
    const writer = create(files, truncates ? 1 : 2);
    const long = blockOf(writer.seed, [frameOf("t", "v".repeat(5000))], { firstNumber: 1 });
    const short = blockOf(writer.seed, [frameOf("t", "v")], { firstNumber: 2 });
    files.failAfter = 4000;
    expect(() => writer.append(long, 0, long.length)).toThrow("ENOSPC");
    expect([writer.broken, writer.offset, writer.messages]).toEqual([false, SEGMENT_HEADER, 0]);
    expect(writer.append(short, 0, short.length)).toBe(SEGMENT_HEADER);
    expect(firstNumbersIn(writer.path)).toEqual(truncates ? [2] : [2, -2]);
    const index = writer.seal();
    writer.close();
    expect(index.messages).toBe(1);
    expect(firstNumbersIn(writer.path)).toEqual([2]);
    const opened = openSegment(nodeFiles, writer.path);
    if ("problem" in opened) throw new Error(opened.problem.message);
    expect(readIndex(nodeFiles, opened.fd, opened.header)).toEqual(index);
    nodeFiles.close(opened.fd);
  }
});

test("after an EIO nothing more is written", () => {
  const files = failing();
  const writer = create(files);
  const block = blockOf(writer.seed, [frameOf("t", "v")], { firstNumber: 1 });
  files.failAfter = 0;
  files.code = "EIO";
  expect(() => writer.append(block, 0, block.length)).toThrow("EIO");
  expect(writer.broken).toBe(true);
  expect(() => writer.append(block, 0, block.length)).toThrow("takes nothing more");
  expect(() => writer.seal()).toThrow("takes nothing more");
  writer.close();
});

test("sealing that failed can be tried again", () => {
  const files = failing();
  const writer = create(files);
  const block = blockOf(writer.seed, [frameOf("t", "v")], { firstNumber: 1 });
  writer.append(block, 0, block.length);
  const { offset } = writer;
  files.failAfter = 20;
  expect(() => writer.seal()).toThrow("ENOSPC");
  expect([writer.sealed, writer.offset]).toEqual([false, offset]);
  expect(writer.seal().messages).toBe(1);
  expect(writer.sealed).toBe(true);
  writer.close();
});

test("a segment that cannot be made leaves no file", () => {
  const files = failing();
  files.failAfter = 10;
  expect(() => create(files)).toThrow("ENOSPC");
  expect(nodeFiles.list(directory)).toEqual([]);
  expect(() => create(nodeFiles).close()).not.toThrow();
  expect(() => create(nodeFiles)).toThrow("EEXIST");
});

test("what is not one block is refused before anything is written", () => {
  const writer = create();
  const block = blockOf(writer.seed, [frameOf("t", "v")], { firstNumber: 1 });
  const two = Buffer.concat([block, block]);
  expect(() => writer.append(two, 0, two.length)).toThrow(RangeError);
  expect(() => writer.append(block, 0, block.length - 1)).toThrow(RangeError);
  expect(writer.append(two, 0, block.length)).toBe(SEGMENT_HEADER);
  writer.close();
});
