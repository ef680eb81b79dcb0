// Every codec, from the executable to a real Kafka, read back by consumers that others wrote; and when a batch goes without.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeAnyPartition, encodePartitionKey } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import { findKcat, KCAT_INSTALL, readWithJava, readWithKcat, type ShownRecord } from "../support/consumers.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { readBack } from "../support/readBack.ts";
import { expectBalanced } from "./books.ts";
import { runBruce } from "./command.ts";

/** In the order of their ids. */
const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
const [NONE, GZIP, SNAPPY, LZ4] = [0, 1, 2, 3];
const PARTITIONS = 2;
/** Messages to the topic of each codec. */
const MESSAGES = 9000;

const RULES = [
  ...CODECS.map((codec) => `topics."codec-${codec}".codec=${codec}`),
  ...['topics."rule-*".codec=lz4', 'topics."rule-*".min_size=10k'],
  ...['topics."rule-own".codec=snappy', 'topics."rule-own".min_size=0'],
  ...['topics."rule-ratio".codec=gzip', 'topics."rule-ratio".max_ratio=0.5'],
  ...[
    'topics."zstd-19".level=19',
    'topics."gzip-*".codec=gzip',
    'topics."gzip-9".codec=gzip',
    'topics."gzip-9".level=9',
  ],
];
const OTHERS = ["rule-many", "rule-few", "rule-own", "rule-ratio", "zstd-1", "zstd-19", "gzip-1", "gzip-9"];

const kcat = findKcat();
let kafka: Kafka;
let bruce: Bruce;

beforeAll(async () => {
  // The topic of offsets is for the Java consumer, which belongs to a group.
  kafka = await startKafka({ properties: { "offsets.topic.num.partitions": "1" } });
  for (const codec of CODECS) await kafka.createTopic(`codec-${codec}`, PARTITIONS);
  for (const topic of OTHERS) await kafka.createTopic(topic);
  // One batch of all that is written at once, however slow the machine is.
  const set = ["batch.linger=500ms", "batch.bytes=1m", ...RULES];
  bruce = await startBruce({ bootstrap: kafka.bootstrap, set });
});
afterAll(async () => {
  await bruce?.close();
  await kafka?.close();
});

const line = (topic: string, index: number) =>
  JSON.stringify({ topic, index, level: ["info", "warn", "debug"][index % 3], text: `Größe ${index * 7919} – ok` });
const keyOf = (index: number) => (index % 5 === 0 ? "" : `key-${index % 11}`);

function message(topic: string, index: number, value = line(topic, index)) {
  return { topic, timestamp: 1_795_000_000_000 + index, key: Buffer.from(keyOf(index)), value: Buffer.from(value) };
}

/** Resolves when Kafka has them. */
async function write(frames: Buffer[]): Promise<void> {
  const { ledger: before } = await bruce.status();
  const client = await openStreamClient(bruce.sockets.stream);
  await client.write(Buffer.concat(frames));
  await client.end();
  await bruce.until(({ ledger }) => ledger.received === before.received + frames.length && ledger.held === 0);
}

const some = (topic: string, count: number) =>
  Array.from({ length: count }, (_, index) => encodeAnyPartition(message(topic, index)));

/** What the tests' own witness reads, the codecs of the batches that it is in, and their size. */
async function readTopic(topic: string): Promise<{ records: ShownRecord[]; codecs: number[]; bytes: number }> {
  const records: ShownRecord[] = [];
  const batches = new Map<string, { codec: number; size: number }>();
  await readBack(kafka.bootstrap, topic, ({ partition, offset, key, value, batch }) => {
    records.push({ partition, offset: Number(offset), key: key?.toString() ?? "NULL", value: String(value) });
    batches.set(`${partition}/${batch.baseOffset}`, batch);
  });
  const codecs = new Set([...batches.values()].map(({ codec }) => codec));
  return { records, codecs: [...codecs], bytes: [...batches.values()].reduce((sum, { size }) => sum + size, 0) };
}

describe("with every codec", () => {
  const indexes = Array.from({ length: MESSAGES }, (_, index) => index);

  beforeAll(async () => {
    for (const codec of CODECS) {
      await write(
        indexes.map((index) => encodePartitionKey({ ...message(`codec-${codec}`, index), partitionKey: index % 3 })),
      );
    }
  });

  test.each(CODECS.map((codec, id) => ({ codec, id })))(
    "all that was sent is there, in batches with $codec",
    async ({ codec, id }) => {
      const { records, codecs } = await readTopic(`codec-${codec}`);
      expect(codecs).toEqual([id]);
      for (const partition of [0, 1]) {
        const sent = indexes.filter((index) => (index % 3) % PARTITIONS === partition);
        const found = records.filter((record) => record.partition === partition);
        expect(found.map(({ key, value }) => ({ key, value }))).toEqual(
          sent.map((index) => ({ key: keyOf(index) || "NULL", value: line(`codec-${codec}`, index) })),
        );
      }
    },
  );

  test.skipIf(kcat === undefined)(`kcat reads the same (skipped without it: ${KCAT_INSTALL})`, async () => {
    for (const codec of CODECS) {
      const { records } = await readTopic(`codec-${codec}`);
      expect(await readWithKcat(kcat ?? "", kafka.bootstrap, `codec-${codec}`)).toEqual(records);
    }
  });

  test("Kafka's Java console consumer reads the same", async () => {
    const shown = await readWithJava(kafka.bootstrap, "codec-.*", MESSAGES * CODECS.length);
    expect(shown).toHaveLength(MESSAGES * CODECS.length);
    for (const codec of CODECS) {
      const { records } = await readTopic(`codec-${codec}`);
      expect(shown.filter(({ value }) => value.startsWith(`{"topic":"codec-${codec}"`))).toEqual(records);
    }
  });
});

describe("a batch", () => {
  test("goes as it is below min_size, here that of a pattern, and compressed above", async () => {
    await write(some("rule-few", 5));
    await write(some("rule-many", 500));
    expect((await readTopic("rule-few")).codecs).toEqual([NONE as number]);
    expect((await readTopic("rule-many")).codecs).toEqual([LZ4 as number]);
  });

  test("follows the topic's own rule, not that of the pattern", async () => {
    await write(some("rule-own", 5));
    expect((await readTopic("rule-own")).codecs).toEqual([SNAPPY as number]);
  });

  test("goes as it is when compressing it gains less than max_ratio asks for", async () => {
    // The digits of noise shrink to a little more than half.
    const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(10_000))).toString("hex");
    await write([encodeAnyPartition(message("rule-ratio", 0, noise))]);
    expect((await readTopic("rule-ratio")).codecs).toEqual([NONE as number]);
    await write(some("rule-ratio", 100));
    expect((await readTopic("rule-ratio")).codecs).toEqual([NONE as number, GZIP as number]);
  });

  test("is smaller at a higher level", async () => {
    const sizeOf = async (topic: string) => {
      await write(
        Array.from({ length: 2000 }, (_, index) => encodeAnyPartition(message(topic, index, line("same", index)))),
      );
      return (await readTopic(topic)).bytes;
    };
    expect(await sizeOf("zstd-19")).toBeLessThan(await sizeOf("zstd-1"));
    expect(await sizeOf("gzip-9")).toBeLessThan(await sizeOf("gzip-1"));
  });
});

test("all of it is in the books", async () => {
  const status = await bruce.status();
  expectBalanced(status);
  expect(status.ledger).toMatchObject({ discarded: 0, possible_duplicates: 0 });
});

test("where a codec's module cannot be loaded, the start is refused with the setting that wants it", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "bruce-codec-"));
  const prefix = ["env", "TMPDIR=/nowhere", "BUN_TMPDIR=/nowhere"];
  const set = ["--set", "compression.codec=gzip", "--set", "topics.a.codec=lz4"];
  try {
    for (const command of ["serve", "check"]) {
      const { code, stderr } = await runBruce([command, ...set], { cwd, prefix }).finished;
      expect(stderr).toStartWith("--set topics.a.codec: the codec lz4 cannot be used here");
      expect(stderr).toContain("TMPDIR");
      expect(code).toBe(2);
    }
  } finally {
    rmSync(cwd, { recursive: true });
  }
});
