// The topics that are wanted, and which of them to ask for when. Knows no sockets or timers.
import type { Settings } from "../config/settings.ts";
import type { MetadataTopic } from "../kafka/metadata.ts";
import type { Another } from "./clusterLink.ts";
import {
  type AnswerSource,
  apart,
  CONFIRM_APART,
  type Entry,
  learn,
  newEntry,
  type TopicState,
} from "./clusterTopic.ts";

export interface Ask {
  names: string[];
  /** The answer counts double if it comes from another broker than this one. */
  confirm?: Another;
}

export interface ClusterTopicsParts {
  /** Read when it is needed. */
  kafka: Pick<Settings["kafka"], "autoCreateTopics">;
  /** In [0, 1). */
  random: () => number;
  /** The topics that an earlier run saw. */
  topicsSeen?: Iterable<string>;
}

/** Topics that are remembered although nobody wants them. */
const SEEN_AT_MOST = 10_000;

const UNKNOWN: TopicState = { kind: "unknown" };

export class ClusterTopics {
  readonly #parts: ClusterTopicsParts;
  readonly #entries = new Map<string, Entry>();
  /** Of an earlier run; each is taken out when it is wanted in this one. */
  readonly #seenBefore: Set<string>;

  constructor(parts: ClusterTopicsParts) {
    this.#parts = parts;
    this.#seenBefore = new Set(parts.topicsSeen);
  }

  /** Topics that exist, as far as is known: those an earlier run saw and nobody wanted since are the last of them. */
  seen(): string[] {
    const names: string[] = [];
    for (const [name, { seen }] of this.#entries) if (seen) names.push(name);
    for (const name of this.#seenBefore) if (names.length < SEEN_AT_MOST) names.push(name);
    return names;
  }

  state(name: string): TopicState {
    return this.#entries.get(name)?.state ?? UNKNOWN;
  }

  /** Asks for the topic from now on. */
  want(name: string, now: number): void {
    if (!this.#entries.has(name)) this.#entries.set(name, newEntry(this.#seenBefore.delete(name), now));
  }

  forget(name: string): void {
    if (this.#entries.get(name)?.seen) this.#seenBefore.add(name);
    this.#entries.delete(name);
  }

  /** Another cluster answers: its elections are others. */
  forgetEpochs(): void {
    for (const entry of this.#entries.values()) entry.epochs.length = 0;
  }

  /** All are to be asked for at `at`, those that are not there no sooner than they may be. */
  refresh(at: number): void {
    for (const entry of this.#entries.values()) {
      const absent = entry.evidence !== undefined || !(entry.state.kind === "known" || entry.state.kind === "unknown");
      entry.due = Math.min(entry.due, absent ? Math.max(at, entry.asked + apart(this.#parts.random)) : at);
    }
  }

  /** When the next is due. */
  nextDue(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { due } of this.#entries.values()) if (due < next) next = due;
    return next;
  }

  /** The topics to ask for now, at most `max`. They count as asked for: answered() or failed() must follow. */
  take(now: number, max: number, brokers: number): Ask {
    const ask: Ask = { names: [] };
    for (const [name, entry] of this.#entries) {
      if (entry.due > now) continue;
      if (ask.names.length === max) break;
      ask.names.push(name);
      entry.asked = now;
      entry.due = Number.POSITIVE_INFINITY;
      if (brokers <= 1) continue;
      const { evidence, outdated } = entry;
      if (evidence !== undefined && now - evidence.at >= CONFIRM_APART) ask.confirm ??= { notFrom: evidence.brokerId };
      if (outdated !== undefined) ask.confirm ??= { notFrom: outdated.brokerId };
    }
    return ask;
  }

  /** There was no answer. */
  failed(names: string[], now: number): void {
    for (const name of names) {
      const entry = this.#entries.get(name);
      if (entry !== undefined) entry.due = now;
    }
  }

  /** Takes in an answer. Returns the topics of which it said something new. */
  answered(names: string[], topics: MetadataTopic[], source: AnswerSource, now: number): Set<string> {
    const { kafka, random } = this.#parts;
    const moment = { source, now, random, autoCreate: kafka.autoCreateTopics };
    const answers = new Map(topics.map((topic) => [topic.name, topic]));
    const changed = new Set<string>();
    for (const name of names) {
      const entry = this.#entries.get(name);
      if (entry === undefined) continue;
      const before = entry.state;
      entry.firstAnswered ??= now;
      const next = learn(entry, answers.get(name), moment);
      // A refresh that was wanted while the answer was under way still is: the answer may be older than the reason.
      entry.due = Math.min(entry.due, next);
      if (entry.state !== before) changed.add(name);
    }
    return changed;
  }
}
