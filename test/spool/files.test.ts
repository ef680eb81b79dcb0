// Bytes are written and read in full, however little each call takes.
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readAll, readWhole, writeAll } from "../../src/spool/files.ts";
import { FakeFiles } from "../support/fakeFiles.ts";

test("short writes and reads are gone on with", () => {
  const files = new FakeFiles(9);
  files.makeDirectory("/d");
  files.setFaults({ shortWrite: 0.9, shortRead: 0.9 });
  const bytes = randomBytes(10_000);
  const fd = files.open("/d/f", "wx+");
  writeAll(files, fd, bytes, 100, 9000, 50);
  expect(readWhole(files, "/d/f")).toEqual(Buffer.concat([Buffer.alloc(50), bytes.subarray(100, 9000)]));
  const into = Buffer.alloc(10_000);
  expect(readAll(files, fd, into, 7, 10_000, 8000)).toBe(7 + 950);
  expect(into.subarray(7, 957)).toEqual(bytes.subarray(8050, 9000));
});

test("a write that takes nothing is an error, not a loop", () => {
  const files = new FakeFiles();
  files.put("/f", Buffer.alloc(0));
  const fd = files.open("/f", "r+");
  files.write = () => 0;
  expect(() => writeAll(files, fd, Buffer.alloc(1), 0, 1, 0)).toThrow("EIO");
});
