// The judge of the fire, before it is believed: it finds what is lost, twice, late or misplaced, and nothing else.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type DevBroker, startDevBroker } from "../../../src/dev/devBroker.ts";
import { produceRecords } from "../../support/kafkaProduce.ts";
import { askKafka, parseAddress } from "../../support/kafkaSocket.ts";
import { judgeFire, type Mark } from "./judge.ts";
import { FrameBlock, LANES, type Source } from "./messages.ts";
import { Ranges } from "./ranges.ts";

const SENT = 5 * LANES;
const SIZE = 120;
const source: Source = { id: 7, topic: "keyed", kind: "partition key", size: SIZE };

let broker: DevBroker;

beforeEach(async () => {
  broker = await startDevBroker({ brokers: 1 });
  broker.createTopic("keyed", 2);
});
afterEach(() => broker.stop());

/** Writes these messages, as values of `from`, to a partition: by default to that of their key. */
async function put(indexes: number[], { from = source, to }: { from?: Source; to?: number } = {}): Promise<void> {
  for (const partition of [0, 1]) {
    const values = indexes.filter((index) => (to ?? index % 2) === partition).map((index) => textOf(from, index));
    const records = values.map((value) => ({ timestamp: 1000, key: null, value }));
    if (records.length > 0)
      await askKafka(parseAddress(broker.bootstrap), produceRecords(from.topic, partition, records));
  }
}

function textOf(from: Source, index: number): string {
  return new FrameBlock(from).fill(index, 1, 1_700_000_000_000).toString("latin1").slice(-SIZE);
}

function judged(
  options: { sent?: number; marks?: Mark[]; gone?: Map<string, Mark>; confirmed?: [number, number] } = {},
) {
  const { sent = SENT, marks = [new Map([[7, 0]])], gone = new Map(), confirmed: [first, end] = [0, sent] } = options;
  const confirmed = new Ranges();
  confirmed.add(first, end);
  const writers = [{ ...source, sent, confirmed }];
  return judgeFire({ bootstrap: broker.bootstrap, writers, marks, gone, growing: "growing" });
}

const all = (count = SENT) => Array.from({ length: count }, (_, index) => index);
const none = { lost: 0, twice: 0, outOfOrder: 0, misplaced: 0 };

test("all there, once and in order, is no fault", async () => {
  await put(all());
  const { total, unexpected, examples } = await judged();
  expect(total).toEqual({ sent: SENT, confirmed: SENT, inKafka: SENT, ...none });
  expect({ unexpected, examples }).toEqual({ unexpected: 0, examples: [] });
});

test("a message that a receipt came for and that is not there is lost; one without a receipt is not", async () => {
  await put(all().filter((index) => index !== 3 && index !== SENT - 1));
  const { total, examples } = await judged({ confirmed: [0, SENT - 1] });
  expect(total).toMatchObject({ confirmed: SENT - 1, inKafka: SENT - 2, ...none, lost: 1 });
  expect(examples).toEqual(["lost: 7 3 of keyed"]);
});

test("twice, behind a later one of its key, or elsewhere than others of its key: each is found, and counted by when it was sent", async () => {
  const late = 2 * LANES;
  await put(all().filter((index) => index !== late && index !== 5));
  await put([9, late]);
  await put([5], { to: 0 });
  const marks = [new Map([[7, 0]]), new Map([[7, 2 * LANES]])];
  const { total, byMark } = await judged({ marks });
  expect(total).toMatchObject({ inKafka: SENT, ...none, twice: 1, outOfOrder: 1, misplaced: 1 });
  expect(byMark[0]).toMatchObject({ sent: 2 * LANES, ...none, twice: 1, misplaced: 1 });
  expect(byMark[1]).toMatchObject({ sent: SENT - 2 * LANES, ...none, outOfOrder: 1 });
});

test("what nobody wrote is unexpected", async () => {
  await put(all());
  await put([SENT]);
  await put([0], { from: { ...source, id: 8 } });
  expect(await judged()).toMatchObject({ unexpected: 2, total: { ...none, inKafka: SENT } });
});

test("of a topic that was made again only the first messages of each key may be missing", async () => {
  const gone = new Map([["keyed", new Map([[7, 3 * LANES]])]]);
  const went = LANES;
  await put(all().filter((index) => index >= went));
  expect((await judged({ gone })).total).toMatchObject({ ...none, inKafka: SENT - went });
});

test("of a topic that was made again none may be missing behind the first of its key, or of those sent afterwards", async () => {
  const gone = new Map([["keyed", new Map([[7, 3 * LANES]])]]);
  // Of key 0 all before and the first afterwards went; of key 1 one in the middle.
  await put(all().filter((index) => index > 3 * LANES && index !== 4 * LANES + 1));
  expect((await judged({ gone })).total).toMatchObject({ ...none, lost: 2 });
});
