// What the cluster has said of one topic, what of that is believed, and when to ask for it again. Pure.
import { ErrorCode } from "../kafka/errors.ts";
import type { MetadataTopic } from "../kafka/metadata.ts";

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

/** What an answer is taken in with. */
export interface Moment {
  source: AnswerSource;
  now: number;
  /** In [0, 1): many hosts ask for the same topic, and many see the same trouble at the same instant. */
  random: () => number;
  /** The brokers make topics that do not exist. */
  autoCreate: boolean;
}

/** What a broker says against what is known. Another one is asked before it is believed. */
interface Evidence {
  at: number;
  brokerId: number | undefined;
}

export interface Entry {
  state: TopicState;
  /** It existed once, in this run or an earlier one: then one broker that lags behind is not believed that it is gone. */
  seen: boolean;
  /** When it was answered for first: a cluster that was away is no time in which the topic could have been made. */
  firstAnswered: number | undefined;
  /** When it was asked for last. */
  asked: number;
  /** When to ask next; Infinity: not before the next refresh. */
  due: number;
  /** Answers in a row that settle nothing, and when the first of them came. */
  puzzled: number;
  puzzledSince: number;
  /** A broker said of a topic seen before that it does not exist. */
  evidence: Evidence | undefined;
  /** By partition: how many elections its leader is the result of, as far as is known. Fewer is an older picture. */
  epochs: number[];
  /** A broker gave an older picture than the one known. */
  outdated: Evidence | undefined;
}

/** A topic that is not there is asked for at most this often, and in the long run less: up to a fifth later, by chance. ms */
const ASK_APART = 5_000;
const ASK_APART_IN_THE_LONG_RUN = 30_000;
const APART_JITTER = 0.2;
/** How far apart two brokers must say that a topic seen before is gone. ms */
export const CONFIRM_APART = 60_000;
/** A topic that is being made, or has no leader, is asked for after these many ms, doubling; half as long more, by chance. */
const SOON = 250;
const SOON_AT_MOST = 2_000;
const SOON_JITTER = 0.5;
/** While that goes on, after another eighth of the time that it has gone on for; at most so many ms. */
const SHARE_OF_AGE = 1 / 8;
const SOON_IN_THE_LONG_RUN = 10_000;
/** How long a new topic may be said not to exist when the broker is to make it (KRaft says so at first), or be unclear. ms */
const CREATION_GRACE = 10_000;
/** When an older picture is believed although no other broker could be asked. ms */
const OUTDATED_FOR = 5_000;

const UNKNOWN: TopicState = { kind: "unknown" };

export function newEntry(seen: boolean, due: number): Entry {
  return {
    state: UNKNOWN,
    seen,
    firstAnswered: undefined,
    asked: Number.NEGATIVE_INFINITY,
    due,
    puzzled: 0,
    puzzledSince: 0,
    evidence: undefined,
    epochs: [],
    outdated: undefined,
  };
}

/** Milliseconds from one request for a topic that is not there to the next. */
export function apart(random: () => number, least = ASK_APART): number {
  return least * (1 + APART_JITTER * random());
}

/** Brings the entry up to date; returns when to ask next. */
export function learn(entry: Entry, answer: MetadataTopic | undefined, moment: Moment): number {
  const { now, random, autoCreate } = moment;
  switch (answer?.errorCode) {
    case ErrorCode.NONE:
      if (answer.partitions.length === 0) return unclear(entry, answer, moment);
      return isOlder(entry, answer) && !confirmed(entry, moment)
        ? now + SOON_AT_MOST * (0.5 + SOON_JITTER * random())
        : exists(entry, answer, moment);
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
      if (entry.seen && entry.state.kind === "known") return doubt(entry, moment);
      if (autoCreate && entry.state.kind === "unknown" && now - (entry.firstAnswered ?? now) < CREATION_GRACE) {
        return puzzle(entry, moment);
      }
      if (entry.seen && (entry.state.kind === "unknown" || entry.state.kind === "unclear")) {
        // Seen before a restart: where it is is not known, and what comes for it must not wait in everybody's way.
        if (entry.state.kind === "unknown") entry.state = { kind: "unclear", errorCode: answer.errorCode, since: now };
        return doubt(entry, moment);
      }
      return absent(entry, "missing", answer.errorCode, moment);
    case ErrorCode.TOPIC_AUTHORIZATION_FAILED:
      return absent(entry, "forbidden", answer.errorCode, moment);
    case ErrorCode.INVALID_TOPIC_EXCEPTION:
      return absent(entry, "invalid", answer.errorCode, moment);
    default:
      // LEADER_NOT_AVAILABLE (it is being made), an error of the broker, or the topic was left out of the answer.
      return unclear(entry, answer, moment);
  }
}

function exists(entry: Entry, answer: MetadataTopic, moment: Moment): number {
  const { brokerIds } = moment.source;
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
  entry.outdated = undefined;
  entry.epochs.length = 0;
  for (const { id, leaderEpoch } of answer.partitions) entry.epochs[id] = leaderEpoch;
  if (partitions.some(({ leader }) => leader === -1)) return puzzle(entry, moment);
  entry.puzzled = 0;
  return Number.POSITIVE_INFINITY;
}

/**
 * Every election counts the partition's leader epoch up, and partitions only ever become more: otherwise the broker that
 * answers is behind, or the topic was deleted and made again. (Brokers since 2.4, which are those we speak to, tell the epoch
 * truly; older ones may not while partitions are reassigned. One that tells none, -1, is believed.)
 */
function isOlder(entry: Entry, { partitions }: MetadataTopic): boolean {
  if (entry.state.kind !== "known") return false;
  if (partitions.some(({ id, leaderEpoch }) => leaderEpoch >= 0 && leaderEpoch < (entry.epochs[id] ?? -1))) return true;
  return partitions.length < entry.state.partitions.length;
}

/** Whether an older picture is to be believed: two brokers give one, there is nobody else to ask, or the topic was gone. */
function confirmed(entry: Entry, { source: { brokerId, brokerIds }, now }: Moment): boolean {
  if (brokerIds.size <= 1 || entry.evidence !== undefined) return true;
  entry.outdated ??= { at: now, brokerId };
  const another = brokerId !== undefined && brokerId !== entry.outdated.brokerId;
  return another || now - entry.outdated.at >= OUTDATED_FOR;
}

/**
 * The answer says nothing of use. A topic of which nothing is known yet gets some time, then it counts as one that cannot
 * be delivered: what waits for it must not fill the memory of the others (auto-creation may fail for ever, for one).
 */
function unclear(entry: Entry, answer: MetadataTopic | undefined, moment: Moment): number {
  const young = entry.state.kind === "unknown" && moment.now - (entry.firstAnswered ?? moment.now) < CREATION_GRACE;
  if (young || (entry.state.kind !== "unknown" && entry.state.kind !== "unclear")) return puzzle(entry, moment);
  return absent(entry, "unclear", answer?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR, moment);
}

/** Nothing is settled: ask again soon, then less soon. */
function puzzle(entry: Entry, { now, random }: Moment): number {
  if (entry.puzzled === 0) entry.puzzledSince = now;
  const inTheLongRun = Math.min((now - entry.puzzledSince) * SHARE_OF_AGE, SOON_IN_THE_LONG_RUN);
  const wait = Math.max(inTheLongRun, Math.min(SOON_AT_MOST, SOON * 2 ** Math.min(entry.puzzled, 10)));
  entry.puzzled++;
  return now + wait * (1 + SOON_JITTER * random());
}

/** A topic seen before is said to be gone. It is believed when two brokers say so, far enough apart. */
function doubt(entry: Entry, moment: Moment): number {
  const { source, now, random } = moment;
  const { brokerId, brokerIds } = source;
  const { evidence } = entry;
  const identified = brokerId !== undefined && evidence?.brokerId !== undefined;
  if (evidence === undefined || (evidence.brokerId === undefined && brokerId !== undefined && brokerIds.size > 1)) {
    entry.evidence = { at: now, brokerId };
    return now + apart(random);
  }
  const another = brokerIds.size <= 1 || (identified && brokerId !== evidence.brokerId);
  if (!another || now - evidence.at < CONFIRM_APART) return now + apart(random);
  entry.seen = false;
  return absent(entry, "missing", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, moment);
}

function absent(entry: Entry, kind: AbsentKind, errorCode: number, { now, random }: Moment): number {
  if (entry.state.kind !== kind) entry.state = { kind, errorCode, since: now };
  entry.evidence = undefined;
  entry.outdated = undefined;
  entry.puzzled = 0;
  const least = Math.min(Math.max((now - entry.state.since) / 4, ASK_APART), ASK_APART_IN_THE_LONG_RUN);
  return now + apart(random, least);
}

function same(a: readonly TopicPartition[], b: readonly TopicPartition[]): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ id, leader, replicas }, at) => {
    const other = b[at];
    return other?.id === id && other.leader === leader && other.replicas === replicas;
  });
}
