// What a person sees who runs the client on a terminal.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FROM_SOURCE } from "../support/sendProcess.ts";
import { startSpoolServer } from "../support/spoolServerProcess.ts";
import { receivedIn, type StreamServer, startStreamServer } from "../support/streamServerProcess.ts";

let directory: string;
let socket: string;
let server: StreamServer;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "bruce-terminal-"));
  socket = join(directory, "s");
  server = await startStreamServer({ directory, run: 0, socket });
});

afterEach(async () => {
  await server.kill();
  rmSync(directory, { recursive: true });
});

function onTerminal(
  files: string[],
  options: Parameters<typeof FROM_SOURCE>[0] = { topic: "t", socket, wait: "none" },
) {
  let shown = "";
  let waiting: { pattern: RegExp; resolve: () => void }[] = [];
  const child = Bun.spawn(FROM_SOURCE({ ...options, files }), {
    terminal: {
      data(_terminal, data) {
        shown += Buffer.from(data).toString();
        for (const { pattern, resolve } of waiting) if (pattern.test(shown)) resolve();
        waiting = waiting.filter(({ pattern }) => !pattern.test(shown));
      },
    },
  });
  const sees = (pattern: RegExp): Promise<void> =>
    pattern.test(shown) ? Promise.resolve() : new Promise((resolve) => waiting.push({ pattern, resolve }));
  return { child, sees, type: (text: string) => child.terminal?.write(text) };
}

test("a progress line while it sends, and a last line at the end", async () => {
  writeFileSync(join(directory, "input"), "0123456789\n".repeat(1_000_000));
  await server.command("stall");
  const { child, sees } = onTerminal([join(directory, "input")]);
  await sees(/[\d,]+ lines, [\d.]+ [kM]B, [\d,]+ lines?\/s/);
  await server.command("resume");
  await sees(/bruce send: sent 1,000,000 lines, 10\.0 MB, in [\d.]+ s \([\d,]+\/s\)\r\n/);
  expect(await child.exited).toBe(0);
});

test("lines are typed without a progress line between them; Ctrl-D ends", async () => {
  const { child, sees, type } = onTerminal([]);
  await server.seen("accepted");
  type("hello\n");
  await server.receivedBytes(1);
  type("\x04");
  await sees(/^hello\r\nbruce send: sent 1 line, 5 bytes, in [\d.]+ s/);
  expect(await child.exited).toBe(0);
  expect(receivedIn(directory).map(({ value }) => value.toString())).toEqual(["hello"]);
});

test("Ctrl-C ends it with 130 and a last line", async () => {
  const { child, sees, type } = onTerminal([]);
  await server.seen("accepted");
  type("hello\n");
  await server.receivedBytes(1);
  type("\x03");
  await sees(/bruce send: sent 1 line,/);
  expect(await child.exited).toBe(130);
});

test.each([
  { wait: "delivered", level: 3, text: /3 lines, 3 bytes sent; waiting for Kafka: 3 left/ },
  { wait: "synced", level: 2, text: /3 lines, 3 bytes sent; waiting for the disk: 3 left/ },
])("what is waited for is said, and of how many lines: $wait", async ({ wait, level, text }) => {
  const at = join(directory, "spool");
  const daemon = await startSpoolServer({ directory, socket: at, behaviour: { mute: [level] } });
  try {
    writeFileSync(join(directory, "input"), "1\n2\n3\n");
    const { child, sees } = onTerminal([join(directory, "input")], { topic: "t", socket: at, wait });
    await sees(text);
    await daemon.behave({ mute: [] });
    await sees(/bruce send: sent 3 lines, 3 bytes, in/);
    expect(await child.exited).toBe(0);
  } finally {
    await daemon.kill();
  }
});
