// Whatever is in a segment's file, reading it ends, gives every good block and says where the others were.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { type Files, nodeFiles } from "../../src/spool/files.ts";
import { BLOCK_HEADER, SEGMENT_HEADER } from "../../src/spool/format.ts";
import { listSegments, openSegment, SegmentCursor, scanSegment } from "../../src/spool/scan.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { blockOf, frameOf } from "../support/segments.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(`${tmpdir()}/bruce-scan-`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let ordinal = 0;

interface Made {
  path: string;
  bytes: Buffer;
  /** Where each block begins, and where the last ends. */
  edges: number[];
  seed: number;
}

/** A segment with blocks of one message with such values. */
function make(values: string[], sealed = false): Made {
  const start = { directory, ordinal: ++ordinal, firstNumber: 1, previousEnd: 1, directoryId: "00".repeat(16) };
  const writer = SegmentWriter.create(nodeFiles, start);
  const edges = values.map((value, index) => {
    const block = blockOf(writer.seed, [frameOf("t", value)], { firstNumber: index + 1 });
    return writer.append(block, 0, block.length);
  });
  edges.push(writer.offset);
  if (sealed) writer.seal();
  writer.close();
  return { path: writer.path, bytes: readFileSync(writer.path), edges, seed: writer.seed };
}

function scan(path: string, files: Files = nodeFiles, from?: number) {
  const opened = openSegment(files, path);
  if ("problem" in opened) return { problem: opened.problem.kind };
  const found: string[] = [];
  const result = scanSegment({
    files,
    ...opened,
    from,
    visit(block, bytes, at, offset) {
      expect(bytes.readUInt32BE(at)).toBe(0x62726b31);
      expect(block.verify(bytes, at, opened.header.seed)).toBe(true);
      found.push(`${block.firstNumber}@${offset}`);
    },
    damaged: (from, to) => found.push(`${from}..${to}`),
  });
  files.close(opened.fd);
  return { found, ...result };
}

const values = ["one", "two", "three", "four", "five"];

test("every block comes, in order; the end of a sealed one is its index", () => {
  const open = make(values);
  const blocks = values.map((_, index) => `${index + 1}@${open.edges[index]}`);
  const end = open.edges.at(-1) as number;
  expect(scan(open.path)).toEqual({ found: blocks, end, torn: false, sealed: false, unreadable: false });
  expect(scan(open.path, nodeFiles, open.edges[3])).toMatchObject({ found: blocks.slice(3), end, torn: false });
  expect(scan(make(values, true).path)).toEqual({ found: blocks, end, torn: false, sealed: true, unreadable: false });
});

test("each byte flipped in turn costs its block and no other", () => {
  const { path, bytes, edges } = make(values, true);
  const dataEnd = edges.at(-1) as number;
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ (1 << (at % 8));
    writeFileSync(path, changed);
    const result = scan(path);
    if (at < SEGMENT_HEADER) {
      expect(result).toEqual({ problem: "damaged" });
      continue;
    }
    const hit = edges.findLastIndex((edge) => edge <= at);
    const expected = values.map((_, index) =>
      index === hit ? `${edges[index]}..${edges[index + 1]}` : `${index + 1}@${edges[index]}`,
    );
    // Flipping the footer is seen by the reader of the index alone; the index itself is a block like the others.
    const inIndex = at >= dataEnd && at < bytes.length - 16;
    const end = { end: dataEnd, torn: inIndex, sealed: !inIndex, unreadable: false };
    expect(result).toEqual({ found: expected, ...end });
  }
});

test("a file cut anywhere gives the blocks before the cut", () => {
  const { path, bytes, edges } = make(values);
  for (let size = 0; size < bytes.length; size++) {
    writeFileSync(path, bytes.subarray(0, size));
    if (size < SEGMENT_HEADER) {
      expect(scan(path)).toEqual({ problem: "short" });
      continue;
    }
    const whole = edges.filter((edge) => edge <= size).length - 1;
    const found = values.slice(0, whole).map((_, index) => `${index + 1}@${edges[index]}`);
    expect(scan(path)).toMatchObject({ found, end: edges[whole] as number, torn: size !== edges[whole] });
  }
});

test("neighbouring blocks that are damaged are one damage", () => {
  const { path, bytes, edges } = make(values);
  bytes.fill(0, (edges[1] as number) + 3, (edges[3] as number) + 3);
  writeFileSync(path, bytes);
  expect(scan(path)).toMatchObject({
    found: [`1@${edges[0]}`, `${edges[1]}..${edges[4]}`, `5@${edges[4]}`],
    torn: false,
  });
});

test("a block inside of a message is none, also when what surrounds it is damaged", () => {
  // Whoever writes messages knows the format, but not the seed.
  const forged = blockOf(12345, [frameOf("t", "forged")], { firstNumber: 3 }).toString("latin1");
  const start = { directory, ordinal: ++ordinal, firstNumber: 1, previousEnd: 1, directoryId: "00".repeat(16) };
  const writer = SegmentWriter.create(nodeFiles, start);
  const value = Buffer.from(forged.repeat(50), "latin1");
  const frame = frameOf("t", "x".repeat(value.length));
  value.copy(frame, frame.length - value.length);
  const edges = [1, 2].map((number) => {
    const block = blockOf(writer.seed, [frame], { firstNumber: number });
    return writer.append(block, 0, block.length);
  });
  writer.close();
  const bytes = readFileSync(writer.path);
  bytes[SEGMENT_HEADER + BLOCK_HEADER + 1] = 0xff;
  writeFileSync(writer.path, bytes);
  expect(scan(writer.path)).toMatchObject({ found: [`${edges[0]}..${edges[1]}`, `2@${edges[1]}`] });
});

test("blocks larger than what is read at a time come whole, between small ones, and damage in them is found", () => {
  const large = "L".repeat(3_000_000);
  const { path, bytes, edges } = make(["a", large, "b", large, "c", "x".repeat(2 ** 20 - 300), "d"]);
  expect(scan(path)).toMatchObject({ found: edges.slice(0, -1).map((edge, index) => `${index + 1}@${edge}`) });
  bytes[(edges[3] as number) + 2_000_000] = 0;
  writeFileSync(path, bytes);
  const found = edges
    .slice(0, -1)
    .map((edge, index) => (index === 3 ? `${edge}..${edges[4]}` : `${index + 1}@${edge}`));
  expect(scan(path)).toMatchObject({ found, torn: false });
});

test("a cursor goes on when the file has grown, and reads nothing behind the limit", () => {
  const { path, bytes, edges } = make(values);
  const opened = openSegment(nodeFiles, path);
  if ("problem" in opened) throw new Error(opened.problem.message);
  const behind: number[] = [];
  const files: Files = {
    ...nodeFiles,
    read(fd, into, start, end, position) {
      behind.push(position + end - start);
      return nodeFiles.read(fd, into, start, end, position);
    },
  };
  const cursor = new SegmentCursor(files, opened.fd, opened.header);
  for (let index = 0; index < values.length; index++) {
    const limit = edges[index + 1] as number;
    expect<unknown[]>([cursor.step(limit), cursor.block.firstNumber, cursor.offset]).toEqual([
      "block",
      index + 1,
      edges[index],
    ]);
    expect([cursor.step(limit), cursor.torn]).toEqual(["end", false]);
    expect(Math.max(...behind)).toBe(limit);
    if (index === 2) cursor.rest();
  }
  cursor.moveTo(edges[1] as number);
  expect([cursor.step(bytes.length), cursor.block.firstNumber]).toEqual(["block", 2]);
  nodeFiles.close(opened.fd);
});

test("a sector that cannot be read costs the blocks in it, and it is said", () => {
  const { path, edges } = make(["a", "b".repeat(6000), "c".repeat(3000), "d"]);
  const files: Files = {
    ...nodeFiles,
    read(fd, into, start, end, position) {
      if (position < 8192 && position + end - start > 4096) throw Object.assign(new Error("EIO"), { code: "EIO" });
      return nodeFiles.read(fd, into, start, end, position);
    },
  };
  expect(scan(path, files)).toMatchObject({
    found: [`1@${edges[0]}`, `${edges[1]}..${edges[3]}`, `4@${edges[3]}`],
    unreadable: true,
  });
});

test("only files named as segments are listed, in order", () => {
  const place = mkdtempSync(`${directory}/list-`);
  for (const name of ["0000000010.segment", "0000000009.segment", "9.segment", "0000000011.segment.tmp", "lock"]) {
    writeFileSync(`${place}/${name}`, "");
  }
  expect(listSegments(nodeFiles, place)).toEqual([
    { ordinal: 9, path: `${place}/0000000009.segment` },
    { ordinal: 10, path: `${place}/0000000010.segment` },
  ]);
  expect(listSegments(nodeFiles, `${place}/none`)).toEqual([]);
  expect(openSegment(nodeFiles, `${place}/none`)).toMatchObject({ problem: { kind: "unreadable" } });
});
