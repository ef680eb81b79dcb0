// Random operations on all that the data directory holds, with a death at any write, on a disk that may fail: nothing is
// lost, nothing is sent twice, and the books balance at every moment.
import { expect, test } from "bun:test";
import type { JournalEntry } from "../../src/spool/journal.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { randomFrom } from "../support/fakeInode.ts";
import { Life, TOPICS } from "./modelLife.ts";

/** For a busy machine. Milliseconds. */
const LONG = 600_000;
const ROUNDS = process.env.BRUCE_LONG === "1" ? 400 : 12;
const STEPS = 300;

type Death = "process" | "power";

class Model {
  readonly files: FakeFiles;
  readonly random: () => number;
  life: Life;
  /** What each number says: a number is never given to another message. */
  readonly content = new Map<number, string>();
  /** Appended for good: a crash of the process must not lose them. */
  readonly appended = new Set<number>();
  /** What the broker has, and by which batch. */
  readonly broker = new Map<number, string>();
  /** Delivered, as far as this life was told; and when the last checkpoint was written. */
  told = new Set<number>();
  known = new Set<number>();
  readonly twice: number[] = [];
  /** Of these, what a checkpoint knew as delivered before. */
  readonly forgotten: number[] = [];
  lost = 0;
  #values = 0;
  readonly #sequences = new Map<string, number>();
  readonly #died: Death;

  constructor(seed: number, died: Death) {
    this.random = randomFrom(seed);
    this.files = new FakeFiles(seed);
    for (const name of ["log", "held", "journal", "quarantine"]) this.files.makeDirectory(`/data/${name}`);
    for (const path of ["/", "/data"]) this.files.syncDirectory(path);
    this.#died = died;
    this.life = this.#begin();
  }

  below(most: number): number {
    return Math.floor(this.random() * most);
  }

  #begin(): Life {
    const life = new Life(this.files, {
      read: (number, value) => {
        expect(`${number} ${this.content.get(number) ?? value}`).toBe(`${number} ${value}`);
        this.content.set(number, value);
      },
      lost: (count) => {
        this.lost += count;
      },
    });
    return life;
  }

  async start(): Promise<void> {
    await this.life.start();
    // A whole checkpoint follows, unless it dies before.
    if (this.random() < 0.5) await this.checkpoint();
    expect(this.life.imbalance()).toBeUndefined();
  }

  async die(): Promise<void> {
    this.life.kill();
    this.files.setFaults({});
    this.files.crash(this.#died);
    this.told = new Set(this.known);
    this.life = this.#begin();
    // Those that the broker has, or not: the same batch again.
    await this.start();
  }

  async step(): Promise<void> {
    const action = this.below(100);
    try {
      await this.#act(action);
    } catch (error) {
      if (!this.files.dead) throw error;
    }
    if (this.files.dead || action === 99) await this.die();
    expect(this.life.imbalance()).toBeUndefined();
  }

  async #act(action: number): Promise<void> {
    const { life } = this;
    const topic = TOPICS[this.below(TOPICS.length)] as string;
    const key = [...life.open.keys()][this.below(life.open.size)] as string;
    const entry = life.open.get(key);
    if (action < 25) this.append();
    else if (action < 45) life.take();
    else if (action < 60) this.send(topic);
    else if (action < 75 && entry !== undefined) this.deliver(entry);
    else if (action < 79 && entry !== undefined) this.refuse(entry);
    else if (action < 81) life.discard(topic);
    else if (action < 87) life.hold(topic);
    else if (action < 93) life.drain(topic, 1 + this.below(6));
    else if (action < 95) life.journal.flush();
    else if (action < 99) await this.checkpoint();
  }

  append(): void {
    const count = 1 + this.below(4);
    const messages = Array.from({ length: count }, () => ({
      topic: TOPICS[this.below(TOPICS.length)] as string,
      value: `value ${this.#values++} `.padEnd(this.below(150), "."),
    }));
    const first = this.life.append(messages);
    if (first === 0) return;
    for (const [index, { value }] of messages.entries()) {
      const number = first + index;
      expect(this.content.has(number)).toBe(false);
      this.content.set(number, value);
      if (!this.files.dead && !this.life.degraded) this.appended.add(number);
    }
  }

  send(topic: string): void {
    const partition = [0, 1].find((each) => !this.life.open.has(`${topic} ${each}`));
    if (partition === undefined || this.life.pending.get(topic)?.length === 0) return;
    const key = `${topic}/${partition}`;
    const sequence = this.#sequences.get(key) ?? 0;
    this.#sequences.set(key, sequence + 1);
    const entry = this.life.send(topic, partition, 1 + this.below(4), sequence);
    if (this.random() < 0.5) this.arrive(entry);
  }

  /** The broker gets the batch, unless it has it. */
  arrive({ topic, partition, baseSequence, numbers }: JournalEntry): void {
    if (this.files.dead) return;
    const batch = `${topic}/${partition}/${baseSequence}`;
    numbers.forEach((number) => {
      const before = this.broker.get(number);
      if (before !== undefined && before !== batch) (this.known.has(number) ? this.forgotten : this.twice).push(number);
      this.broker.set(number, batch);
    });
  }

  deliver(entry: JournalEntry): void {
    this.arrive(entry);
    this.life.end(entry, { kind: "delivered" });
    entry.numbers.forEach((number) => void this.told.add(number));
  }

  refuse(entry: JournalEntry): void {
    if (this.broker.has(entry.numbers.first)) return;
    const discard = this.random() < 0.5;
    this.life.end(entry, discard ? { kind: "discarded", reason: "rejected_by_broker" } : { kind: "returned" });
  }

  async checkpoint(): Promise<void> {
    const told = new Set(this.told);
    if ((await this.life.checkpoint()) && !this.files.dead) this.known = told;
  }

  /** Delivers all there is. */
  async finish(): Promise<void> {
    this.files.setFaults({});
    this.files.dieAfter(Number.POSITIVE_INFINITY);
    const { life } = this;
    for (let round = 0; life.queue.unsettled + life.held.unsettled > 0; round++) {
      if (round > 5000) throw new Error("it never ends");
      life.take();
      for (const topic of TOPICS) {
        life.drain(topic, 100);
        this.send(topic);
      }
      for (const entry of [...life.open.values()]) this.deliver(entry);
      life.writer.tend();
      expect(life.imbalance()).toBeUndefined();
    }
    expect(await life.checkpoint(true)).toBe(true);
    life.kill();
    const { total } = life.ledger;
    expect(total.received).toBe(total.delivered + total.discarded);
  }
}

async function run(seed: number, death: Death, more: (model: Model) => void = () => {}): Promise<Model> {
  const model = new Model(seed, death);
  await model.start();
  for (let step = 0; step < STEPS; step++) {
    if (model.random() < 0.02) {
      model.files.dieAfter(model.below(60));
      more(model);
    }
    await model.step();
  }
  await model.finish();
  return model;
}

test(
  "a process that dies at any write loses nothing and sends nothing twice",
  async () => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      try {
        const { broker, appended, content, twice, forgotten, lost, life } = await run(seed, "process");
        expect({ twice, forgotten, lost }).toEqual({ twice: [], forgotten: [], lost: 0 });
        const { delivered, discarded, received } = life.ledger.total;
        expect(delivered).toBe(broker.size);
        expect([...appended].filter((number) => !broker.has(number)).length).toBeLessThanOrEqual(discarded);
        expect(received).toBeGreaterThanOrEqual(appended.size);
        expect(received).toBeLessThanOrEqual(content.size);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  },
  LONG,
);

test(
  "a power cut at any moment: what a checkpoint knew as delivered is not sent again, and the books balance",
  async () => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      try {
        const { known, forgotten, life } = await run(seed, "power");
        expect(forgotten).toEqual([]);
        expect(life.ledger.total.delivered).toBeGreaterThanOrEqual(known.size);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  },
  LONG,
);

test(
  "a disk that fails at random stops nothing, and the books balance",
  async () => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      try {
        await run(seed, "process", ({ files }) => {
          files.setFaults({ shortWrite: 0.05, noSpace: 0.02, writeError: 0.01, lostSync: 0.02, readError: 0.005 });
        });
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  },
  LONG,
);
