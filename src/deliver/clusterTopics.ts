// What the cluster has said of the topics that are wanted, and which of them to ask for when. Knows no sockets or timers.
import type { Settings } from "../config/settings.ts";
import { ErrorCode } from "../kafka/errors.ts";
import type { MetadataTopic } from "../kafka/metadata.ts";
import type { Another } from "./clusterLink.ts";

export interface TopicPartition {
  id: number;
  /** Broker id; -1 when the partition has no leader that we know an address of. */
  leader: number;
  /** Ids of the brokers that have a copy, ascending, with commas between: equal where the copies are on the same brokers. */
  replicas?: string | undefined;
}

export type TopicState =
  /** Not answered yet, or only with an error that says nothing of the topic. */
  | { kind: "unknown" }
  /** `since`: on the clock of `now`. "unclear": it is answered for, but with nothing that tells where it is. */
  | { kind: "missing" | "forbidden" | "invalid" | "unclear"; errorCode: number; since: number }
  /** Ascending ids, at least one. The same object for as long as nothing changes. */
  | { kind: "known"; partitions: readonly TopicPartition[] };

type AbsentKind = Exclude<TopicState["kind"], "unknown" | "known">;

/** Where an answer came from. */
export interface AnswerSource {
  /** undefined when the address asked is not one that the cluster advertises. */
  brokerId: number | undefined;
  /** The brokers that the cluster has. */
  brokerIds: ReadonlySet<number>;
}

export interface Ask {
  names: string[];
  /** The answer counts double if it comes from another broker than this one. */
  confirm?: Another;
}

interface Entry {
  state: TopicState;
  /** It existed once, in this run or an earlier one: then one broker that lags behind is not believed that it is gone. */
  seen: boolean;
  /** When it was answered for first: a cluster that was away is no time in which the topic could have been made. */
  firstAnswered: number | undefined;
  /** When it was asked for last. */
  asked: number;
  /** When to ask next; Infinity: not before the next refresh. */
  due: number;
  /** Answers in a row that settle nothing. */
  puzzled: number;
  /** A broker said of a topic seen before that it does not exist. */
  evidence: { at: number; brokerId: number | undefined } | undefined;
}

/** A topic that is not there is asked for at most this often, and in the long run less. ms */
const ASK_APART = 5_000;
const ASK_APART_IN_THE_LONG_RUN = 30_000;
/** How far apart two brokers must say that a topic seen before is gone. ms */
const CONFIRM_APART = 60_000;
/** A topic that is being made, or has no leader, is asked for after these many ms, doubling. */
const SOON = 250;
const SOON_AT_MOST = 2_000;
/** Topics that are remembered although nobody wants them. */
const SEEN_AT_MOST = 10_000;
/** How long a new topic may be said not to exist when the broker is to make it (KRaft says so at first), or be unclear. ms */
const CREATION_GRACE = 10_000;

export class ClusterTopics {
  readonly #entries = new Map<string, Entry>();
  readonly #kafka: Pick<Settings["kafka"], "autoCreateTopics">;
  /** Of an earlier run; each is taken out when it is wanted in this one. */
  readonly #seenBefore: Set<string>;

  /** `seen`: the topics that an earlier run saw. */
  constructor(kafka: Pick<Settings["kafka"], "autoCreateTopics">, seen: Iterable<string> = []) {
    this.#kafka = kafka;
    this.#seenBefore = new Set(seen);
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
    if (this.#entries.has(name)) return;
    const never = { firstAnswered: undefined, asked: Number.NEGATIVE_INFINITY, puzzled: 0, evidence: undefined };
    this.#entries.set(name, { state: UNKNOWN, seen: this.#seenBefore.delete(name), due: now, ...never });
  }

  forget(name: string): void {
    if (this.#entries.get(name)?.seen) this.#seenBefore.add(name);
    this.#entries.delete(name);
  }

  /** All are to be asked for at `at`, those that are not there no sooner than they may be. */
  refresh(at: number): void {
    for (const entry of this.#entries.values()) {
      const absent = entry.evidence !== undefined || !(entry.state.kind === "known" || entry.state.kind === "unknown");
      entry.due = Math.min(entry.due, absent ? Math.max(at, entry.asked + ASK_APART) : at);
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
      if (entry.evidence !== undefined && brokers > 1 && now - entry.evidence.at >= CONFIRM_APART) {
        ask.confirm ??= { notFrom: entry.evidence.brokerId };
      }
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
    const answers = new Map(topics.map((topic) => [topic.name, topic]));
    const changed = new Set<string>();
    for (const name of names) {
      const entry = this.#entries.get(name);
      if (entry === undefined) continue;
      const before = entry.state;
      entry.firstAnswered ??= now;
      const next = learn(entry, answers.get(name), source, now, this.#kafka.autoCreateTopics);
      // A refresh that was wanted while the answer was under way still is: the answer may be older than the reason.
      entry.due = Math.min(entry.due, next);
      if (entry.state !== before) changed.add(name);
    }
    return changed;
  }
}

const UNKNOWN: TopicState = { kind: "unknown" };

/** Brings the entry up to date; returns when to ask next. */
function learn(
  entry: Entry,
  answer: MetadataTopic | undefined,
  source: AnswerSource,
  now: number,
  autoCreate: boolean,
): number {
  switch (answer?.errorCode) {
    case ErrorCode.NONE:
      return answer.partitions.length === 0 ? unclear(entry, answer, now) : exists(entry, answer, source, now);
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
      if (entry.seen && entry.state.kind === "known") return doubt(entry, source, now);
      if (autoCreate && entry.state.kind === "unknown" && now - (entry.firstAnswered ?? now) < CREATION_GRACE) {
        return puzzle(entry, now);
      }
      if (entry.seen && (entry.state.kind === "unknown" || entry.state.kind === "unclear")) {
        // Seen before a restart: where it is is not known, and what comes for it must not wait in everybody's way.
        if (entry.state.kind === "unknown") entry.state = { kind: "unclear", errorCode: answer.errorCode, since: now };
        return doubt(entry, source, now);
      }
      return absent(entry, "missing", answer.errorCode, now);
    case ErrorCode.TOPIC_AUTHORIZATION_FAILED:
      return absent(entry, "forbidden", answer.errorCode, now);
    case ErrorCode.INVALID_TOPIC_EXCEPTION:
      return absent(entry, "invalid", answer.errorCode, now);
    default:
      // LEADER_NOT_AVAILABLE (it is being made), an error of the broker, or the topic was left out of the answer.
      return unclear(entry, answer, now);
  }
}

function exists(entry: Entry, answer: MetadataTopic, { brokerIds }: AnswerSource, now: number): number {
  const partitions = answer.partitions
    .map(({ id, leader, replicas }) => {
      const where = replicas?.toSorted((a, b) => a - b).join();
      return { id, leader: brokerIds.has(leader) ? leader : -1, replicas: where };
    })
    .sort((a, b) => a.id - b.id);
  if (entry.state.kind !== "known" || !same(entry.state.partitions, partitions)) {
    entry.state = { kind: "known", partitions };
  }
  entry.seen = true;
  entry.evidence = undefined;
  if (partitions.some(({ leader }) => leader === -1)) return puzzle(entry, now);
  entry.puzzled = 0;
  return Number.POSITIVE_INFINITY;
}

/**
 * The answer says nothing of use. A topic of which nothing is known yet gets some time, then it counts as one that cannot
 * be delivered: what waits for it must not fill the memory of the others (auto-creation may fail for ever, for one).
 */
function unclear(entry: Entry, answer: MetadataTopic | undefined, now: number): number {
  const young = entry.state.kind === "unknown" && now - (entry.firstAnswered ?? now) < CREATION_GRACE;
  if (young || (entry.state.kind !== "unknown" && entry.state.kind !== "unclear")) return puzzle(entry, now);
  return absent(entry, "unclear", answer?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR, now);
}

/** Nothing is settled: ask again soon, then less soon. */
function puzzle(entry: Entry, now: number): number {
  const wait = Math.min(SOON_AT_MOST, SOON * 2 ** Math.min(entry.puzzled, 10));
  entry.puzzled++;
  return now + wait;
}

/** A topic seen before is said to be gone. It is believed when two brokers say so, far enough apart. */
function doubt(entry: Entry, { brokerId, brokerIds }: AnswerSource, now: number): number {
  const { evidence } = entry;
  const identified = brokerId !== undefined && evidence?.brokerId !== undefined;
  if (evidence === undefined || (evidence.brokerId === undefined && brokerId !== undefined && brokerIds.size > 1)) {
    entry.evidence = { at: now, brokerId };
    return now + ASK_APART;
  }
  const another = brokerIds.size <= 1 || (identified && brokerId !== evidence.brokerId);
  if (!another || now - evidence.at < CONFIRM_APART) return now + ASK_APART;
  entry.seen = false;
  return absent(entry, "missing", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, now);
}

function absent(entry: Entry, kind: AbsentKind, errorCode: number, now: number): number {
  if (entry.state.kind !== kind) entry.state = { kind, errorCode, since: now };
  entry.evidence = undefined;
  entry.puzzled = 0;
  return now + Math.min(Math.max((now - entry.state.since) / 4, ASK_APART), ASK_APART_IN_THE_LONG_RUN);
}

function same(a: readonly TopicPartition[], b: readonly TopicPartition[]): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ id, leader, replicas }, at) => {
    const other = b[at];
    return other?.id === id && other.leader === leader && other.replicas === replicas;
  });
}
