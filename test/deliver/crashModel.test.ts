// Random lives and deaths: whatever broker and process go through, every message is in Kafka once, keyed ones in order.
import { describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import type { Fault } from "../../src/dev/faults.ts";
import { heldIn } from "../../src/observe/ledger.ts";
import { type Life, type Mortal, mortal } from "../support/mortalPipeline.ts";
import type { TestMessage } from "../support/testPipeline.ts";

const PARTITIONS = { one: 1, three: 3 } as const;
const TOPICS = ["one", "three"] as const;
const NODES = [1, 2];

/** In [0, 1), the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What goes wrong with a produce request while nothing makes a batch be counted as a possible duplicate. */
const HARMLESS: readonly Fault[] = [
  { kind: "silent" },
  { kind: "silent", append: true },
  { kind: "cut" },
  { kind: "cut", append: true },
  { kind: "cut", after: 11, append: true },
  { kind: "garbage", bytes: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), append: true },
  { kind: "error", code: 6 },
  { kind: "error", code: 7, append: true },
  { kind: "error", code: 20, append: true },
  { kind: "error", code: -1 },
];

/** A lie, unless the broker takes the batch: then it is what a real one says of a repetition. */
const HAS_IT: Fault = { kind: "error", code: 46, append: true };

/** "filled": it takes nothing now and then. "cut": what came last is not on it after a death. */
type Disk = "sound" | "filled" | "cut";

class Model {
  readonly #it: Mortal;
  readonly #random: () => number;
  readonly #faults: readonly Fault[];
  #appended = 0;
  /** Those that the disk does not have: they may be lost. */
  readonly #mayBeLost = new Set<number>();
  readonly #disk: Disk;
  #cut: (() => void) | undefined;
  #appendedAtCut = 0;

  constructor(it: Mortal, random: () => number, faults: readonly Fault[], disk: Disk) {
    this.#it = it;
    this.#disk = disk;
    this.#random = random;
    this.#faults = faults;
    for (const topic of TOPICS) it.broker.createTopic(topic, PARTITIONS[topic]);
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  append(most: number): void {
    const messages = Array.from({ length: 1 + this.below(most) }, (): TestMessage => {
      const topic = TOPICS[this.below(2)] as (typeof TOPICS)[number];
      const value = `${this.#appended++}`.padEnd(this.below(60), " ");
      const partitionKey = this.below(6);
      return this.#random() < 0.3 ? { topic, value } : { topic, value, partitionKey, key: "keyed" };
    });
    if (this.#it.diskFull) {
      for (let left = messages.length; left > 0; left--) this.#mayBeLost.add(this.#appended - left);
      this.#it.appendInMemory(...messages);
    } else this.#it.append(...messages);
  }

  /** One thing that happens in a life. */
  async event(life: Life): Promise<void> {
    const { broker } = this.#it;
    const node = NODES[this.below(2)] as number;
    switch (this.below(this.#disk === "sound" ? 8 : 12)) {
      case 8:
      case 9:
      case 10:
      case 11:
        if (this.#disk === "filled") this.#it.diskFull = !this.#it.diskFull;
        else if (this.#cut === undefined) {
          this.#cut = this.#it.powerCut();
          this.#appendedAtCut = this.#appended;
          this.append(10);
        }
        await this.produces(life, 3);
        break;
      case 0:
      case 1:
        broker.faults.once("Produce", this.#faults[this.below(this.#faults.length)] as Fault);
        break;
      case 2:
        life.checkpoint();
        break;
      case 3:
        broker.setLeader("three", this.below(3), node);
        break;
      case 4:
        broker.stopNode(node);
        await this.ticks(20);
        broker.startNode(node);
        break;
      case 5:
        await this.produces(life, 1);
        break;
      default:
        this.append(40);
        await this.ticks(10);
    }
  }

  async death(life: Life): Promise<void> {
    this.append(20);
    if (this.#random() < 0.6) await Promise.race([life.killAtEntry(1 + this.below(4)), life.settled()]);
    else await this.ticks(40);
    life.kill();
    if (this.#random() < 0.5) this.#it.diskFull = false;
    if (this.#cut === undefined) return;
    this.#cut();
    this.#cut = undefined;
    for (let lost = this.#appendedAtCut; lost < this.#appended; lost++) this.#mayBeLost.add(lost);
  }

  /** Resolves when so many requests more were made to write, or there is nothing to write. */
  async produces(life: Life, count: number): Promise<void> {
    const { broker } = this.#it;
    const sent = broker.requests.Produce;
    await Promise.race([broker.until(() => broker.requests.Produce >= sent + count), life.settled()]);
  }

  async ticks(most: number): Promise<void> {
    for (let left = this.below(most); left > 0; left--) await new Promise(setImmediate);
  }

  /**
   * Each is there, and those with a partition key in the order received, as far as they share a partition; repetitions do
   * not count. Answers how many are there more than once.
   */
  check(): number {
    const numbers: number[] = [];
    for (const topic of TOPICS) {
      for (let partition = 0; partition < PARTITIONS[topic]; partition++) {
        const records = this.#it.broker.records(topic, partition);
        const numberOf = ({ value }: (typeof records)[number]) => Number(value?.toString());
        numbers.push(...records.map(numberOf));
        const keyed = [...new Set(records.filter(({ key }) => key !== null).map(numberOf))];
        expect(keyed).toEqual(keyed.toSorted((a, b) => a - b));
      }
    }
    const once = new Set(numbers);
    const kept = Array.from({ length: this.#appended }, (_, n) => n).filter((n) => !this.#mayBeLost.has(n));
    expect([...once].filter((n) => !this.#mayBeLost.has(n)).sort((a, b) => a - b)).toEqual(kept);
    return numbers.length - once.size;
  }
}

async function lives(
  it: Mortal,
  seed: number,
  faults: readonly Fault[],
  change: (settings: Settings) => void = () => {},
  disk: Disk = "sound",
): Promise<{ twice: number; counted: number }> {
  const model = new Model(it, seeded(seed), faults, disk);
  let counted = 0;
  const quick = (settings: Settings) => {
    settings.kafka.requestTimeout = 150;
    settings.batch.messages = 1 + model.below(30);
    change(settings);
  };
  for (let left = 2 + model.below(5); left > 0; left--) {
    const life = it.live(quick);
    model.append(60);
    for (let events = model.below(8); events > 0; events--) await model.event(life);
    await model.death(life);
    counted += life.pipeline.ledger.total.possibleDuplicates;
  }
  it.broker.faults.clear();
  it.diskFull = false;
  const last = it.live(quick);
  await last.settled();
  const { ledger } = last.pipeline;
  counted += ledger.total.possibleDuplicates;
  for (const account of [ledger.total, ...TOPICS.map((name) => ledger.topic(name))]) expect(heldIn(account)).toBe(0);
  last.checkpoint();
  expect(it.open()).toEqual([]);
  return { twice: model.check(), counted };
}

const seeds = Array.from({ length: Number(process.env.BRUCE_LIVES ?? 15) }, (_, index) => index);

const cluster = { brokers: 2, autoCreate: false };

test.each(seeds)(
  "each message is in Kafka once, and none is counted as a possible duplicate (seed %d)",
  async (seed) => {
    await using it = await mortal(cluster);
    expect(await lives(it, seed, [...HARMLESS, HAS_IT])).toEqual({ twice: 0, counted: 0 });
  },
  60_000,
);

test.each(seeds)(
  "each message is in Kafka once when batches must be split (seed %d)",
  async (seed) => {
    await using it = await mortal({ ...cluster, maxMessageBytes: 900 });
    const { twice } = await lives(it, seed, HARMLESS, (settings) => {
      settings.compression.codec = "none";
    });
    expect(twice).toBe(0);
  },
  60_000,
);

test.each(seeds)(
  "what is there twice when brokers forget producers is counted (seed %d)",
  async (seed) => {
    await using it = await mortal(cluster);
    const forgetful: Fault[] = [45, 47, 59].map((code) => ({ kind: "error", code, append: true }));
    const { twice, counted } = await lives(it, seed, [...HARMLESS, ...forgetful]);
    expect(twice).toBeLessThanOrEqual(counted);
  },
  60_000,
);

test.each(seeds)(
  "what is there twice without idempotence is counted (seed %d)",
  async (seed) => {
    await using it = await mortal(cluster);
    const { twice, counted } = await lives(it, seed, HARMLESS, ({ kafka }) => {
      kafka.idempotence = false;
    });
    expect(twice).toBeLessThanOrEqual(counted);
  },
  60_000,
);

describe.each(["filled", "cut"] as const)("nothing that the disk has is lost when it is %s now and then", (disk) => {
  test.each(seeds)(
    "(seed %d)",
    async (seed) => {
      await using it = await mortal(cluster);
      // Few in a batch: so others are as many, and could be taken for them.
      const few = ({ batch }: Settings) => {
        batch.messages = 1 + (seed % 3);
      };
      await lives(it, seed, HARMLESS, few, disk);
    },
    60_000,
  );
});
