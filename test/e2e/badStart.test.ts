// What can keep the executable from starting: it says which setting, file or port it is, and disturbs nobody else.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BRUCE } from "../../scripts/executable.ts";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openDatagramClient, openStreamClient } from "../support/clients.ts";
import { freePorts } from "../support/kafkaPorts.ts";
import { expectBalanced } from "./books.ts";
import { type CommandEnd, type CommandOptions, runBruce } from "./command.ts";

let broker: DevBroker;
let directory: string;
let running: Bruce[] = [];

beforeAll(async () => {
  broker = await startDevBroker();
});
afterAll(() => broker?.stop());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-start-"));
});
afterEach(async () => {
  for (const each of running) await each.close();
  running = [];
  rmSync(directory, { recursive: true, force: true });
});

async function serve(set: string[] = []): Promise<Bruce> {
  const bruce = await startBruce({
    bootstrap: broker.bootstrap,
    directory,
    set: ["kafka.auto_create_topics=true", ...set],
  });
  running.push(bruce);
  return bruce;
}

/** `bruce serve` with these settings over ones that would do; how it ended. */
async function refused(set: string[], options: Partial<CommandOptions> = {}): Promise<CommandEnd> {
  const settings = [
    `kafka.brokers=["${broker.bootstrap}"]`,
    `input.datagram.path="${directory}/d"`,
    `input.stream.path="${directory}/s"`,
    'http.listen="127.0.0.1:0"',
    ...set,
  ];
  const args = ["serve", ...settings.flatMap((each) => ["--set", each])];
  await using command = runBruce(args, { cwd: directory, ...options });
  return await command.finished;
}

/** The `why` of the line that says that it cannot start. */
function whyNot({ stderr }: CommandEnd): string {
  for (const line of stderr.split("\n")) if (line.includes('"cannot start"')) return JSON.parse(line).why;
  throw new Error(`it did not say why it cannot start:\n${stderr}`);
}

function frame(topic: string, value: string): Buffer {
  const key = new Uint8Array();
  return encodeAnyPartition({ topic, timestamp: 1_795_000_000_000, key, value: Buffer.from(value) });
}

/** Sends a message over each UNIX socket and waits until Kafka has both. */
async function works(bruce: Bruce, topic: string): Promise<void> {
  const before = broker.records(topic).length;
  const datagrams = openDatagramClient(bruce.sockets.datagram);
  datagrams.send(frame(topic, "datagram"));
  datagrams.close();
  const stream = await openStreamClient(bruce.sockets.stream);
  await stream.write(frame(topic, "stream"));
  await stream.end();
  await broker.until(() => broker.records(topic).length === before + 2);
  expectBalanced(await bruce.until(({ ledger }) => ledger.held === 0));
}

describe("a bad configuration is refused with exit code 2, and all that is wrong with it is said at once", () => {
  async function checkedBy(command: "serve" | "check", text: string): Promise<CommandEnd> {
    const file = join(directory, "bruce.toml");
    await Bun.write(file, text);
    const args = command === "serve" ? ["serve", "-c", file] : ["check", file];
    await using run = runBruce(args, { cwd: directory });
    return await run.finished;
  }

  test.each(["serve", "check"] as const)(
    "by bruce %s: file, line, key, value, and what is allowed",
    async (command) => {
      const text = [
        "[kafka]",
        'brokers = ["localhost"]',
        "ackz = 1",
        "[batch]",
        'linger = "5 parsecs"',
        "[buffer]",
        'memory = "1k"',
        "[kafcka]",
        "[input.stream]",
        'mode = "999"',
      ].join("\n");
      const { code, stdout, stderr } = await checkedBy(command, text);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      const file = join(directory, "bruce.toml");
      const lines = stderr.split("\n");
      for (const start of [
        `${file}:2:12: kafka.brokers: got "localhost"; must be "host:port"`,
        `${file}:3:1: kafka.ackz: unknown setting; did you mean "acks"?`,
        `${file}:5:10: batch.linger: got "5 parsecs"; must be a duration from `,
        `${file}:7:10: buffer.memory: got "1k"; must be a size from `,
        `${file}:8:2: kafcka: unknown table; did you mean "kafka"?`,
        `${file}:10:8: input.stream.mode: got "999"; must be `,
      ]) {
        expect(lines.filter((line) => line.startsWith(start))).toHaveLength(1);
      }
      expect(existsSync(join(directory, "s"))).toBe(false);
    },
  );

  test("a syntax error has its line; a file that is not there, and a --set, have their names", async () => {
    expect(await checkedBy("serve", '[kafka]\nclient_id = "open\n')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("bruce.toml:2:"),
    });
    await using missing = runBruce(["serve", "-c", "missing.toml"], { cwd: directory });
    expect(await missing.finished).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("missing.toml: cannot be read: there is no such file"),
    });
    expect(await refused(["batch.linger=never"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--set batch.linger: got "never"; must be a duration'),
    });
  });

  test("what is not there yet is refused, not ignored", async () => {
    const { code, stderr } = await checkedBy("serve", '[debug]\npath = "/tmp"\n');
    expect(code).toBe(2);
    expect(stderr).toContain("bruce.toml:2:");
    expect(stderr).toContain("not supported yet");
  });
});

describe("a socket's place", () => {
  test("whose directory does not exist is named", async () => {
    const path = join(directory, "no/such/d");
    const end = await refused([`input.datagram.path="${path}"`]);
    expect(end.code).toBe(1);
    expect(whyNot(end)).toContain(
      `the socket ${path} cannot be made: the directory ${directory}/no/such does not exist`,
    );
    expect(existsSync(join(directory, "s"))).toBe(false);
  });

  test("whose directory is not writable is named", async () => {
    const locked = join(directory, "locked");
    mkdirSync(locked);
    chmodSync(locked, 0o555);
    chmodSync(directory, 0o755);
    // Root may write everywhere; and nobody may not look into root's directories for the executable.
    const isRoot = process.getuid?.() === 0;
    const executable = isRoot ? join(directory, "bruce") : BRUCE;
    if (isRoot) copyFileSync(BRUCE, executable);
    const prefix = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
    const end = await refused([`input.datagram.path="${locked}/d"`], { prefix, executable });
    expect(end.code).toBe(1);
    expect(whyNot(end)).toContain(`the socket ${locked}/d cannot be made: ${locked} is not writable for this user`);
  });

  test("that is a file of another kind is left alone", async () => {
    await Bun.write(join(directory, "d"), "precious");
    const end = await refused([]);
    expect(end.code).toBe(1);
    expect(whyNot(end)).toContain(`${directory}/d exists and is not a socket`);
    expect(await Bun.file(join(directory, "d")).text()).toBe("precious");
  });

  test("with a name longer than the system allows is refused with exit code 2", async () => {
    const end = await refused([`input.stream.path="${directory}/${"s".repeat(108)}"`]);
    expect(end.code).toBe(2);
    expect(end.stderr).toContain("a socket's path can have at most 107");
  });

  test("with a stale file, left by a daemon that was killed, is taken over", async () => {
    const killed = await serve();
    await works(killed, "stale");
    await killed.kill("SIGKILL");
    const { datagram, stream } = killed.sockets;
    expect([datagram, stream].map((path) => lstatSync(path).isSocket())).toEqual([true, true]);
    const next = await serve();
    await works(next, "stale");
    expect(await next.stop()).toBe(0);
    expect([datagram, stream].map((path) => existsSync(path))).toEqual([false, false]);
  });
});

describe("a second daemon", () => {
  test("on the same sockets is refused, and the first goes on undisturbed", async () => {
    const first = await serve();
    await works(first, "twice");
    const client = await openStreamClient(first.sockets.stream); // open all the while
    const inodes = [first.sockets.datagram, first.sockets.stream].map((path) => lstatSync(path).ino);
    for (const [set, path] of [
      [[], "d"],
      [[`input.datagram.path="${directory}/other"`], "s"],
      [["input.stream.enabled=false"], "d"],
    ] as [string[], string][]) {
      const end = await refused(set);
      expect(end.code).toBe(1);
      expect(whyNot(end)).toContain(`the socket ${directory}/${path} is in use by a live process`);
      expect(existsSync(join(directory, "other"))).toBe(false);
    }
    expect([first.sockets.datagram, first.sockets.stream].map((path) => lstatSync(path).ino)).toEqual(inodes);
    await works(first, "twice");
    await client.write(frame("twice", "open"));
    await client.end();
    const status = await first.until(({ ledger }) => ledger.delivered === 5);
    expectBalanced(status);
    // What asked whether it lives was no message.
    expect(status.ledger).toMatchObject({ received: 5, discarded: 0 });
    expect(status.inputs.every(({ unclean_disconnects }) => unclean_disconnects === 0)).toBe(true);
  });

  test("with sockets of its own works beside the first", async () => {
    const first = await serve();
    const second = await startBruce({ bootstrap: broker.bootstrap, set: ["kafka.auto_create_topics=true"] });
    running.push(second);
    await works(first, "beside");
    await works(second, "beside");
  });
});

describe("a port that is in use", () => {
  test("for HTTP is named, and no socket file stays behind", async () => {
    const first = await serve();
    const address = new URL(first.url).host;
    const end = await refused([
      `http.listen="${address}"`,
      `input.datagram.path="${directory}/d2"`,
      `input.stream.path="${directory}/s2"`,
    ]);
    expect(end.code).toBe(1);
    expect(whyNot(end)).toContain(`HTTP cannot listen on ${address}: another program does`);
    expect(whyNot(end)).toContain("http.listen");
    expect([existsSync(join(directory, "d2")), existsSync(join(directory, "s2"))]).toEqual([false, false]);
    expect((await first.status()).state).toBe("running");
  });

  test("for messages over TCP is named", async () => {
    const [port = 0] = await freePorts(1);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
    try {
      const end = await refused(["input.tcp.enabled=true", `input.tcp.listen="127.0.0.1:${port}"`]);
      expect(end.code).toBe(1);
      expect(whyNot(end)).toContain(`port in use: another process listens on 127.0.0.1:${port}`);
      expect(existsSync(join(directory, "s"))).toBe(false);
    } finally {
      server.close();
    }
  });
});
