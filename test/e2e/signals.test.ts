// What signals do to the executable, and what `bruce serve --dev` shows.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openDatagramClient, openStreamClient } from "../support/clients.ts";
import { freePorts } from "../support/kafkaPorts.ts";
import { expectBalanced } from "./books.ts";
import { runBruce } from "./command.ts";

const TOPIC = "signals";

let broker: DevBroker;
let directory: string;
let bruce: Bruce | undefined;

beforeAll(async () => {
  broker = await startDevBroker();
});
afterAll(() => broker?.stop());
beforeEach(() => {
  broker.createTopic(TOPIC);
  directory = mkdtempSync(join(tmpdir(), "bruce-signals-"));
});
afterEach(async () => {
  broker.faults.clear();
  broker.deleteTopic(TOPIC);
  await bruce?.close();
  bruce = undefined;
  rmSync(directory, { recursive: true, force: true });
});

async function serve(set: string[] = [], more: { logFile?: string; bootstrap?: string } = {}): Promise<Bruce> {
  bruce = await startBruce({ bootstrap: broker.bootstrap, directory, set, ...more });
  await bruce.until(({ state }) => state === "running");
  return bruce;
}

async function serveWithoutKafka(set: string[] = []): Promise<Bruce> {
  const [port = 0] = await freePorts(1);
  return await serve(set, { bootstrap: `127.0.0.1:${port}` });
}

function frames(count: number, from = 0): Buffer[] {
  const key = new Uint8Array();
  const frame = (value: string) =>
    encodeAnyPartition({ topic: TOPIC, timestamp: 1_795_000_000_000, key, value: Buffer.from(value) });
  return Array.from({ length: count }, (_, index) => frame(String(from + index)));
}

/** `count` messages over each of the three inputs; resolves when all are received. */
async function feed(to: Bruce, count: number): Promise<void> {
  const datagrams = openDatagramClient(to.sockets.datagram);
  for (const frame of frames(count)) datagrams.send(frame);
  datagrams.close();
  for (const [index, address] of [to.sockets.stream, to.sockets.tcp].entries()) {
    const client = await openStreamClient(address);
    await client.write(Buffer.concat(frames(count, (index + 1) * count)));
    await client.end();
  }
  const status = await to.until(({ ledger }) => ledger.received === 3 * count);
  expectBalanced(status);
}

function logged(log: string, message: string): Record<string, unknown> {
  for (const line of log.split("\n")) if (line.includes(`"msg":"${message}`)) return JSON.parse(line);
  throw new Error(`the log has no line "${message}":\n${log}`);
}

const numbers = (): number[] =>
  broker
    .records(TOPIC)
    .map(({ value }) => Number(value))
    .sort((a, b) => a - b);

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe.each(["SIGTERM", "SIGINT"] as const)("%s", (signal) => {
  test("delivers everything that was taken, whatever its linger, and ends with 0", async () => {
    const to = await serve(["batch.linger=1h"]);
    await feed(to, 5000);
    expect(broker.records(TOPIC)).toEqual([]);
    expect(await to.kill(signal)).toBe(0);
    expect(numbers()).toEqual(upTo(15_000));
    expect(logged(to.log(), "stopping")).toMatchObject({ signal, held: 15_000 });
    expect(logged(to.log(), "stopped")).toMatchObject({ level: "info", delivered: 15_000, discarded: 0 });
    expect([existsSync(to.sockets.datagram), existsSync(to.sockets.stream)]).toEqual([false, false]);
  });

  test("reads to the end what clients had sent before it, nothing from what it has closed, and tells clients by closing", async () => {
    const to = await serve();
    const client = await openStreamClient(to.sockets.stream);
    await client.write(Buffer.concat(frames(1000)));
    expect(await to.kill(signal)).toBe(0);
    await client.closed;
    expect(numbers()).toEqual(upTo(1000));
    expect(to.log()).not.toContain("could not be read");
  });

  test("waits for Kafka while delivery.shutdown_timeout lasts", async () => {
    const to = await serve();
    const answer = Promise.withResolvers<void>();
    const asked = broker.faults.once("Produce", { kind: "delay", until: answer.promise });
    await feed(to, 10);
    const ended = to.kill(signal);
    await asked.hit;
    await to.untilLogged('"msg":"stopping');
    answer.resolve();
    expect(await ended).toBe(0);
    expect(numbers()).toEqual(upTo(30));
  });

  test("with memory only, Kafka away and delivery.shutdown_timeout over, ends with 1 and says how many messages were lost", async () => {
    const to = await serveWithoutKafka(["buffer.disk=0", "delivery.shutdown_timeout=100ms"]);
    await feed(to, 100);
    expect(await to.kill(signal)).toBe(1);
    const line = logged(to.log(), "stopped; messages were lost: Kafka did not take them in time");
    expect(line).toMatchObject({ level: "error", lost: 300, delivered: 0 });
    expect(logged(to.log(), "messages discarded")).toMatchObject({ reason: "shutdown", topic: TOPIC, count: 300 });
  });

  test("a second time ends it at once, and with memory only says how many messages were lost", async () => {
    const to = await serveWithoutKafka(["buffer.disk=0", "delivery.shutdown_timeout=1h"]);
    await feed(to, 100);
    const ended = to.kill(signal);
    await to.untilLogged('"msg":"stopping');
    void to.kill(signal);
    expect(await ended).toBe(1);
    const line = logged(to.log(), "stopped at once, on a second signal");
    expect(line).toMatchObject({ level: "error", lost: 300 });
  });
});

test("SIGUSR1 opens the log file anew, after it was moved away", async () => {
  const logFile = join(directory, "bruce.log");
  const to = await serve([], { logFile });
  const moved = `${logFile}.1`;
  renameSync(logFile, moved);
  expect(existsSync(logFile)).toBe(false);
  process.kill(to.pid, "SIGUSR1");
  while (!existsSync(logFile)) await Bun.sleep(5); // the file is the event
  await feed(to, 10);
  expect(await to.stop()).toBe(0);
  expect(readFileSync(moved, "utf8")).toContain('"msg":"ready"');
  expect(readFileSync(moved, "utf8")).not.toContain('"msg":"stopped"');
  expect(readFileSync(logFile, "utf8")).toContain('"msg":"stopped"');
  expect(numbers()).toEqual(upTo(30));
});

test("SIGHUP without a configuration file: says that nothing changed, and nothing does", async () => {
  const to = await serve();
  process.kill(to.pid, "SIGHUP");
  await to.untilLogged("configuration read again");
  expect(logged(to.log(), "configuration read again")).toMatchObject({ level: "info", changed: "nothing" });
  await feed(to, 10);
  expect(await to.stop()).toBe(0);
  expect(numbers()).toEqual(upTo(30));
});

describe("bruce serve --dev", () => {
  /** What its words say of where things are. */
  function places(said: string) {
    const of = (pattern: RegExp) => pattern.exec(said)?.[1] ?? "";
    return {
      directory: of(/directory +(\S+)/),
      kafka: of(/^ +Kafka +(\S+)/m),
      status: of(/status +(\S+)/),
      socket: of(/--socket (\S+)/),
    };
  }

  test.each(["SIGTERM", "SIGINT"] as const)(
    "prints each message as it arrives, and cleans up on %s",
    async (signal) => {
      await using dev = runBruce(["serve", "--dev"], { cwd: directory });
      const { socket, status, ...place } = places(await dev.said("end it"));
      expect(existsSync(socket)).toBe(true);
      expect(place.kafka).toMatch(/^127\.0\.0\.1:\d+$/);

      // As it says itself: echo hello | bruce send greetings --socket …
      await using client = runBruce(["send", "greetings", "--socket", socket], { cwd: directory, stdin: "pipe" });
      await client.write("hello\n");
      expect(await dev.printed("hello")).toMatch(/greetings\[\d+\]@0 hello\n/);
      await client.write("again \x1b[31m\n");
      expect(await dev.printed("again")).toMatch(/greetings\[\d+\]@1 again \\x1b\[31m\n/);
      await client.end();
      expect((await client.finished).code).toBe(0);

      await using asked = runBruce(["status", "--json", "--url", status], { cwd: directory });
      const answer = JSON.parse((await asked.finished).stdout);
      expect(answer.ledger).toMatchObject({ received: 2, delivered: 2, held: 0, discarded: 0 });
      expectBalanced(answer);

      dev.signal(signal);
      const { code, stdout } = await dev.finished;
      expect(code).toBe(0);
      expect(stdout.split("\n").filter((line) => line !== "")).toHaveLength(2);
      expect(existsSync(place.directory)).toBe(false);
      expect(readdirSync(directory).filter((name) => name.startsWith("bruce-dev-"))).toEqual([]);
    },
  );

  test("a second one, at the same time, has places of its own", async () => {
    await using one = runBruce(["serve", "--dev"], { cwd: directory });
    await using two = runBruce(["serve", "--dev"], { cwd: directory });
    const [first, second] = [places(await one.said("end it")), places(await two.said("end it"))];
    expect(first.socket).not.toBe(second.socket);
    expect(first.kafka).not.toBe(second.kafka);
    for (const { status } of [first, second]) expect((await fetch(`${status}api/v1/status`)).status).toBe(200);
    for (const each of [one, two]) each.signal("SIGTERM");
    expect([(await one.finished).code, (await two.finished).code]).toEqual([0, 0]);
  });
});
