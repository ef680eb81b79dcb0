import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { statusCommand } from "../../src/commands/status.ts";
import type { DaemonStatus } from "../../src/observe/status.ts";
import { account, sampleStatus, topic } from "../observe/sampleStatus.ts";

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0)) await step();
});

type Answer = () => DaemonStatus | Response;

/** A daemon that gives one answer after the other, and then the last one for ever. */
function daemon(...answers: Answer[]) {
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    reusePort: false,
    fetch: (request) => {
      asked.push(new URL(request.url).pathname + new URL(request.url).search);
      const answer = (answers.length > 1 ? answers.shift() : answers[0])?.();
      return answer instanceof Response ? answer : Response.json(answer);
    },
  });
  cleanup.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, port: server.port ?? 0, asked, server };
}

function surroundings(more: { isTTY?: boolean; columns?: number; rows?: number; env?: Record<string, string> } = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const { env = {}, ...terminal } = more;
  const stdout = { write: (text: string) => out.push(text), ...terminal };
  const stderr = { write: (text: string) => err.push(text) };
  // A home of its own, so that no configuration of this machine is read.
  const home = directory();
  return {
    io: { stdout, stderr, env: { HOME: home, XDG_CONFIG_HOME: home, ...env }, interval: 1 },
    out: () => out.join(""),
    err: () => err.join(""),
  };
}

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "bruce-status-"));
  cleanup.push(() => rmSync(path, { recursive: true }));
  return path;
}

/** `seconds` after the sample, with so many more received and delivered. */
function later(seconds: number, received: number, delivered: number): DaemonStatus {
  const status = sampleStatus();
  const { ledger } = status;
  const grown = account(ledger.received + received, ledger.delivered + delivered, ledger.discards_by_reason);
  return { ...status, now: status.now + seconds * 1000, ledger: { ...ledger, ...grown } };
}

const options = { json: false, watch: false };
// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are made of them
const COLOUR = /\u001b\[/;

test("a pipe gets lines of tab-separated fields without colours", async () => {
  const { url } = daemon(() => sampleStatus());
  const { io, out } = surroundings();
  expect(await statusCommand({ ...options, url }, io)).toBe(0);
  expect(out()).not.toMatch(COLOUR);
  const lines = out()
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  expect(lines.find(([kind]) => kind === "received")).toEqual(["received", "1112"]);
  expect(lines.find(([kind]) => kind === "balanced")).toEqual(["balanced", "yes"]);
  expect(lines.find(([kind]) => kind === "buffer")).toEqual(["buffer", "disk", "1073741824", "4294967296", "-"]);
  expect(lines.filter(([kind]) => kind === "held_log").map((fields) => fields.slice(1))).toEqual([
    ["orders", "-", "90", "18000", "the topic does not exist"],
  ]);
  expect(lines.filter(([kind]) => kind === "topic").map((fields) => fields.slice(1))).toEqual([
    ["orders", "held", "110", "0", "100", "10", "20000", "90 s", "the topic does not exist"],
    ["clicks", "live", "1000", "1000", "0", "0", "0", "-"],
  ]);
  expect(lines.filter(([kind]) => kind === "broker").map((fields) => fields.slice(1))).toEqual([
    ["1", "kafka-1:9092", "up, slow copies on 3", "2"],
    ["2", "kafka-2:9092", "down: connection refused", "0"],
  ]);
});

test("a terminal gets the ledger, held topics with their reason, brokers, and colours unless told not to", async () => {
  const { url } = daemon(() => sampleStatus());
  const coloured = surroundings({ isTTY: true, columns: 120 });
  await statusCommand({ ...options, url }, coloured.io);
  expect(coloured.out()).toMatch(COLOUR);
  const plain = surroundings({ isTTY: true, columns: 120, env: { NO_COLOR: "1" } });
  await statusCommand({ ...options, url }, plain.io);
  expect(plain.out()).not.toMatch(COLOUR);
  for (const text of [
    "received   1,112",
    "queue_full 10, malformed 2",
    "✓ the ledger balances",
    "↳ the topic does not exist",
    "↳ 90 on disk (17.6 KiB)",
    "buffer     1.0 GiB of 4.0 GiB in /var/lib/bruce, 17.6 KiB of it held, 3 messages in memory alone, 512 B damaged and set aside",
    "down: connection refused",
    "3 possible duplicates",
  ]) {
    expect(plain.out()).toContain(text);
  }
  expect(plain.out().indexOf("orders")).toBeLessThan(plain.out().indexOf("clicks"));
});

test("with a backlog it looks twice, and says when it will be gone", async () => {
  const cases: [number, number, string][] = [
    [100, 120, "drained in about 4.0 s"],
    [100, 50, "not getting less"],
    [100, 0, "nothing is delivered"],
  ];
  for (const [received, delivered, expected] of cases) {
    const { url, asked } = daemon(
      () => sampleStatus(),
      () => later(1, received, delivered),
    );
    const { io, out } = surroundings();
    expect(await statusCommand({ ...options, url }, io)).toBe(0);
    expect(out()).toContain(expected);
    expect(asked).toHaveLength(2);
  }
});

test("a daemon started anew between the two looks gives no rates", async () => {
  const { url } = daemon(
    () => sampleStatus(),
    () => ({ ...later(1, -1000, -900), started_at: 1_700_000_600_500 }),
  );
  const { io, out } = surroundings({ isTTY: true, env: { NO_COLOR: "1" } });
  await statusCommand({ ...options, url }, io);
  expect(out()).not.toContain("/s");
});

test("--json gives the status as it is", async () => {
  const { url } = daemon(() => sampleStatus());
  const { io, out } = surroundings({ isTTY: true });
  expect(await statusCommand({ ...options, json: true, url }, io)).toBe(0);
  expect(JSON.parse(out())).toEqual(sampleStatus());
});

test("without a daemon it ends with 75 and says what to look at", async () => {
  const { url, server } = daemon(() => sampleStatus());
  await server.stop(true);
  for (const watch of [false, true]) {
    const { io, out, err } = surroundings();
    expect(await statusCommand({ ...options, watch, url }, io)).toBe(75);
    expect(out()).toBe("");
    expect(err()).toContain(`does not answer at ${url}: nothing listens there`);
  }
});

test("what is not bruce is said not to be", async () => {
  const answers = [
    () => new Response("404 page not found", { status: 404 }),
    () => new Response("<html>"),
    () => Response.json({ version: "1" }),
    () => Response.json({ ...sampleStatus(), topics: [1] }),
    () => Response.json(null),
  ];
  for (const answer of answers) {
    const { url } = daemon(answer);
    const { io, err } = surroundings();
    expect(await statusCommand({ ...options, url }, io)).toBe(1);
    expect(err()).toContain("bruce");
  }
});

test("what the daemon says cannot steer the terminal", async () => {
  const evil = "\u001b]0;owned\u0007\nreceived\t0";
  const status = sampleStatus({ topics: [topic(evil, 1, 1, { state: "held", reason: evil })], version: evil });
  const { url } = daemon(() => status);
  for (const isTTY of [true, false]) {
    const { io, out } = surroundings({ isTTY, env: { NO_COLOR: "1" } });
    await statusCommand({ ...options, url }, io);
    expect(out()).not.toContain("\u001b");
    expect(out()).not.toContain("\u0007");
    expect(out()).not.toContain("\nreceived\t0\n");
  }
});

test("the address comes from the configuration", async () => {
  const { port, asked } = daemon(() => sampleStatus());
  const file = join(directory(), "bruce.toml");
  writeFileSync(file, `[http]\nlisten = "0.0.0.0:${port}"\n`);
  const { io } = surroundings();
  expect(await statusCommand({ ...options, config: file }, io)).toBe(0);
  expect(asked.length).toBeGreaterThan(0);
});

test("a configuration without HTTP, or with errors, and a bad --url are wrong usage", async () => {
  const file = join(directory(), "bruce.toml");
  const cases = [
    ["[http]\nenabled = false\n", "http.enabled"],
    ['[http]\nlisten = "127.0.0.1:0"\n', "--url"],
    ["[http]\nlisten = 5\n", "http.listen"],
  ];
  for (const [text = "", expected] of cases) {
    writeFileSync(file, text);
    const { io, err } = surroundings();
    expect(await statusCommand({ ...options, config: file }, io)).toBe(2);
    expect(err()).toContain(expected ?? "");
  }
  const { io, err } = surroundings();
  expect(await statusCommand({ ...options, url: "ftp://x" }, io)).toBe(2);
  expect(err()).toContain("--url");
});

test("--watch goes on when the daemon is away for a while, until it is stopped", async () => {
  const stop = new AbortController();
  let asked = 0;
  const { url } = daemon(() => {
    asked++;
    if (asked === 2) return new Response("", { status: 503 });
    if (asked === 4) stop.abort();
    return sampleStatus();
  });
  const { io, out, err } = surroundings();
  const code = await statusCommand({ ...options, json: true, watch: true, url }, { ...io, signal: stop.signal });
  expect(code).toBe(0);
  expect(
    out()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).pid),
  ).toEqual([4711, 4711, 4711]);
  expect(err()).toContain("HTTP status 503");
});

test("--watch keeps the ledger on a small screen, at the cost of topics", async () => {
  const stop = new AbortController();
  const topics = Array.from({ length: 300 }, (_, i) => topic(`${"name.".repeat(20)}${i}`, 10, 10));
  const { url } = daemon(() => {
    stop.abort();
    return sampleStatus({ topics });
  });
  const { io, out } = surroundings({ isTTY: true, columns: 100, rows: 24, env: { NO_COLOR: "1" } });
  await statusCommand({ ...options, watch: true, url }, { ...io, signal: stop.signal });
  expect(out()).toContain("received   1,112");
  expect(out()).toMatch(/… and 29\d more topics/);
  for (const line of out().split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(110);
});

test("a proxy in the environment is not asked", async () => {
  const { url } = daemon(() => sampleStatus());
  const proxy = Bun.serve({ hostname: "127.0.0.1", port: 0, reusePort: false, fetch: () => new Response("proxy") });
  cleanup.push(() => proxy.stop(true));
  const code = `
    import { statusCommand } from ${JSON.stringify(join(import.meta.dir, "../../src/commands/status.ts"))};
    process.exitCode = await statusCommand({ json: true, watch: false, url: ${JSON.stringify(url)} });`;
  const env = { ...process.env, http_proxy: proxy.url.href, HTTP_PROXY: proxy.url.href, no_proxy: "", NO_PROXY: "" };
  const child = Bun.spawn([process.execPath, "-e", code], { env, stdout: "pipe", stderr: "pipe" });
  expect(JSON.parse(await new Response(child.stdout).text()).pid).toBe(4711);
  expect(await child.exited).toBe(0);
});
