// A spool written as bruce writes one, with the moments of a checkpoint chosen by the test, and what is true of it.
import { mkdirSync, unlinkSync } from "node:fs";
import { Ledger } from "../../src/observe/ledger.ts";
import { CheckpointStore, type HeldLogState, type LogPosition } from "../../src/spool/checkpoint.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { Journal, type JournalEntry } from "../../src/spool/journal.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { blockOf, frameOf } from "./segments.ts";

type Stage = "unread" | "taken" | "open" | "done";

interface Written {
  first: number;
  end: number;
  segment: number;
  offset: number;
}

/** One log: what was appended, and how far it was read. */
class ModelLog {
  readonly name: string;
  readonly directory: string;
  /** The stage of each message that is its own now. */
  readonly stages = new Map<number, Stage>();
  /** Of the message that was appended last, plus one. */
  end: number;
  readonly #numbers: number[] = [];
  #read = 0;
  #blocks: Written[] = [];
  #writer: SegmentWriter;
  #sealed: SegmentWriter[] = [];

  constructor(name: string, directory: string, first: number) {
    this.name = name;
    this.directory = directory;
    this.end = first;
    mkdirSync(directory, { recursive: true });
    this.#writer = this.#segment(1);
  }

  append(frames: Buffer[], numbers: number[], consecutive: boolean): void {
    const writer = this.#writer;
    const block = blockOf(
      writer.seed,
      frames,
      { firstNumber: numbers[0] as number },
      consecutive ? undefined : numbers,
    );
    const offset = writer.append(block, 0, block.length);
    this.end = (numbers.at(-1) as number) + 1;
    this.#blocks.push({ first: numbers[0] as number, end: this.end, segment: writer.ordinal, offset });
    for (const number of numbers) {
      this.#numbers.push(number);
      this.stages.set(number, "unread");
    }
  }

  take(count: number): void {
    for (let left = count; left > 0 && this.#read < this.#numbers.length; left--) {
      this.stages.set(this.#numbers[this.#read++] as number, "taken");
    }
  }

  in(stage: Stage): number[] {
    return [...this.stages].flatMap(([number, its]) => (its === stage ? [number] : []));
  }

  rotate(): void {
    this.#writer.seal();
    this.#writer.close();
    this.#sealed.push(this.#writer);
    this.#writer = this.#segment(this.#writer.ordinal + 1);
  }

  /** Deletes sealed segments that nothing waits in. To be called when a checkpoint is written. */
  dropSettled(): void {
    this.#sealed = this.#sealed.filter((sealed) => {
      const waits = [...this.stages].some(
        ([number, stage]) => number >= sealed.firstNumber && number < sealed.end && stage !== "done",
      );
      if (!waits) unlinkSync(sealed.path);
      return waits;
    });
  }

  close(): void {
    this.#writer.close();
  }

  get head(): LogPosition {
    return { number: this.end, segment: this.#writer.ordinal, offset: this.#writer.offset };
  }

  get read(): LogPosition {
    const number = this.#numbers[this.#read];
    const block =
      number === undefined ? undefined : this.#blocks.find(({ first, end }) => first <= number && number < end);
    if (number === undefined || block === undefined) return this.head;
    return { number, segment: block.segment, offset: block.offset };
  }

  get unsettled(): NumberSet {
    const set = new NumberSet();
    for (const number of [...this.in("taken"), ...this.in("open")]) set.add(number);
    return set;
  }

  #segment(ordinal: number): SegmentWriter {
    const start = { directory: this.directory, ordinal, firstNumber: this.end, previousEnd: this.end };
    return SegmentWriter.create(nodeFiles, { ...start, directoryId: "5a".repeat(16) });
  }
}

export interface ModelStep {
  do: "append" | "take" | "send" | "end" | "hold" | "heldTake" | "moveOn" | "rotate" | "checkpoint";
  count: number;
  /** Chooses among topics, partitions and ways to end. */
  which: number;
}

export class WrittenSpool {
  readonly root: string;
  readonly main: ModelLog;
  readonly held = new Map<string, ModelLog>();
  readonly #journal: Journal;
  readonly #store: CheckpointStore;
  readonly #open = new Map<string, number[]>();

  constructor(root: string) {
    this.root = root;
    mkdirSync(`${root}/journal`);
    mkdirSync(`${root}/held`);
    this.main = new ModelLog("", `${root}/log`, 1);
    const ids = { directoryId: "5a".repeat(16), machineId: "77".repeat(16) };
    const parts = { files: nodeFiles, directory: `${root}/journal`, ordinal: 1, ...ids, carried: [] };
    this.#journal = Journal.open({ ...parts, onFailing: () => {}, wallClock: () => 5, later: () => () => {} });
    this.#store = new CheckpointStore(nodeFiles, root);
  }

  async run(step: ModelStep): Promise<void> {
    const { count, which } = step;
    const topic = topicOf(which);
    const partition = which % 3;
    const key = `${topic}@${partition}`;
    if (step.do === "append") {
      const numbers = Array.from({ length: count }, (_, index) => this.main.end + index);
      this.main.append(
        numbers.map((number) => frameOf(topicOf(number), `m${number}`)),
        numbers,
        true,
      );
    } else if (step.do === "take") this.main.take(count);
    else if (step.do === "heldTake") this.held.get(which % 2 === 0 ? topic : key)?.take(count);
    else if (step.do === "rotate") (which % 2 === 0 ? this.main : (this.held.get(topic) ?? this.main)).rotate();
    else if (step.do === "hold") this.#move([this.main], which % 2 === 0 ? topic : key, topic, count);
    else if (step.do === "moveOn")
      this.#move([...this.held.values()].slice(which % 4, (which % 4) + 1), topic, topic, count);
    else if (step.do === "send") this.#send(topic, partition, count);
    else if (step.do === "end") this.#end(key, topic, partition, which % 5);
    else await this.#checkpoint();
  }

  /** The numbers that are still to be delivered, ascending. */
  waiting(): number[] {
    return [this.main, ...this.held.values()]
      .flatMap(({ stages }) => [...stages].flatMap(([number, stage]) => (stage === "done" ? [] : [number])))
      .sort((a, b) => a - b);
  }

  /** The process ends, just when what waited to be written was written. */
  close(): void {
    this.#journal.close();
    this.#store.close();
    for (const log of [this.main, ...this.held.values()]) log.close();
  }

  /** Taken messages of the topic go to a held log: there first, then they are settled where they were. */
  #move(from: ModelLog[], name: string, topic: string, count: number): void {
    for (const log of from) {
      const above = this.held.get(name)?.end ?? 0;
      const numbers = log.in("taken").filter((number) => topicOf(number) === topic && number >= above);
      const chosen = numbers.sort((a, b) => a - b).slice(0, count);
      if (chosen.length === 0 || log.name === name) continue;
      const target = this.held.get(name) ?? new ModelLog(name, `${this.root}/held/${name}`, chosen[0] as number);
      this.held.set(name, target);
      target.append(
        chosen.map((number) => frameOf(topic, `m${number}`)),
        chosen,
        false,
      );
      for (const number of chosen) log.stages.set(number, "done");
    }
  }

  #send(topic: string, partition: number, count: number): void {
    const key = `${topic}@${partition}`;
    const candidates = [this.main, ...this.held.values()].flatMap((log) => log.in("taken"));
    const numbers = candidates.filter((number) => topicOf(number) === topic).sort((a, b) => a - b);
    const chosen = numbers.slice(0, count);
    if (chosen.length === 0) return;
    this.#settle(this.#open.get(key) ?? [], "done");
    this.#open.set(key, chosen);
    this.#settle(chosen, "open");
    this.#journal.sending([entryOf(topic, partition, chosen)]);
  }

  #end(key: string, topic: string, partition: number, how: number): void {
    const numbers = this.#open.get(key);
    if (numbers === undefined) return;
    this.#open.delete(key);
    this.#settle(numbers, how === 0 ? "taken" : "done");
    if (how === 0) this.#journal.ended(topic, partition, { kind: "returned" });
    else if (how === 1) this.#journal.ended(topic, partition, { kind: "discarded", reason: "too_large" });
    else this.#journal.ended(topic, partition, { kind: "delivered" });
  }

  #settle(numbers: number[], stage: Stage): void {
    for (const number of numbers) {
      for (const log of [this.main, ...this.held.values()]) {
        const its = log.stages.get(number);
        if (its === "taken" || its === "open") log.stages.set(number, stage);
      }
    }
  }

  async #checkpoint(): Promise<void> {
    const { read, head, unsettled } = this.main;
    const none = new NumberSet();
    const held = [...this.held.values()].map((log): HeldLogState => {
      const [topic = "", partition] = log.name.split("@");
      return {
        ...{ name: log.name, topic, partition: partition === undefined ? null : Number(partition), reason: "test" },
        ...{ read: log.read, head: log.head, unsettled: log.unsettled, settled: none, unread: log.in("unread").length },
      };
    });
    const state = { directoryId: "5a".repeat(16), machineId: "77".repeat(16), clean: false, reserved: 1_000_000 };
    const rest = { ledger: new Ledger(5), topicsSeen: [], sessions: [] };
    const journal = this.#journal.rotate();
    await this.#store.write({ ...state, ...rest, journal, log: { read, head }, unsettled, settled: none, held });
    this.#journal.removeBefore(this.#store.firstJournal);
    for (const log of [this.main, ...this.held.values()]) log.dropSettled();
  }
}

function topicOf(number: number): string {
  return number % 3 === 0 ? "u" : "t";
}

function entryOf(topic: string, partition: number, list: number[]): JournalEntry {
  const numbers = new MessageNumbers();
  for (const number of list) numbers.append(number);
  const producer = {
    clusterId: "c",
    producerId: 1n,
    producerEpoch: 0,
    baseSequence: 0,
    sentAt: 1,
    checksum: 1,
    repeats: false,
  };
  return { topic, partition, numbers, ...producer };
}
