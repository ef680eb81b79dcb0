// Kafka is away for half a minute while applications go on writing: nothing of it is lost, and nothing comes twice.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { encodePartitionKey } from "../../src/wire/frame.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import { type DatagramClient, openDatagramClient, openStreamClient, type StreamClient } from "../support/clients.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { peakMemory } from "../support/processRest.ts";
import { readBack } from "../support/readBack.ts";
import { accountFor, exactlyOnce } from "../support/readBackVerdict.ts";
import { expectBalanced } from "./books.ts";

/** Messages per second. */
const RATE = 4000;
/** Milliseconds that Kafka is dead, before it is started again. */
const AWAY = 30_000;
const PARTITIONS = 4;
/** Even ones come as datagrams, odd ones over the stream: within each, the order must be kept. */
const PARTITION_KEYS = 8;
const TOPIC = "outage";
/** buffer.memory by default, and what bruce may need besides. */
const MEMORY = 128 * 1024 * 1024 + 100_000_000;

let kafka: Kafka;
let bruce: Bruce;

beforeAll(async () => {
  kafka = await startKafka();
  await kafka.createTopic(TOPIC, PARTITIONS);
  bruce = await startBruce({ bootstrap: kafka.bootstrap });
});
afterAll(async () => {
  await bruce?.close();
  await kafka?.close();
});

const idOf = (index: number) => `message-${index}`;

function frameOf(index: number): Buffer {
  // Of a length that leaves room in buffer.memory for a Kafka that takes minutes to come back on a busy machine.
  const value = Buffer.from(`${idOf(index)} `.padEnd(100, "."));
  const key = new Uint8Array();
  return encodePartitionKey({
    ...{ topic: TOPIC, timestamp: Date.now(), key, value },
    partitionKey: index % PARTITION_KEYS,
  });
}

/** Writes message after message at RATE, half of them to each client, until told to stop. */
function feed(datagrams: DatagramClient, stream: StreamClient) {
  let sent = 0;
  let going = true;
  const feeding = (async () => {
    const began = performance.now();
    while (going) {
      const due = ((performance.now() - began) * RATE) / 1000;
      const frames: Buffer[] = [];
      for (; sent < due; sent++) {
        if (sent % 2 === 0) datagrams.send(frameOf(sent));
        else frames.push(frameOf(sent));
      }
      await stream.write(Buffer.concat(frames));
      await Bun.sleep(10); // the pace is what is tested
    }
  })();
  return {
    async stop(): Promise<number> {
      going = false;
      await feeding;
      return sent;
    },
  };
}

test(`Kafka killed for ${AWAY / 1000} s at ${RATE} messages/s: nothing lost, nothing twice, all in order`, async () => {
  const datagrams = openDatagramClient(bruce.sockets.datagram);
  const stream = await openStreamClient(bruce.sockets.stream);
  const feeder = feed(datagrams, stream);
  await bruce.until(({ ledger }) => ledger.delivered > RATE);

  await kafka.kill(1);
  const dead = Bun.sleep(AWAY);
  const down = await bruce.until(({ brokers }) => brokers.some(({ state }) => state === "down"));
  expect(down.brokers).toEqual([expect.objectContaining({ id: 1, address: kafka.bootstrap, state: "down" })]);
  expect(down.brokers[0]?.reason).toBeString();
  expectBalanced(down);
  await dead;
  const before = await bruce.status();
  expect(before.ledger.held).toBeGreaterThan(RATE);
  expect(before.topics[0]?.oldest_unsent_age).toBeGreaterThan(AWAY / 2);
  expect(before.brokers[0]?.state).not.toBe("up");
  expectBalanced(before);

  await kafka.start(1);
  await bruce.until(({ ledger }) => ledger.delivered > before.ledger.delivered + before.ledger.held);
  const sent = await feeder.stop();
  datagrams.close();
  await stream.end();
  const after = await bruce.until(({ ledger: { received, held } }) => received === sent && held === 0);
  expect(after.ledger).toMatchObject({ received: sent, delivered: sent, discarded: 0 });
  expect(after.brokers[0]?.state).toBe("up");
  expectBalanced(after);
  expect(await peakMemory(bruce.pid)).toBeLessThanOrEqual(MEMORY);

  const account = accountFor(Array.from({ length: sent }, (_, index) => idOf(index)));
  const misplaced: string[] = [];
  await readBack(kafka.bootstrap, TOPIC, ({ value, partition }) => {
    const id = value?.toString("latin1", 0, value.indexOf(32)) ?? "";
    const lane = Number(id.slice("message-".length)) % PARTITION_KEYS;
    account.found(id, lane);
    if (partition !== lane % PARTITIONS) misplaced.push(`${id} in ${partition}`);
  });
  expect(account.verdict()).toEqual(exactlyOnce);
  expect(misplaced).toEqual([]);
  expect(await bruce.stop()).toBe(0);
});
