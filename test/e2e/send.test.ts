// `bruce send` and `bruce serve` together, both the executable, on the embedded broker.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { expectBalanced } from "./books.ts";
import { type Command, type CommandEnd, runBruce } from "./command.ts";

const MB = 1024 * 1024;
/** As small as it may be: a daemon whose Kafka does not answer is full after some 40,000 lines. */
const SMALL = ["buffer.memory=16m", 'compression.codec="none"'];
const quiet: CommandEnd = { code: 0, stdout: "", stderr: "" };

let broker: DevBroker;
let directory: string;
let daemon: Bruce | undefined;
let topic: string;
let topics = 0;

beforeAll(async () => {
  broker = await startDevBroker({ maxMessageBytes: 20 * MB });
});
afterAll(() => broker?.stop());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-send-"));
  topic = `topic-${++topics}`;
  broker.createTopic(topic, 2);
});
afterEach(async () => {
  broker.faults.clear();
  await daemon?.close();
  daemon = undefined;
  rmSync(directory, { recursive: true, force: true });
});

/** Starts it where the one before was. */
async function serve(set: string[] = []): Promise<Bruce> {
  daemon = await startBruce({ bootstrap: broker.bootstrap, directory, set });
  return daemon;
}

function send(args: string[] = [], stdin: "pipe" | ReturnType<typeof Bun.file> = "pipe"): Command {
  return runBruce(["send", topic, "--socket", join(directory, "s"), ...args], { cwd: directory, stdin });
}

/** Values of the topic, by partition and offset. */
const values = (partition?: number): string[] => broker.records(topic, partition).map(({ value }) => String(value));

/** Makes the broker keep every Produce waiting until `open` is called. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const rule = broker.faults.always("Produce", { kind: "delay", until: promise });
  return {
    open: () => {
      rule.remove();
      resolve();
    },
  };
}

/** Resolves when batches are full and the queue is filling: most of the file is not read yet. */
async function full(bruce: Bruce): Promise<void> {
  await bruce.until(({ queue }) => queue.bytes > queue.capacity / 2);
}

describe("a file of 200,000 lines", () => {
  const COUNT = 200_000;
  const lines = Array.from({ length: COUNT }, (_, index) => `${index} `.padEnd(300, "abcdefghijklmnopqrstuvwxyz"));
  let file: string;
  beforeEach(async () => {
    file = join(directory, "lines");
    await Bun.write(file, `${lines.join("\n")}\n`);
  });

  test("arrives once and in order over many graceful restarts of the daemon", async () => {
    // So little of the file fits that there is some left for each daemon.
    const set = [...SMALL, 'buffer.disk="16m"'];
    let restarts = 0;
    let held = gate();
    let bruce = await serve(set);
    await using client = send(["--partition-key", "0", file]);
    for (; restarts < 3; restarts++) {
      await full(bruce);
      expect(client.running).toBe(true);
      const stopped = bruce.stop();
      await bruce.untilLogged("stopping");
      held.open();
      expect(await stopped).toBe(0);
      held = gate();
      bruce = await serve(set);
    }
    held.open();
    const { code, stderr } = await client.finished;
    // A daemon that takes over a second to be back is a word worth; that it was waited for is all there is to say.
    const said = stderr.split("\n").filter((line) => line !== "" && !line.includes("waiting for the daemon"));
    expect({ code, said }).toEqual({ code: 0, said: [] });
    expect(await bruce.stop()).toBe(0);
    expectSameLines(values(0), lines);
    expect(values(1)).toEqual([]);
  });

  test("arrives once and in order over kill -9 of the daemon, again and again", async () => {
    await using client = send(["--partition-key", "0", "--wait", "delivered", file]);
    for (let kills = 0; kills < 3; kills++) {
      const killed = await serve();
      const before = broker.records(topic, 0).length;
      await broker.until(() => broker.records(topic, 0).length > Math.min(before, COUNT - 1));
      await killed.kill("SIGKILL");
    }
    const bruce = await serve();
    const { code, stderr } = await client.finished;
    const said = stderr.split("\n").filter((line) => line !== "" && !line.includes("waiting for the daemon"));
    expect({ code, said }).toEqual({ code: 0, said: [] });
    expectSameLines(values(0), lines);
    expect(await bruce.stop()).toBe(0);
  });

  test("over kill -9 of a daemon without a disk buffer: the client goes on, says how many lines are uncertain, and exits with 1", async () => {
    const first = gate();
    const memoryOnly = [...SMALL, 'buffer.disk="0"'];
    const killed = await serve(memoryOnly);
    await using client = send(["--partition-key", "0", file]);
    await full(killed);
    await killed.kill("SIGKILL");
    const said = await client.said("is unknown");
    expect(said).toMatch(
      /the connection to .*\/s broke: whether [\d,]+ lines sent over it reached the daemon is unknown/,
    );
    first.open();
    const bruce = await serve(memoryOnly);
    const { code, stderr } = await client.finished;
    expect(code).toBe(1);
    expect(stderr).toContain("sent 200,000 lines");
    const uncertain = Number(/the fate of ([\d,]+) of them is unknown/.exec(stderr)?.[1]?.replaceAll(",", ""));
    expect(await bruce.stop()).toBe(0);

    const arrived = values(0).map((value) => Number.parseInt(value, 10));
    expect(arrived.every((number, at) => at === 0 || number > (arrived[at - 1] as number))).toBe(true);
    expect(arrived.at(-1)).toBe(COUNT - 1);
    expect(COUNT - arrived.length).toBeGreaterThan(0);
    expect(COUNT - arrived.length).toBeLessThanOrEqual(uncertain);
  });
});

/** Says where they differ, since printing 200,000 lines would help nobody. */
function expectSameLines(found: string[], wanted: string[]): void {
  const at = wanted.findIndex((line, index) => found[index] !== line);
  expect({ at, found: found[at], count: found.length }).toEqual({ at: -1, found: undefined, count: wanted.length });
}

test("a line is delivered when it is written, while the input stays open, as of `tail -f`", async () => {
  await serve();
  await using client = send();
  for (const line of ["first", "second", "third"]) {
    await client.write(`${line}\nbegun, not ended`);
    await broker.until(() => values().some((value) => value.endsWith(line)));
  }
  expect(client.running).toBe(true);
  await client.end();
  expect(await client.finished).toEqual(quiet);
  await daemon?.stop();
  const begun = "begun, not ended";
  expect(values().sort()).toEqual([begun, `${begun}second`, `${begun}third`, "first"]);
});

test("a daemon that is not up yet is waited for", async () => {
  await using client = send(["--retry", "5m"]);
  await client.write("early\n");
  await client.end();
  expect(await client.said("waiting")).toContain(`waiting for the daemon at ${directory}/s: there is no such socket`);
  const bruce = await serve();
  expect((await client.finished).code).toBe(0);
  await bruce.stop();
  expect(values()).toEqual(["early"]);
});

describe("no daemon", () => {
  test("is said, and exit code 75 tells a script to try again later", async () => {
    await using client = send(["--retry", "0"]);
    await client.write("lost?\n");
    await client.end();
    const { code, stderr } = await client.finished;
    expect(code).toBe(75);
    expect(stderr).toContain(`no daemon at ${directory}/s: there is no such socket`);
  });

  test("after --retry is over, too, with a socket file that a dead one left behind", async () => {
    const dead = await serve();
    await dead.kill("SIGKILL");
    await using client = send(["--retry", "200ms"]);
    await client.write("lost?\n");
    await client.end();
    const { code, stderr } = await client.finished;
    expect(code).toBe(75);
    expect(stderr).toContain(`no daemon at ${directory}/s: nothing listens there`);
  });

  test("over TCP", async () => {
    const stopped = await serve();
    const { host, port } = stopped.sockets.tcp;
    await stopped.stop();
    const args = ["send", topic, "--tcp", `${host}:${port}`, "--retry", "0"];
    await using client = runBruce(args, { cwd: directory, stdin: "pipe" });
    await client.write("lost?\n");
    await client.end();
    const { code, stderr } = await client.finished;
    expect(code).toBe(75);
    expect(stderr).toContain(`no daemon at ${host}:${port}`);
  });
});

describe("what a line becomes", () => {
  /** Sends `input` with `args`, and gives what arrived, in the order of arrival. */
  async function arrived(input: string | Uint8Array, ...args: string[]) {
    const bruce = await serve();
    await using client = send(["--partition-key", "1", ...args]);
    await client.write(input);
    await client.end();
    expect(await client.finished).toEqual(quiet);
    expect(await bruce.stop()).toBe(0);
    expect(broker.records(topic, 0)).toEqual([]);
    return broker.records(topic, 1);
  }
  const pairs = (records: Awaited<ReturnType<typeof arrived>>) =>
    records.map(({ key, value }) => [key?.toString("latin1") ?? null, value?.toString("latin1") ?? null]);

  test("empty lines, a carriage return, and a last line without an end are messages as they are", async () => {
    expect(pairs(await arrived("one\n\n two \r\n\nlast"))).toEqual([
      [null, "one"],
      [null, ""],
      [null, " two \r"],
      [null, ""],
      [null, "last"],
    ]);
  });

  test("an empty input is no message", async () => {
    expect(pairs(await arrived(""))).toEqual([]);
  });

  test("every byte passes unchanged", async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte !== 10));
    const records = await arrived(Buffer.concat([bytes, Buffer.from("\n"), bytes]));
    expect(records.map(({ value }) => value?.equals(bytes))).toEqual([true, true]);
  });

  test("--key is the key of all, also when it looks like a number", async () => {
    expect(pairs(await arrived("a\nb\n", "--key", "007"))).toEqual([
      ["007", "a"],
      ["007", "b"],
    ]);
  });

  test("--key-delimiter takes the key from each line; a line without it has none", async () => {
    expect(pairs(await arrived("k1:v1\nplain\n:empty key\nk2:\nk3:a:b\n", "--key-delimiter", ":"))).toEqual([
      ["k1", "v1"],
      [null, "plain"],
      [null, "empty key"],
      ["k2", ""],
      ["k3", "a:b"],
    ]);
  });

  test("--delimiter ends messages instead of a newline", async () => {
    expect(pairs(await arrived("a\nb\0c\0", "--delimiter", "\\0"))).toEqual([
      [null, "a\nb"],
      [null, "c"],
    ]);
    await daemon?.close();
    topic = `topic-${++topics}`;
    broker.createTopic(topic, 2);
    expect(pairs(await arrived("a==b=c==", "--delimiter", "=="))).toEqual([
      [null, "a"],
      [null, "b=c"],
    ]);
  });

  test("files are sent in the order named, each to its end; one that is not there is said before anything is sent", async () => {
    const bruce = await serve();
    await Bun.write(join(directory, "a"), "1\n2");
    await Bun.write(join(directory, "b"), "3\n");
    await using good = send(["--partition-key", "1", "a", "-", "b"]);
    await good.write("from stdin\n");
    await good.end();
    expect(await good.finished).toEqual(quiet);
    await using bad = send(["--partition-key", "1", "a", "missing"]);
    const { code, stderr } = await bad.finished;
    expect(code).not.toBe(0);
    expect(stderr).toContain("missing");
    await bruce.stop();
    expect(values(1)).toEqual(["1", "2", "from stdin", "3"]);
  });
});

describe("a line of 15 MB", () => {
  const line = "x".repeat(15_000_000);

  test("is discarded as too large, on record, and the lines after it are delivered", async () => {
    const bruce = await serve();
    await using client = send(["--partition-key", "1"]);
    await client.write(`before\n${line}\nafter\n`);
    await client.end();
    const { code, stderr } = await client.finished;
    expect({ code, said: stderr.includes("the daemon discarded 1 of them") }).toEqual({ code: 1, said: true });
    const status = await bruce.until(({ ledger }) => ledger.delivered === 2 && ledger.discarded === 1);
    expectBalanced(status);
    expect(status.ledger.discards_by_reason).toEqual({ too_large: 1 });
    expect(status.topics[0]).toMatchObject({ name: topic, received: 3, delivered: 2, discarded: 1 });
    expect(bruce.log()).toContain("too_large");
    expect(values(1)).toEqual(["before", "after"]);
  });

  test("is delivered where max_record and the topic allow it", async () => {
    const bruce = await serve(["batch.max_record=16m"]);
    await using client = send(["--partition-key", "1"]);
    await client.write(`before\n${line}\nafter\n`);
    await client.end();
    expect(await client.finished).toEqual(quiet);
    expect(await bruce.stop()).toBe(0);
    expect(values(1).map((value) => value.length)).toEqual([6, line.length, 5]);
    expect(values(1)[1] === line).toBe(true);
  });

  test("that fits into no message is left out, which is said, and the lines after it are delivered", async () => {
    const bruce = await serve();
    await using client = send(["--partition-key", "1"]);
    await client.write(`before\n${line}${line}\nafter\n`);
    await client.end();
    const { code, stderr } = await client.finished;
    expect(code).toBe(1);
    expect(stderr).toContain("line 2 of standard input is too long for a message; left out");
    expect(stderr).toContain("sent 2 lines");
    await bruce.stop();
    expect(values(1)).toEqual(["before", "after"]);
  });
});

test("over TCP, and with the socket of the daemon's configuration", async () => {
  const bruce = await serve();
  const { host, port } = bruce.sockets.tcp;
  const configuration = join(directory, "bruce.toml");
  await Bun.write(configuration, `[input.stream]\npath = "${directory}/s"\n`);
  for (const [line, ...args] of [
    ["over TCP", "--tcp", `${host}:${port}`],
    ["by configuration", "--config", configuration],
  ] as [string, ...string[]][]) {
    await using client = runBruce(["send", topic, "--partition-key", "1", ...args], { cwd: directory, stdin: "pipe" });
    await client.write(`${line}\n`);
    await client.end();
    expect(await client.finished).toEqual(quiet);
  }
  await bruce.stop();
  expect(values(1)).toEqual(["over TCP", "by configuration"]);
});

test("on SIGINT what was read is sent, and the exit code says that it was interrupted", async () => {
  const bruce = await serve();
  await using client = send();
  await client.write("read\nnot ended");
  await broker.until(() => values().includes("read"));
  client.signal("SIGINT");
  const { code, stderr } = await client.finished;
  expect(code).toBe(130);
  expect(stderr).toContain("sent 1 line,");
  await bruce.stop();
  expect(values()).toEqual(["read"]);
});

test("a topic that Kafka would not allow, or an option that does not exist, is refused with exit code 2", async () => {
  for (const [args, message] of [
    [["send", "a/b"], '"a/b" is no topic'],
    [["send", topic, "--partition-key", "x"], "--partition-key wants a whole number"],
    [["send", topic, "--partitionkey", "1"], 'there is no option --partitionkey; did you mean "--partition-key"?'],
    [["send"], "TOPIC"],
  ] as [string[], string][]) {
    await using client = runBruce(args, { cwd: directory });
    const { code, stderr } = await client.finished;
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  }
});
