// The client and a daemon with a disk buffer that dies, is silent, or cannot: what arrives, and with which exit code.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SendCommandOptions } from "../../src/commands/send.ts";
import { peakMemory, reachesRest } from "../support/processRest.ts";
import { type SendProcess, startSend } from "../support/sendProcess.ts";
import {
  type SpoolServer,
  type SpoolServerOptions,
  spooledIn,
  startSpoolServer,
} from "../support/spoolServerProcess.ts";

let directory: string;
let socket: string;
let server: SpoolServer;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "bruce-receipts-"));
  socket = join(directory, "s");
  await start();
});

afterEach(async () => {
  await server.kill();
  rmSync(directory, { recursive: true });
});

async function start(behaviour: SpoolServerOptions["behaviour"] = {}, at: string | number = socket): Promise<void> {
  server = await startSpoolServer({ directory, socket: at, behaviour });
}

async function restart(behaviour: SpoolServerOptions["behaviour"] = {}): Promise<void> {
  await server.kill();
  await start(behaviour);
}

/** As a user runs it: receipts as far as the daemon can, unless `wait` says more. */
const send = (options: Partial<SendCommandOptions> = {}): SendProcess =>
  startSend({ socket, wait: undefined, ...options });

/** Sends lines, and gives how it ended. */
async function sent(lines: string, options: Partial<SendCommandOptions> = {}) {
  const client = send(options);
  await client.write(lines);
  await client.end();
  return await client.finished;
}

const values = (): string[] => spooledIn(directory).values;
const QUIET = { code: 0, stderr: "" };

/** Without a word on a daemon that takes its time to be back, on a busy machine. */
async function ended(client: SendProcess): Promise<{ code: number | null; stderr: string }> {
  const { code, stderr } = await client.finished;
  return { code, stderr: stderr.replace(/^bruce send: waiting for the daemon .*\n/gm, "") };
}

const line = (n: number): string => `${n} ${"x".repeat((n * 7919) % 700)}`;

/** Feeds numbered lines of many lengths until told to stop; what they were. */
function feed(client: SendProcess): { stop(): Promise<string[]> } {
  let going = true;
  const lines: string[] = [];
  const feeding = (async () => {
    while (going) {
      const from = lines.length;
      for (let i = 0; i < 500; i++) lines.push(line(lines.length));
      await client.write(`${lines.slice(from).join("\n")}\n`);
    }
    await client.end();
    return lines;
  })();
  return {
    stop() {
      going = false;
      return feeding;
    },
  };
}

/** What differs, which is shorter to print than the whole. */
function firstFlaw(arrived: string[], expected: string[]): string {
  const at = expected.findIndex((each, i) => arrived[i] !== each);
  if (at < 0 && arrived.length === expected.length) return "none";
  return `at ${at} of ${arrived.length}/${expected.length}: ${arrived[at]?.slice(0, 20)}`;
}

describe("a daemon that is killed", () => {
  for (const wait of [undefined, "synced", "delivered"]) {
    test(`many times under load: every line once and in order; --wait ${wait ?? "not given"}`, async () => {
      const client = send({ wait });
      const feeder = feed(client);
      for (let i = 0; i < 10; i++) {
        await server.receivedBytes(1 + 3_000_000 * Math.random());
        await restart();
      }
      const lines = await feeder.stop();
      expect(await ended(client)).toEqual(QUIET);
      expect(firstFlaw(values(), lines)).toBe("none");
      expect(spooledIn(directory).sessions.size).toBe(1);
    });
  }

  test("over TCP too", async () => {
    await server.kill();
    await start({}, 0);
    const { port } = server;
    const client = send({ socket: undefined, tcp: `127.0.0.1:${port}` });
    const feeder = feed(client);
    for (let i = 0; i < 5; i++) {
      await server.receivedBytes(1 + 3_000_000 * Math.random());
      await server.kill();
      await start({}, port);
    }
    const lines = await feeder.stop();
    expect(await ended(client)).toEqual(QUIET);
    expect(firstFlaw(values(), lines)).toBe("none");
  });

  test("with bytes that it never read, and is away when the input ends", async () => {
    await server.stall(true);
    const client = send();
    await client.write("a\nb\n");
    await server.accepted();
    await reachesRest(client.pid);
    await server.kill();
    await client.write("c\n");
    await client.end();
    await client.said("waiting for the daemon");
    await start();
    expect((await client.finished).code).toBe(0);
    expect(values()).toEqual(["a", "b", "c"]);
  });

  test("and does not come back: 75, and the lines it may have are counted", async () => {
    await server.behave({ mute: [1] });
    const client = send({ retry: "300ms" });
    await client.write("a\nb\n");
    await server.spooled(2);
    await server.kill();
    const { code, stderr } = await client.finished;
    expect({ code, said: stderr.includes("the fate of 2 of them is unknown") }).toEqual({ code: 75, said: true });
  });

  test("and comes back without a disk buffer: the lines it may have are not sent again", async () => {
    await server.behave({ mute: [1] });
    const client = send();
    await client.write("a\nb\n");
    await server.spooled(2);
    await restart({ kind: "memory" });
    await client.said("2 lines");
    await client.write("c\n");
    await client.end();
    const { code, stderr } = await client.finished;
    expect({ code, said: stderr.includes("the fate of 2 of them is unknown") }).toEqual({ code: 1, said: true });
    expect(values()).toEqual(["a", "b", "c"]);
  });

  test("several files are one stream of lines", async () => {
    const files = [1, 2, 3].map((n) => join(directory, `file-${n}`));
    const lines = files.map((_, file) => Array.from({ length: 20_000 }, (_, i) => `${file} ${line(i)}`));
    for (const [i, file] of files.entries()) writeFileSync(file, (lines[i] as string[]).join("\n"));
    const client = send({ files });
    for (let i = 0; i < 3; i++) {
      await server.receivedBytes(1 + 2_000_000 * Math.random());
      await restart();
    }
    expect(await ended(client)).toEqual(QUIET);
    expect(firstFlaw(values(), lines.flat())).toBe("none");
  });

  test("lines that are too long are left out, the others arrive once", async () => {
    const client = send();
    await client.write(`a\n${"x".repeat(17_000_000)}\nb\n`);
    await server.receivedBytes(1);
    await restart();
    await client.write("c\n");
    await client.end();
    const { code, stderr } = await client.finished;
    expect({ code, said: stderr.includes("line 2 of standard input is too long") }).toEqual({ code: 1, said: true });
    expect(values()).toEqual(["a", "b", "c"]);
  });
});

test("without receipts the reading stops: a bounded window is kept, and all of it arrives", async () => {
  const lines = Array.from({ length: 300_000 }, (_, i) => `${i} `.padEnd(200, "x"));
  writeFileSync(join(directory, "input"), `${lines.join("\n")}\n`);
  await server.behave({ mute: [1] });
  const client = send({ files: [join(directory, "input"), "-"] });
  await server.receivedBytes(1);
  await reachesRest(client.pid);
  // A window of 8 MiB of frames, of which each has 233 bytes.
  expect(server.messages()).toBeGreaterThan(30_000);
  expect(server.messages()).toBeLessThan((8 * 1024 * 1024) / 233);
  await server.behave({ mute: [] });
  await server.spooled(lines.length);
  const peak = await peakMemory(client.pid);
  await client.end();
  expect(await ended(client)).toEqual(QUIET);
  expect(firstFlaw(values(), lines)).toBe("none");
  expect(peak).toBeLessThan(140 * 1024 * 1024);
});

test("lines larger than the window arrive whole, one after the other, over a death", async () => {
  const lines = ["a", "b".repeat(15_000_000), "c", "d".repeat(9_000_000), "e".repeat(15_000_000), "f"];
  const client = send();
  const writing = client.write(`${lines.join("\n")}\n`);
  await server.receivedBytes(20_000_000);
  await restart();
  await writing;
  await client.end();
  expect(await ended(client)).toEqual(QUIET);
  expect(firstFlaw(values(), lines)).toBe("none");
});

describe("--wait", () => {
  for (const wait of [undefined, "none", "spooled", "synced", "delivered"]) {
    test(`${wait ?? "not given"}: exit code 0 when the lines came so far`, async () => {
      expect(await sent("a\nb\n", { wait })).toEqual(QUIET);
      expect(values()).toEqual(["a", "b"]);
    });
  }

  for (const [wait, level] of [
    ["spooled", 1],
    ["synced", 2],
    ["delivered", 3],
  ] as const) {
    test(`${wait}: exit code 1 when the daemon says that they cannot come so far`, async () => {
      await server.behave({ status: { [level]: 2 } });
      const { code, stderr } = await sent("a\nb\n", { wait });
      expect({ code, values: values() }).toEqual({ code: 1, values: ["a", "b"] });
      expect(stderr).toContain(`2 of them are not known to be ${wait}`);
    });

    test(`${wait}: --timeout ends it with 75 when no receipt comes`, async () => {
      await server.behave({ mute: [level] });
      const { code, stderr } = await sent("a\nb\n", { wait, timeout: "300ms" });
      expect({ code, values: values() }).toEqual({ code: 75, values: ["a", "b"] });
      expect(stderr).toContain(`no receipt within 300ms that all lines are ${wait}`);
    });
  }

  test("--timeout counts while the daemon is away, too", async () => {
    await server.behave({ mute: [3] });
    const client = send({ wait: "delivered", timeout: "1500ms" });
    await client.write("a\n");
    await client.end();
    await server.spooled(1);
    await server.kill();
    const { code, stderr } = await client.finished;
    expect({ code, said: stderr.includes("no receipt within 1500ms") }).toEqual({ code: 75, said: true });
  });

  test("lines that the daemon discards are counted, and the exit code is 1", async () => {
    await server.behave({ discards: "bad" });
    for (const wait of [undefined, "delivered"]) {
      const { code, stderr } = await sent("a\nbad 1\nb\nbad 2\n", { wait });
      expect({ code, said: stderr.includes("the daemon discarded 2 of them") }).toEqual({ code: 1, said: true });
    }
  });
});

describe("a daemon without a disk buffer", () => {
  beforeEach(() => restart({ kind: "memory" }));

  for (const wait of [undefined, "none", "delivered"]) {
    test(`does for --wait ${wait ?? "not given"}`, async () => {
      expect(await sent("a\nb\n", { wait })).toEqual(QUIET);
      expect(values()).toEqual(["a", "b"]);
    });
  }

  for (const wait of ["spooled", "synced"]) {
    test(`is refused for --wait ${wait}, before a line is sent`, async () => {
      const { code, stderr } = await sent("a\nb\n", { wait });
      expect({ code, values: values() }).toEqual({ code: 1, values: [] });
      expect(stderr).toContain(
        `the daemon at ${socket} has no disk buffer, so no line is ${wait} there; nothing was sent`,
      );
    });
  }

  test("killed: what it was given is uncertain and not sent again", async () => {
    const client = send();
    await client.write("a\nb\n");
    await server.spooled(2);
    await reachesRest(client.pid);
    await restart({ kind: "memory" });
    await client.said("2 lines");
    await client.write("c\n");
    await client.end();
    expect((await client.finished).code).toBe(1);
    expect(values()).toEqual(["a", "b", "c"]);
  });
});

describe("a daemon that knows no receipts", () => {
  beforeEach(() => restart({ kind: "old" }));

  test("is given everything as ever", async () => {
    expect(await sent("a\nb\n")).toEqual(QUIET);
    expect(values()).toEqual(["a", "b"]);
  });

  test("is given a large input too, after a moment", async () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => `${i} `.padEnd(200, "x"));
    const { code, stderr } = await sent(`${lines.join("\n")}\n`);
    expect({ code, said: stderr.includes("gives no receipts") }).toEqual({ code: 0, said: true });
    expect(firstFlaw(values(), lines)).toBe("none");
  });
});

describe("being told to stop", () => {
  test("while a receipt is awaited: once what was sent is spooled, whether or not it is delivered", async () => {
    await server.behave({ mute: [3] });
    const client = send({ wait: "delivered" });
    await client.write("a\nb\n");
    await client.end();
    await server.spooled(2);
    await reachesRest(client.pid);
    client.signal("SIGTERM");
    expect((await client.finished).code).toBe(143);
  });

  test("a second signal ends it without a receipt", async () => {
    await server.behave({ mute: [1] });
    const client = send();
    await client.write("a\nb\nhalf");
    await server.spooled(2);
    client.signal("SIGINT");
    await reachesRest(client.pid);
    client.signal("SIGINT");
    const { code, stderr } = await client.finished;
    expect({ code, said: stderr.includes("the fate of 2 of them is unknown") }).toEqual({ code: 130, said: true });
    expect(values()).toEqual(["a", "b"]);
  });
});
