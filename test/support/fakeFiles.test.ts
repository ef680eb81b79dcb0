// The file system in memory does what the real one does, and loses what a power cut would lose, no more.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import { codeOf, type Files, nodeFiles, readWhole, writeAll } from "../../src/spool/files.ts";
import { FakeFiles } from "./fakeFiles.ts";

function write(files: Files, fd: number, text: string, position: number): void {
  const bytes = Buffer.from(text);
  writeAll(files, fd, bytes, 0, bytes.length, position);
}

function attempt(action: () => unknown): unknown {
  try {
    return action() ?? "done";
  } catch (error) {
    return codeOf(error);
  }
}

function isDirectory(files: Files, path: string): boolean {
  return files.exists(path) && attempt(() => files.list(path)) !== "ENOTDIR";
}

const name = fc.constantFrom("a", "b", "sub", "sub/a", "sub/deep/c");
const step = fc.oneof(
  fc.record({ do: fc.constantFrom("list", "exists", "makeDirectory", "remove", "removeDirectory"), name }),
  fc.record({ do: fc.constant("rename"), name, to: fc.constantFrom("a", "b", "sub/a") }),
  fc.record({ do: fc.constant("open"), name, flags: fc.constantFrom("r", "r+", "wx+", "w+") }),
  fc.record({ do: fc.constant("write"), at: fc.nat(9000), length: fc.nat(9000) }),
  fc.record({ do: fc.constant("truncate"), size: fc.nat(9000) }),
);

test("without faults it does what the real one does", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const root = mkdtempSync(`${tmpdir()}/bruce-files-`);
      const fake = new FakeFiles();
      fake.makeDirectory(root);
      const run = (files: Files): unknown[] => {
        const fds: number[] = [];
        const answers = steps.map((step) => {
          const path = `${root}/${"name" in step ? step.name : ""}`;
          const fd = fds.at(-1);
          if ("flags" in step) {
            // A directory may be opened for reading, and then not be read.
            if (step.flags === "r" && isDirectory(files, path)) return "skipped";
            return attempt(() => {
              fds.push(files.open(path, step.flags as "r"));
            });
          }
          if ("to" in step) {
            // What replaces a directory, or lies in itself, differs from system to system.
            if (!files.exists(path) || files.list(root).includes("sub")) return "skipped";
            return attempt(() => files.rename(path, `${root}/${step.to}`));
          }
          if ("length" in step) {
            return fd === undefined ? "" : attempt(() => write(files, fd, "x".repeat(step.length), step.at));
          }
          if ("size" in step) return fd === undefined ? "" : attempt(() => files.truncate(fd, step.size));
          const answer = attempt(() => files[step.do as "list"](path));
          return answer === "EPERM" ? "EISDIR" : answer; // removing a directory as a file: either, by system
        });
        const contents = ["a", "b", "sub/a", "sub/deep/c"].map((file) =>
          attempt(
            () => isDirectory(files, `${root}/${file}`) || readWhole(files, `${root}/${file}`).toString("latin1"),
          ),
        );
        for (const fd of fds) files.close(fd);
        return [...answers, ...contents];
      };
      const real = run(nodeFiles);
      rmSync(root, { recursive: true, force: true });
      expect(run(fake)).toEqual(real);
    }),
    { numRuns: 100 },
  );
});

test("a process that ends loses nothing it wrote", () => {
  const files = new FakeFiles();
  files.makeDirectory("/d");
  const fd = files.open("/d/f", "wx+");
  write(files, fd, "hello", 0);
  files.crash("process");
  expect(readWhole(files, "/d/f").toString()).toBe("hello");
  expect(() => files.size(fd)).toThrow("EBADF");
});

test("a power cut keeps what was synced, and whole pages of the rest, or not", () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 60; seed++) {
    const files = new FakeFiles(seed);
    files.makeDirectory("/d");
    files.syncDirectory("/");
    const fd = files.open("/d/f", "wx+");
    files.syncDirectory("/d");
    write(files, fd, "A".repeat(5000), 0);
    files.syncNow(fd);
    write(files, fd, "B".repeat(9000), 5000);
    write(files, files.open("/d/g", "wx+"), "G", 0);
    files.crash("power");
    const text = readWhole(files, "/d/f").toString("latin1");
    expect(text.slice(0, 5000)).toBe("A".repeat(5000));
    expect(text.slice(5000)).toMatch(/^[B\0]*$/);
    expect([5000, 14_000]).toContain(text.length);
    seen.add(`${text.length} ${text.includes("B")} ${text.includes("\0")} ${files.exists("/d/g")}`);
  }
  expect(seen.size).toBeGreaterThan(5);
});

test("a sync that fails loses the pages although the next one succeeds", async () => {
  const files = new FakeFiles(3);
  files.makeDirectory("/d");
  const fd = files.open("/d/f", "wx+");
  files.syncDirectory("/");
  files.syncDirectory("/d");
  write(files, fd, "lost", 0);
  files.failNext("sync", "EIO");
  expect(await files.sync(fd).catch(codeOf)).toBe("EIO");
  await files.sync(fd);
  expect(readWhole(files, "/d/f").toString()).toBe("lost");
  files.crash("power");
  expect(readWhole(files, "/d/f").toString()).not.toBe("lost");
});

test("a rename is on disk whole or not at all", () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 40; seed++) {
    const files = new FakeFiles(seed);
    files.put("/d/f", Buffer.from("f"));
    files.makeDirectory("/e");
    files.syncDirectory("/");
    files.rename("/d/f", "/e/g");
    files.crash("power");
    expect(files.exists("/d/f")).toBe(!files.exists("/e/g"));
    seen.add(String(files.exists("/e/g")));
  }
  expect(seen.size).toBe(2);
});

test("names are safe once their directory was synced by its descriptor", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const files = new FakeFiles(seed);
    files.makeDirectory("/d");
    files.syncDirectory("/");
    files.close(files.open("/d/before", "wx+"));
    files.holdSyncs = true;
    const sync = files.sync(files.open("/d", "r"));
    files.close(files.open("/d/meanwhile", "wx+"));
    files.releaseSyncs();
    await sync;
    files.remove("/d/before");
    files.syncDirectory("/");
    files.crash("power");
    expect(files.exists("/d/before") || files.exists("/d/meanwhile")).toBe(true);
  }
});

test("it dies within the call it is told to, and does nothing more", () => {
  const files = new FakeFiles(5);
  files.put("/d/f", Buffer.from(""));
  const fd = files.open("/d/f", "r+");
  files.dieAfter(1);
  write(files, fd, "one", 0);
  expect(files.dead).toBe(false);
  expect(() => write(files, fd, "twotwotwo", 3)).toThrow("dies");
  expect(files.dead).toBe(true);
  expect(() => files.open("/d/f", "r")).toThrow("dead");
  files.crash("process");
  expect("onetwotwotwo").toStartWith(readWhole(files, "/d/f").toString());
  expect(readWhole(files, "/d/f").toString()).toStartWith("one");
});

test("a full disk takes what fits, and a freed one takes more", () => {
  const files = new FakeFiles();
  files.capacity = 10;
  files.makeDirectory("/d");
  const fd = files.open("/d/f", "wx+");
  expect(files.write(fd, Buffer.alloc(8), 0, 8, 0)).toBe(8);
  expect(files.write(fd, Buffer.alloc(8), 0, 8, 8)).toBe(2);
  expect(files.free("/d")).toBe(0);
  expect(() => files.write(fd, Buffer.alloc(8), 0, 8, 10)).toThrow("ENOSPC");
  expect(files.write(fd, Buffer.alloc(8), 0, 8, 0)).toBe(8);
  files.truncate(fd, 4);
  expect(files.write(fd, Buffer.alloc(8), 0, 8, 4)).toBe(6);
});

test("held syncs end when they are released", async () => {
  const files = new FakeFiles();
  files.put("/f", Buffer.from("x"));
  files.holdSyncs = true;
  let ended = false;
  const sync = files.sync(files.open("/f", "r+")).then(() => {
    ended = true;
  });
  await Promise.resolve();
  await Promise.resolve();
  expect(ended).toBe(false);
  files.releaseSyncs();
  await sync;
  expect(ended).toBe(true);
});
