// SIGHUP at the compiled executable: the configuration is read again under load, and no message is lost by it.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevBroker, type DevBrokerOptions, startDevBroker } from "../../src/dev/devBroker.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { expectBalanced } from "./books.ts";
import { runBruce } from "./command.ts";

let directory: string;
let brokers: DevBroker[];
let bruce: Bruce | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-reload-"));
  brokers = [];
});
afterEach(async () => {
  await bruce?.close();
  bruce = undefined;
  for (const broker of brokers) await broker.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function broker(options: DevBrokerOptions = {}): Promise<DevBroker> {
  const started = await startDevBroker(options);
  started.createTopic("t");
  brokers.push(started);
  return started;
}

/** Its configuration; the places of everything are given by --set. */
function configure(text: string): void {
  writeFileSync(join(directory, "bruce.toml"), text);
}

const brokerLine = (addresses: DevBroker["addresses"]) =>
  `kafka.brokers = ${JSON.stringify(addresses.map(({ host, port }) => `${host}:${port}`))}\n`;

async function serve(text: string, set: string[] = []): Promise<Bruce> {
  bruce = await startBruce({ directory, set, config: text });
  await bruce.until(({ state }) => state === "running");
  return bruce;
}

interface LogLine extends Record<string, unknown> {
  level: string;
  msg: string;
}

const logOf = (to: Bruce, more = "") =>
  (to.log() + more)
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as LogLine);

const ANSWERS = ["configuration read again", "the configuration is not taken over, everything stays as it was"];
const answers = (to: Bruce, more = "") => logOf(to, more).filter(({ msg }) => ANSWERS.includes(msg));

/** Writes it, has it read, and resolves with what the log says of that. `file`: where it logs, if not on stderr. */
async function reload(to: Bruce, text: string, file?: string): Promise<LogLine> {
  const more = () => (file !== undefined && existsSync(file) ? readFileSync(file, "utf8") : "");
  const before = answers(to, more()).length;
  configure(text);
  process.kill(to.pid, "SIGHUP");
  for (;;) {
    const now = answers(to, more());
    if (now.length > before) return now.at(-1) as LogLine;
    process.kill(to.pid, 0); // throws when it ended
    await Bun.sleep(5); // the line in its log is the event
  }
}

const frame = (topic: string, value: string) =>
  encodeAnyPartition({ topic, timestamp: 1_795_000_000_000, key: new Uint8Array(), value: Buffer.from(value) });

async function send(to: Bruce, topic: string, ...values: string[]): Promise<void> {
  const client = await openStreamClient(to.sockets.stream);
  await client.write(Buffer.concat(values.map((value) => frame(topic, value))));
  await client.end();
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => `${index}`);

describe("under load", () => {
  const LINES = 40_000;
  const PARTITIONS = 3;

  test("with another change every moment, bad files among them, each message is delivered once and in order", async () => {
    const cluster = await broker({ brokers: 3 });
    cluster.createTopic("load", PARTITIONS);
    // Now and then a connection breaks as well, before or after its batches were written.
    const cut = (attempt: number) => ({ kind: "cut", append: attempt % 2 === 0 }) as const;
    cluster.faults.always("Produce", ({ attempt }) => (attempt % 23 === 0 ? cut(attempt) : undefined));
    const [one, two, three] = cluster.addresses.map((address) => brokerLine([address]));
    const to = await serve(one as string, ["delivery.shutdown_timeout=60s"]);
    const senders = upTo(PARTITIONS).map((key) =>
      runBruce(["send", "load", "--socket", to.sockets.stream, "--partition-key", key, "--wait", "delivered"], {
        cwd: directory,
        stdin: "pipe",
      }),
    );
    let over = false;
    const writing = (async () => {
      for (let from = 0; from < LINES; from += 200) {
        const lines = upTo(200).map((at) => `${from + Number(at)}\n`);
        await Promise.all(senders.map((sender) => sender.write(lines.join(""))));
        await Bun.sleep(20); // a load, not a burst
      }
      for (const sender of senders) await sender.end();
      const ends = await Promise.all(senders.map(({ finished }) => finished));
      over = true;
      return ends;
    })();

    const changes = [
      `${two}[compression]\ncodec = "gzip"\nmin_size = 0`,
      `${two}batch.linger = "1ms"\nbatch.messages = 7`,
      "kafka.brokers = 5",
      `${three}kafka.client_id = "another"\nlog.level = "debug"`,
      `${three}kafka.request_timeout = "20s"\nkafka.max_in_flight = 1\n[topics.load]\ncodec = "none"\nlinger = "0"`,
      "[kafka",
      `${one}buffer.held = "1m"\nbuffer.disk = "1g"\nbuffer.sync = "always"`,
      `${one}http.listen = "127.0.0.1:1"\nbuffer.sync = "50ms"\n[topics."lo*"]\nbytes = "2k"\ncodec = "snappy"`,
      `${one}kafka.metadata_refresh = "100ms"\ndelivery.backoff = "1ms"\ninput.stream.when_full = "drop_oldest"`,
      `${two}batch.max_record = "1k"\ninput.stream.max_message = "64k"\nkafka.tls.enabled = "yes"`,
    ];
    const said: LogLine[] = [];
    for (let turn = 0; !over || turn < 2 * changes.length; turn++) {
      said.push(await reload(to, changes[turn % changes.length] as string));
      await Bun.sleep(100); // something should happen in between
    }
    for (const { code, stderr } of await writing) expect({ code, stderr }).toMatchObject({ code: 0 });

    for (const key of upTo(PARTITIONS)) {
      const values = cluster.records("load", Number(key)).map(({ value }) => `${value}`);
      expect(values.length).toBe(LINES);
      expect(values).toEqual(upTo(LINES));
    }
    const status = await to.until(({ ledger }) => ledger.held === 0);
    expectBalanced(status);
    const all = PARTITIONS * LINES;
    expect(status.ledger).toMatchObject({ received: all, delivered: all, discarded: 0, possible_duplicates: 0 });
    expect(said.length).toBeGreaterThanOrEqual(2 * changes.length);
    const bad = said.filter(({ level }) => level === "error");
    expect(bad.length).toBeGreaterThanOrEqual(6);
    for (const { errors } of bad) expect((errors as string[])[0]).toContain(`${directory}/bruce.toml:`);
    expect(await to.stop()).toBe(0);
  }, 300_000);

  test("a storm of signals, also while it starts and while it stops, ends it in no other way than a quiet start and stop", async () => {
    const cluster = await broker();
    configure(brokerLine(cluster.addresses));
    for (let round = 0; round < 5; round++) {
      const args = [`input.datagram.path="${directory}/d"`, `input.stream.path="${directory}/s"`, "http.enabled=false"];
      args.push(`buffer.path="${directory}/state"`, 'log.format="json"');
      const config = join(directory, "bruce.toml");
      const command = ["serve", "-c", config, ...args.flatMap((each) => ["--set", each])];
      await using served = runBruce(command, { cwd: directory });
      let storm = true;
      const blowing = (async () => {
        // From when on there is somebody who hears it.
        await served.said('"msg":"starting"');
        while (storm && served.running) {
          served.signal("SIGHUP");
          await Bun.sleep(1);
        }
      })();
      await served.said('"msg":"ready"');
      await served.said(ANSWERS[0] as string);
      served.signal("SIGTERM");
      const { code, stderr } = await served.finished;
      storm = false;
      await blowing;
      expect({ code, last: stderr.trimEnd().split("\n").at(-1) }).toEqual({
        code: 0,
        last: expect.stringContaining('"msg":"stopped"'),
      });
    }
  }, 300_000);
});

describe("each change is seen to act", () => {
  test("compression and limits of batches, of all topics and of one", async () => {
    const codecs: number[] = [];
    const cluster = await broker({ onRecords: (_topic, _partition, { codec }) => void codecs.push(codec) });
    const first = brokerLine(cluster.addresses);
    const to = await serve(`${first}compression = { codec = "none", min_size = 0, max_ratio = 1 }`);
    await send(to, "t", "x".repeat(1000));
    await to.until(({ ledger }) => ledger.delivered === 1);
    expect(await reload(to, `${first}compression = { codec = "gzip", min_size = 0 }`)).toMatchObject({
      changed: ['compression.codec: "none" -> "gzip"', "compression.max_ratio: 1 -> 0.75"],
    });
    await send(to, "t", "x".repeat(1000));
    await to.until(({ ledger }) => ledger.delivered === 2);
    await reload(to, `${first}compression = { codec = "gzip", min_size = 0 }\n[topics.t]\ncodec = "lz4"`);
    await send(to, "t", "x".repeat(1000));
    await to.until(({ ledger }) => ledger.delivered === 3);
    expect(codecs).toEqual([0, 1, 3]);
  });

  test("a topic's rate_limit, and max_record", async () => {
    const cluster = await broker();
    const first = brokerLine(cluster.addresses);
    const to = await serve(first);
    await send(to, "t", ...upTo(100));
    await to.until(({ ledger }) => ledger.delivered === 100);
    await reload(to, `${first}[topics.t]\nrate_limit = "10/1h"`);
    await send(to, "t", ...upTo(100));
    const limited = await to.until(({ ledger }) => ledger.received === 200 && ledger.held === 0);
    expect(limited.ledger.discards_by_reason.rate_limited).toBeGreaterThanOrEqual(80);
    await reload(to, `${first}batch.max_record = "1k"`);
    const { delivered } = (await to.status()).ledger;
    await send(to, "t", "x".repeat(2000), "small");
    const { ledger } = await to.until(({ ledger: { received, held } }) => received === 202 && held === 0);
    expect(ledger).toMatchObject({ delivered: delivered + 1, discards_by_reason: { too_large: 1 } });
  });

  test("the brokers: what waits for one that is not there goes to the one that is", async () => {
    const cluster = await broker();
    const to = await serve('kafka.brokers = "127.0.0.1:1"\n');
    await send(to, "t", ...upTo(10));
    await to.until(({ metadata }) => metadata.failures > 0);
    await reload(to, brokerLine(cluster.addresses));
    await to.until(({ ledger }) => ledger.delivered === 10);
    expect(cluster.records("t").map(({ value }) => `${value}`)).toEqual(upTo(10));
  });

  test("another cluster: nothing is lost, and only what was unanswered may be in both", async () => {
    const [there, here] = [await broker(), await broker({ clusterId: "another" })];
    const to = await serve(brokerLine(there.addresses));
    await send(to, "t", ...upTo(10));
    await to.until(({ ledger }) => ledger.delivered === 10);
    const unanswered = there.faults.once("Produce", { kind: "silent", append: true });
    await send(to, "t", "10", "11");
    await unanswered.hit;
    await send(to, "t", "12");
    await reload(to, brokerLine(here.addresses));
    const { ledger, metadata } = await to.until(({ ledger: { delivered } }) => delivered === 13);
    expect(metadata.cluster_id).toBe("another");
    expect(there.records("t").map(({ value }) => `${value}`)).toEqual(upTo(12));
    expect(here.records("t").map(({ value }) => `${value}`)).toEqual(["10", "11", "12"]);
    expect(ledger.possible_duplicates).toBe(2);
    await to.untilLogged("another cluster answers than before");
  });

  test("how much may be held: what finds no room is given up, and with more room nothing is", async () => {
    const cluster = await broker({ autoCreate: false });
    const first = `${brokerLine(cluster.addresses)}buffer = { disk = "512m", held = "1m" }\n`;
    const to = await serve(first, ["buffer.memory=16m"]);
    const kilobyte = "x".repeat(1000);
    const load = () => send(to, "missing", ...upTo(5000).map((each) => each + kilobyte));
    await load();
    const held = () => to.until(({ topics, ledger }) => ledger.received % 5000 === 0 && topics[0]?.state === "held");
    await held();
    await load();
    await load();
    await to.until(({ ledger }) => (ledger.discards_by_reason.held_full ?? 0) > 0 && ledger.received === 15_000);
    await reload(to, first.replace("1m", "128m"));
    const settled = async () => {
      // What is on its way to the disk counts already.
      const { ledger } = await to.until(
        ({ ledger: { received }, queue }) => received % 5000 === 0 && queue.messages === 0,
      );
      return ledger.discarded;
    };
    const before = await settled();
    await load();
    expect(await settled()).toBe(before);
    cluster.createTopic("missing");
    const { ledger } = await to.until(({ ledger: { held: left } }) => left === 0);
    expect(ledger.delivered + ledger.discarded).toBe(20_000);
    expectBalanced(await to.status());
  }, 300_000);

  test("the log: its level, its form, its file", async () => {
    const cluster = await broker();
    const first = brokerLine(cluster.addresses);
    const [file, set] = [join(directory, "bruce.log"), ['log.format="json"']];
    const to = await serve(first, set);
    expect(logOf(to).some(({ level }) => level === "debug")).toBe(false);
    await reload(to, `${first}log.level = "debug"`);
    await send(to, "t", "1");
    await to.untilLogged('"level":"debug"');
    await reload(to, `${first}log.file = "${file}"`, file);
    await to.untilLogged("the log goes on elsewhere");
    expect(answers(to, readFileSync(file, "utf8")).at(-1)?.changed).toEqual([
      'log.level: "debug" -> "info"',
      `log.file: "" -> "${file}"`,
    ]);
    const quiet = to.log();
    expect(await to.stop()).toBe(0);
    expect(to.log()).toBe(quiet);
    expect(readFileSync(file, "utf8")).toContain('"msg":"stopped"');
  });
});

describe("what the operator sees", () => {
  test("a bad file changes nothing; status, metrics and `bruce status` say so until a good one is read", async () => {
    const cluster = await broker();
    const first = `${brokerLine(cluster.addresses)}batch.linger = "5ms"\n`;
    const to = await serve(first);
    const metric = async () => {
      const text = await (await fetch(`${to.url}/metrics`)).text();
      return /^bruce_config_last_reload_successful (\d)$/m.exec(text)?.[1];
    };
    expect(await metric()).toBe("1");
    const bad = await reload(to, `${first}batch.byte = 1\nkafka.sasl = { password = "hunter2", mechanism = 5 }`);
    expect(bad.errors).toEqual([
      expect.stringMatching(/bruce\.toml:3:7: batch\.byte: unknown setting; did you mean "bytes"\?/),
      expect.stringContaining("kafka.sasl.mechanism"),
    ]);
    expect(await metric()).toBe("0");
    const { config } = await to.status();
    expect(config.error).toContain("batch.byte");
    await using asked = runBruce(["status", "--url", to.url], { cwd: directory });
    expect((await asked.finished).stdout).toMatch(
      /^config\tthe configuration was not taken over .* ago: .*batch\.byte/m,
    );

    await reload(to, `${first}http.listen = "127.0.0.1:1"`);
    expect(await metric()).toBe("1");
    expect((await to.status()).config).toMatchObject({ error: null, restart_needed: [] }); // --set is over it
    await reload(to, `${first}kafka.idempotence = false`);
    expect((await to.status()).config.restart_needed).toEqual(["kafka.idempotence"]);
    await to.untilLogged("take effect with the next start only");
    rmSync(join(directory, "bruce.toml"));
    process.kill(to.pid, "SIGHUP");
    await to.untilLogged("there is no such file");
    await send(to, "t", ...upTo(10));
    await to.until(({ ledger }) => ledger.delivered === 10);
    expect(to.log()).not.toContain("hunter2");
    expect(await to.stop()).toBe(0);
  });

  test("--dev takes what a file says that is given to it", async () => {
    const file = join(directory, "dev.toml");
    writeFileSync(file, 'batch.linger = "5ms"');
    await using dev = runBruce(["serve", "--dev", "-c", file], { cwd: directory });
    await dev.said("end it");
    writeFileSync(file, 'batch.linger = "6ms"\nkafka.brokers = "127.0.0.1:1"');
    dev.signal("SIGHUP");
    expect(await dev.said(ANSWERS[0] as string)).toContain("batch.linger");
    dev.signal("SIGTERM");
    expect((await dev.finished).code).toBe(0);
  });
});
