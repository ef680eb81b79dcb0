// Where the fire plays: a Kafka of three nodes, bruce as it is compiled, and applications that write all the time.
import type { DaemonStatus } from "../../../src/observe/status.ts";
import { type Bruce, startBruce } from "../../support/bruce.ts";
import type { Kafka } from "../../support/kafka.ts";
import { peakMemory } from "../../support/processRest.ts";
import { FireCluster } from "./cluster.ts";
import type { Mark } from "./judge.ts";
import { BYSTANDERS, createFireTopic, type FireTopic, LOADS, TOPICS } from "./topics.ts";
import { type FireWriter, startDatagrams, startStream } from "./writers.ts";

export interface StageParts {
  /** Three nodes. */
  kafka: Kafka;
  /** Where bruce keeps its sockets and its buffer; exists. */
  directory: string;
  /** Messages a second, of all writers together. */
  rate: number;
  /** kafka.request_timeout, ms. */
  requestTimeout: number;
  /** How long to look before and after each act, ms. */
  calm: number;
  after: number;
  set?: string[];
  say?: (line: string) => void;
}

/** What was done, and when: milliseconds since the epoch. */
export interface ActRecord {
  name: string;
  begins: number;
  shot: number;
  /** When a node that was away was started again: its Java takes the processors that all others need too. */
  returning: number | undefined;
  /** From each it is measured how long bruce takes until all is as before. */
  milestones: { what: string; at: number }[];
  ends: number;
  /** Names of topics: those that it was about, and those that it must not disturb. */
  aims: string[];
  bystanders: string[];
  /** bruce itself was killed too. */
  withBruce: boolean;
}

export interface Scene {
  stage: Stage;
  milestone(what: string): void;
  returning(): void;
  withBruce(): void;
}

export interface Act {
  name: string;
  aims?: readonly FireTopic[];
  bystanders?: readonly FireTopic[];
  play(scene: Scene): Promise<void>;
}

/** What had been sent when a topic was gone, and what bruce had delivered to it, where there was time to look. */
export interface Remade {
  gone: Mark;
  delivered: number | undefined;
}

/** A backlog of that many seconds of the load is none. */
const NO_BACKLOG = 0.5;
/** It never takes so long, ms. */
const STUCK = 300_000;

export class Stage {
  readonly cluster: FireCluster;
  readonly topics: FireTopic[];
  readonly acts: ActRecord[] = [];
  readonly marks: Mark[] = [];
  readonly remade = new Map<string, Remade>();
  peakMemory = 0;
  readonly #parts: StageParts;
  readonly #writers: FireWriter[];
  #bruce: Bruce;

  private constructor(parts: StageParts, bruce: Bruce) {
    this.#parts = parts;
    this.cluster = new FireCluster(parts.kafka);
    this.topics = Object.values(TOPICS).map((topic) => ({
      ...topic,
      replicas: topic.replicas.map((each) => [...each]),
    }));
    this.#bruce = bruce;
    this.#writers = [];
  }

  /** Makes the topics, starts bruce and the writers. */
  static async open(parts: StageParts): Promise<Stage> {
    const stage = new Stage(parts, await start(parts));
    for (const topic of stage.topics) await createFireTopic(parts.kafka, topic);
    const { stream, datagram } = stage.#bruce.sockets;
    LOADS.forEach(({ share, through, ...source }, id) => {
      const rate = parts.rate * share;
      const writer = through === "stream" ? startStream : startDatagrams;
      stage.#writers.push(writer({ ...source, id }, through === "stream" ? stream : datagram, rate));
    });
    await stage.#bruce.until(({ ledger }) => ledger.delivered > parts.rate);
    return stage;
  }

  get bruce(): Bruce {
    return this.#bruce;
  }

  get written() {
    return this.#writers.map(({ written }) => written);
  }

  /** What each writer has sent by now. */
  mark(): Mark {
    return new Map(this.written.map(({ id, sent }) => [id, sent]));
  }

  topic(name: string): FireTopic {
    return this.topics.find((topic) => topic.name === name) as FireTopic;
  }

  async act({ name, aims = [TOPICS.keyed, TOPICS.hashed, TOPICS.any], bystanders = [], play }: Act): Promise<void> {
    const { calm, after, say } = this.#parts;
    await this.#settled();
    this.marks.push(this.mark());
    const names = (topics: readonly FireTopic[]) => topics.map((topic) => topic.name);
    const begins = Date.now();
    const record: ActRecord = {
      ...{ name, begins, shot: begins, returning: undefined, milestones: [], ends: begins, withBruce: false },
      ...{ aims: names(aims), bystanders: names(bystanders) },
    };
    await Bun.sleep(calm); // as it is when nothing happens, to compare with
    record.shot = Date.now();
    await play({
      stage: this,
      milestone: (what) => void record.milestones.push({ what, at: Date.now() }),
      returning: () => {
        record.returning ??= Date.now();
      },
      withBruce: () => {
        record.withBruce = true;
      },
    });
    const { ledger } = await this.#settled();
    await Bun.sleep(after); // as it is then
    record.ends = Date.now();
    this.acts.push(record);
    await this.#notePeak();
    const took = ((record.ends - record.begins) / 1000).toFixed(0);
    const peak = `peak memory ${Math.round(this.peakMemory / 1e6)} MB`;
    say?.(
      `${this.acts.length}. ${name}: ${took} s; ${ledger.delivered} delivered, ${ledger.held} held in all, ${peak}`,
    );
  }

  /** kill -9 of bruce itself, and another one in its place. */
  async killBruce(): Promise<void> {
    await this.#notePeak();
    await this.#bruce.kill("SIGKILL");
    this.#bruce = await start(this.#parts);
  }

  /** Writes no more; resolves when all is delivered. */
  async end(): Promise<DaemonStatus> {
    await Promise.all(this.#writers.map((writer) => writer.stop()));
    const status = await this.#until(({ ledger }) => ledger.held === 0);
    await this.#notePeak();
    return status;
  }

  async close(): Promise<void> {
    await Promise.all(this.#writers.map((writer) => writer.stop()));
    await this.#bruce.close();
  }

  #settled(): Promise<DaemonStatus> {
    return this.#until(({ ledger }) => ledger.held < this.#parts.rate * NO_BACKLOG);
  }

  async #until(passes: (status: DaemonStatus) => boolean): Promise<DaemonStatus> {
    const deadline = Date.now() + STUCK;
    return await this.#bruce.until((status) => {
      if (passes(status)) return true;
      if (Date.now() < deadline) return false;
      const { ledger, topics, brokers, buffer } = status;
      const stuck = JSON.stringify({ ledger, topics, brokers, buffer });
      throw new Error(`bruce did not deliver what it has in ${STUCK / 1000} s: ${stuck}\n${this.#bruce.log()}`);
    });
  }

  async #notePeak(): Promise<void> {
    this.peakMemory = Math.max(this.peakMemory, await peakMemory(this.#bruce.pid));
  }
}

/** The topics that no replica of is on that node. */
export function bystandersOf(node: number): FireTopic[] {
  return BYSTANDERS.filter(({ awayFrom }) => awayFrom === node);
}

function start({ kafka, directory, requestTimeout, set = [] }: StageParts): Promise<Bruce> {
  const settings = [
    `kafka.request_timeout="${requestTimeout}ms"`,
    `topics."${TOPICS.hashed.name}".partitioner="murmur2"`,
    ...set,
  ];
  return startBruce({ bootstrap: kafka.bootstrap, directory, set: settings });
}
