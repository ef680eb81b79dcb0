import { expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRecordPrinter } from "../../src/dev/print.ts";
import { type PrintSink, terminalSink } from "../../src/dev/printSink.ts";
import { readRecordBatch } from "../../src/kafka/recordBatchReader.ts";
import { makeBatch } from "./makeBatch.ts";

const style = () => ({ width: 5000, colors: false });

function batchOf(count: number, length = 500) {
  return readRecordBatch(makeBatch({ values: Array.from({ length: count }, (_, i) => `v${i}`.padEnd(length, ".")) }));
}

/** A sink that takes one text and then waits for the test. */
function slowSink(terminal: boolean) {
  const taken: string[] = [];
  let finish: ((error?: Error) => void) | undefined;
  /** Takes all there is. */
  function drain(): void {
    for (let writes = 0; writes < taken.length; finish?.()) writes = taken.length;
  }
  const sink: PrintSink = {
    terminal,
    write: (text, done) => {
      taken.push(text);
      finish = done;
    },
    close: () => {},
  };
  return { sink, taken, goOn: (error?: Error) => finish?.(error), drain };
}

function lines(texts: string[]): string[] {
  return texts.join("").split("\n").slice(0, -1);
}

test("each record is one line", async () => {
  const { sink, taken, goOn } = slowSink(false);
  const printer = createRecordPrinter({ sink, style });
  printer.print("t", 0, batchOf(3));
  printer.print("t", 1, batchOf(1));
  expect(lines(taken)).toHaveLength(3);
  goOn();
  goOn();
  expect(lines(taken).map((line) => line.split(" ")[1])).toEqual(["t[0]@0", "t[0]@1", "t[0]@2", "t[1]@0"]);
  await printer.stop(0);
});

test.each([true, false])("a reader that stalls misses lines and is told how many (terminal: %p)", async (terminal) => {
  const { sink, taken, drain } = slowSink(terminal);
  const printer = createRecordPrinter({ sink, style });
  const batch = batchOf(1000, 4000);
  for (let i = 0; i < 10; i++) printer.print("t", 0, batch);
  expect(printer.dropped).toBeGreaterThan(1000);
  drain();
  const printed = lines(taken);
  const said = `… ${printer.dropped} lines left out: messages come faster than they are read here`;
  expect(printed.at(-1)).toBe(said);
  expect(printed.filter((line) => line.includes("t[0]")).length + printer.dropped).toBe(10_000);
  printer.print("t", 0, batchOf(1));
  drain();
  expect(lines(taken).at(-1)).toContain("t[0]@0 v0");
  await printer.stop(0);
});

test.each([
  [true, 256 * 1024],
  [false, 32 * 1024 * 1024],
])("what waits for a reader is bounded (terminal: %p)", async (terminal, bound) => {
  const { sink, taken, drain } = slowSink(terminal);
  const printer = createRecordPrinter({ sink, style });
  const batch = batchOf(1000, 4000);
  for (let i = 0; i < 10; i++) printer.print("t", 0, batch);
  const before = taken.length;
  drain();
  expect(taken.slice(before).join("").length).toBeLessThan(bound + 8192);
  await printer.stop(0);
});

test("when the reader has gone nothing more is printed, and it is said once", async () => {
  const { sink, taken, goOn } = slowSink(false);
  let closed = 0;
  const printer = createRecordPrinter({ sink, style, onClosed: () => closed++ });
  printer.print("t", 0, batchOf(1));
  printer.print("t", 0, batchOf(1));
  goOn(new Error("EPIPE"));
  printer.print("t", 0, batchOf(1));
  expect([taken.length, closed]).toEqual([1, 1]);
  await printer.stop(1000);
});

test("stop waits until all lines are out", async () => {
  const { sink, taken, goOn } = slowSink(false);
  const printer = createRecordPrinter({ sink, style });
  printer.print("t", 0, batchOf(1));
  printer.print("t", 0, batchOf(2));
  const stopped = printer.stop(60_000);
  goOn();
  goOn();
  await stopped;
  expect(lines(taken)).toHaveLength(3);
});

test("a terminal that takes nothing holds up nobody, and gets everything when it reads again", async () => {
  const directory = mkdtempSync(join(tmpdir(), "bruce-print-"));
  const path = join(directory, "terminal");
  await Bun.spawn(["mkfifo", path]).exited;
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const sink = terminalSink(path);
  const text = "0123456789".repeat(50_000);
  const written = Promise.withResolvers<Error | undefined>();
  let done = false;
  sink.write(text, (error) => {
    done = true;
    written.resolve(error);
  });
  expect(done).toBe(false);
  let read = "";
  const buffer = Buffer.alloc(65536);
  const poll = setInterval(() => {
    try {
      read += buffer.toString("latin1", 0, readSync(reader, buffer));
    } catch {
      // EAGAIN: nothing there yet.
    }
  }, 1);
  expect(await written.promise).toBeUndefined();
  clearInterval(poll);
  while (read.length < text.length) read += buffer.toString("latin1", 0, readSync(reader, buffer));
  expect(read).toBe(text);
  closeSync(reader);
  const gone = Promise.withResolvers<Error | undefined>();
  sink.write("more", gone.resolve);
  expect((await gone.promise)?.message).toContain("EPIPE");
  sink.close();
  rmSync(directory, { recursive: true });
});
