// Three nodes that are shot at: asks those that can answer, and waits until the others are back in step.
import type { Kafka } from "../../support/kafka.ts";
import { electPreferred, reassign } from "../../support/kafkaLeaders.ts";
import { metadata, type TopicView } from "../../support/kafkaRequests.ts";
import { askKafka, type Question } from "../../support/kafkaSocket.ts";
import type { FireTopic } from "./topics.ts";

/** How long a node may take to answer before another is asked, and between two looks, ms. */
const PATIENCE = 3000;
const LOOK = 50;
/** After this something is wrong with Kafka itself, ms. */
const DEADLINE = 180_000;

export class FireCluster {
  readonly kafka: Kafka;
  readonly #frozen = new Set<number>();

  constructor(kafka: Kafka) {
    this.kafka = kafka;
  }

  freeze(id: number): void {
    this.#frozen.add(id);
    this.kafka.pause(id);
  }

  thaw(id: number): void {
    this.kafka.resume(id);
    this.#frozen.delete(id);
  }

  /** Resolves when another node than `id` leads each partition that it has led, in the eyes of all others. */
  async ledByOthers(id: number, topics: readonly FireTopic[]): Promise<void> {
    await this.#every(topics, ({ partitions }) => partitions.every(({ leader }) => leader >= 0 && leader !== id));
  }

  /** Resolves when every replica of every partition is in step, and a leader there, in the eyes of all nodes. */
  async whole(topics: readonly FireTopic[]): Promise<void> {
    await this.#every(topics, ({ partitions }) =>
      partitions.every(({ leader, replicas, inSync }) => leader >= 0 && inSync.length === replicas.length),
    );
  }

  /** Gives every partition back to its preferred leader; resolves when all nodes know. */
  async elect(topics: readonly FireTopic[]): Promise<void> {
    await this.#every(topics, async ({ name, partitions }) => {
      if (partitions.every(({ leader, replicas }) => leader === replicas[0])) return true;
      const ids = partitions.map(({ id }) => id);
      // Refused while a replica is a moment behind: then it is asked again.
      await this.#ask(electPreferred(name, ids)).catch(() => undefined);
      return false;
    });
  }

  /** Makes the second replica of each partition the preferred leader, and the leader. */
  async rotate(topics: readonly FireTopic[]): Promise<void> {
    for (const topic of topics) {
      topic.replicas = topic.replicas.map(([first = 0, ...others]) => [...others, first]);
      await this.#ask(reassign(topic.name, topic.replicas));
    }
    await this.#every(topics, async (view) => {
      const { replicas } = topics.find(({ name }) => name === view.name) as FireTopic;
      return view.partitions.every(({ id, replicas: now }) => now.join() === replicas[id]?.join());
    });
    await this.elect(topics);
  }

  /** Until all nodes that run give the answer wanted for each of the topics. */
  async #every(topics: readonly FireTopic[], holds: (view: TopicView) => boolean | Promise<boolean>): Promise<void> {
    const names = topics.map(({ name }) => name);
    const deadline = Date.now() + DEADLINE;
    for (;;) {
      const views = await Promise.all(this.#awake().map((node) => patiently(askKafka(node, metadata(names)))));
      let good = views.length > 0;
      for (const view of views.flatMap((each) => each?.topics ?? [undefined]))
        good &&= view !== undefined && view.errorCode === 0 && view.partitions.length > 0 && (await holds(view));
      if (good) return;
      if (Date.now() > deadline) throw new Error(`Kafka did not get there in ${DEADLINE / 1000} s`);
      await Bun.sleep(LOOK); // the nodes learn of it each in their own time, and tell nobody
    }
  }

  async #ask<T>(question: Question<T>): Promise<T> {
    let failure: unknown;
    for (const node of this.#awake()) {
      try {
        return await askKafka(node, question);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  #awake() {
    return this.kafka.brokers.filter(({ id, pid }) => pid !== undefined && !this.#frozen.has(id));
  }
}

/** What it answers; undefined when it does not, or not in time. */
async function patiently<T>(answer: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), PATIENCE);
  });
  try {
    return await Promise.race([answer.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
