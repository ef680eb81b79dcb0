import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeAnyPartition, encodePartitionKey } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { openDatagramClient, openStreamClient } from "../support/clients.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import type { KafkaVersion } from "../support/kafkaJars.ts";
import { readBack } from "../support/readBack.ts";
import { accountFor, exactlyOnce } from "../support/readBackVerdict.ts";

const MESSAGES = 100_000;
const PARTITIONS = 4;
/** The first messages of a stream carry these beside the counter, so that their bytes are looked at, too. */
const BINARY = Buffer.from([0, 10, 13, 255, 128, 0]);
const START = 1_795_000_000_000;

const idOf = (index: number) => `message-${index}`;
const payloadOf = (index: number) => Buffer.concat([Buffer.from(idOf(index)), Buffer.from(" "), BINARY]);
const noKey = new Uint8Array();

/** Message `index`: each third has a partition key, each second a key. */
function frameOf(topic: string, index: number): Buffer {
  const message = {
    topic,
    timestamp: START + index,
    key: index % 2 === 0 ? Buffer.from(`key-${index % 100}`) : noKey,
    value: payloadOf(index),
  };
  return index % 3 === 0 ? encodePartitionKey({ ...message, partitionKey: index % 7 }) : encodeAnyPartition(message);
}

async function sendStream(to: string | { host: string; port: number }, topic: string): Promise<void> {
  const client = await openStreamClient(to);
  for (let index = 0; index < MESSAGES; index += 500) {
    const frames = Array.from({ length: 500 }, (_, offset) => frameOf(topic, index + offset));
    await client.write(Buffer.concat(frames));
  }
  await client.end();
}

function sendDatagrams(path: string, topic: string): void {
  const client = openDatagramClient(path);
  for (let index = 0; index < MESSAGES; index++) client.send(frameOf(topic, index));
  client.close();
}

async function expectAllThere(kafka: Kafka, topic: string): Promise<void> {
  const account = accountFor(Array.from({ length: MESSAGES }, (_, index) => idOf(index)));
  const wrong: string[] = [];
  await readBack(kafka.bootstrap, topic, ({ key, value, timestamp, partition }) => {
    const id = value?.toString("latin1", 0, value.indexOf(32)) ?? "";
    const index = Number(id.slice("message-".length));
    account.found(id, index % 3 === 0 ? index % 7 : undefined);
    const asSent =
      timestamp === BigInt(START + index) &&
      (key?.toString() ?? null) === (index % 2 === 0 ? `key-${index % 100}` : null) &&
      value?.equals(payloadOf(index)) === true &&
      (index % 3 !== 0 || partition === (index % 7) % PARTITIONS);
    if (!asSent && wrong.length < 5) wrong.push(`${id} in ${partition}: ${timestamp} ${key} ${value}`);
  });
  expect(account.verdict()).toEqual(exactlyOnce);
  expect(wrong).toEqual([]);
}

describe.each<KafkaVersion>(["4.1.0", "3.9.1"])("with Kafka %s", (version) => {
  let kafka: Kafka;
  let bruce: Bruce;

  beforeAll(async () => {
    kafka = await startKafka({ version });
    // The datagram client sends faster than anything else may take: what is tested is that nothing gets lost.
    bruce = await startBruce({ bootstrap: kafka.bootstrap, set: ['input.datagram.when_full="block"'] });
    for (const topic of ["datagrams", "stream", "tcp"]) await kafka.createTopic(topic, PARTITIONS);
  });
  afterAll(async () => {
    await bruce?.close();
    await kafka?.close();
  });

  test(`${MESSAGES} messages over each transport arrive once, as they were sent, and the ledger balances`, async () => {
    sendDatagrams(bruce.sockets.datagram, "datagrams");
    await sendStream(bruce.sockets.stream, "stream");
    await sendStream(bruce.sockets.tcp, "tcp");
    const { ledger } = await bruce.until(({ ledger: { received, held } }) => received === 3 * MESSAGES && held === 0);
    expect(ledger).toMatchObject({ delivered: 3 * MESSAGES, discarded: 0, possible_duplicates: 0, balanced: true });
    for (const topic of ["datagrams", "stream", "tcp"]) await expectAllThere(kafka, topic);
    expect(await bruce.stop()).toBe(0);
  });
});
