// What is damaged is kept for somebody to look at, the newest of it, and never more than is allowed.
import { expect, test } from "bun:test";
import { QUARANTINE_LIMIT, quarantinedBytes, setAside, setFileAside } from "../../src/spool/quarantine.ts";
import { FakeFiles } from "../support/fakeFiles.ts";

const QUARANTINE = "/data/quarantine";
const PATH = "/data/log/0000000001.segment";

test("the bytes are kept under the name of the file and the place", () => {
  const files = new FakeFiles();
  files.put(PATH, Buffer.from("all is damaged here"));
  setAside(files, QUARANTINE, PATH, 7, 14);
  expect(files.list(QUARANTINE)).toEqual(["00000001-log.0000000001.segment-7"]);
  expect(files.content(`${QUARANTINE}/00000001-log.0000000001.segment-7`).toString()).toBe("damaged");
  expect(setFileAside(files, QUARANTINE, PATH, 19)).toBe(true);
  expect(files.exists(PATH)).toBe(false);
  expect(files.list(QUARANTINE)).toContain("00000002-log.0000000001.segment-0");
  expect(quarantinedBytes(files, QUARANTINE)).toBe(26);
});

test("the oldest go first", () => {
  const files = new FakeFiles();
  files.put(PATH, Buffer.alloc(QUARANTINE_LIMIT / 4));
  for (let round = 0; round < 10; round++) setAside(files, QUARANTINE, PATH, round, QUARANTINE_LIMIT);
  const names = files.list(QUARANTINE);
  expect(names.map((name) => Number(name.slice(0, 8)))).toEqual([7, 8, 9, 10]);
  expect(quarantinedBytes(files, QUARANTINE)).toBeLessThanOrEqual(QUARANTINE_LIMIT);
});

test.each(["open", "write", "list", "rename", "read", "remove"] as const)(
  "a disk that fails %s is no obstacle",
  (call) => {
    const files = new FakeFiles();
    files.put(PATH, Buffer.from("all is damaged here"));
    files.failNext(call, "EIO");
    setAside(files, QUARANTINE, PATH, 0, 100);
    files.failNext(call, "EIO");
    setFileAside(files, QUARANTINE, PATH, 19);
    setAside(files, QUARANTINE, "/data/log/none.segment", 0, 100);
    expect(setFileAside(files, QUARANTINE, "/data/log/none.segment", 0)).toBe(false);
  },
);

test("no more than some hundred files are kept, however small they are", () => {
  const files = new FakeFiles();
  files.put(PATH, Buffer.alloc(1000));
  for (let at = 0; at < 500; at++) setAside(files, QUARANTINE, PATH, at, at + 1);
  const names = files.list(QUARANTINE);
  expect(names.length).toBe(200);
  expect(names.at(-1)).toEndWith("-499");
});

test("a full disk keeps no half of it", () => {
  const files = new FakeFiles();
  files.put(PATH, Buffer.alloc(100_000));
  files.capacity = 150_000;
  setAside(files, QUARANTINE, PATH, 0, 100_000);
  expect(files.list(QUARANTINE)).toEqual([]);
});

test("a directory that was set aside is in nobody's way", () => {
  const files = new FakeFiles();
  files.makeDirectory("/data/checkpoint.0");
  files.put("/data/checkpoint.0/x", Buffer.from("x"));
  expect(setFileAside(files, QUARANTINE, "/data/checkpoint.0", 0)).toBe(true);
  files.put(PATH, Buffer.alloc(QUARANTINE_LIMIT));
  for (let round = 0; round < 3; round++) setAside(files, QUARANTINE, PATH, round, QUARANTINE_LIMIT);
  expect(files.list(QUARANTINE)).toEqual(["00000001-data.checkpoint.0-0", "00000004-log.0000000001.segment-2"]);
});
