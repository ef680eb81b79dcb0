// What a broker's answer for one batch means: one of few outcomes. Pure; the dispatcher acts on it.
import { errorOf } from "../kafka/errors.ts";
import type { DiscardReason } from "../observe/discards.ts";

/** What a broker said of one batch; as in a produce response. */
export interface PartitionAnswer {
  errorCode: number;
  errorMessage: string | null;
  recordErrors: readonly { index: number; message: string | null }[];
}

export type Outcome =
  | { kind: "delivered" }
  /** Send the same bytes again after a backoff; `refresh`: with fresh metadata. `written`: the broker may have it. */
  | { kind: "again"; refresh: boolean; written: boolean; why: string }
  /** Send it in two halves. */
  | { kind: "split" }
  /** Give up the records at `indexes`, send the others. */
  | { kind: "remove"; indexes: ReadonlySet<number>; reason: DiscardReason }
  /** Give up all of it. */
  | { kind: "discard"; reason: DiscardReason; why: string }
  /** The broker's memory of our producer id is gone: take a new one. */
  | { kind: "renew"; why: string }
  /** The topic cannot be written until somebody has seen to it. */
  | { kind: "hold"; unauthorized: boolean; why: string };

/** Errors after which the batch may be in the log all the same. */
const MAY_BE_WRITTEN = new Set([
  "REQUEST_TIMED_OUT",
  "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  "NETWORK_EXCEPTION",
  "UNKNOWN_SERVER_ERROR",
  "KAFKA_STORAGE_ERROR",
]);

/** `count` is the number of records of the batch. */
export function judge(answer: PartitionAnswer, count: number): Outcome {
  const { name, action, why } = errorOf(answer.errorCode);
  const text = answer.errorMessage ? `${name}: ${answer.errorMessage}` : `${name}: ${why}`;
  switch (action) {
    case "success":
      return { kind: "delivered" };
    case "retry":
      return { kind: "again", refresh: false, written: MAY_BE_WRITTEN.has(name), why: text };
    case "refresh":
      return { kind: "again", refresh: true, written: false, why: text };
    case "split":
      return count > 1 ? { kind: "split" } : { kind: "discard", reason: "too_large", why: text };
    case "records":
      return atFault(answer, count, text);
    case "renew":
      return { kind: "renew", why: text };
    case "hold":
      return { kind: "hold", unauthorized: name === "TOPIC_AUTHORIZATION_FAILED", why: text };
    case "discard":
      return { kind: "discard", reason: "bad_topic", why: text };
  }
}

/** The records the broker names; where it names none, halves are tried until only the bad ones are left. */
function atFault(answer: PartitionAnswer, count: number, why: string): Outcome {
  const indexes = new Set(answer.recordErrors.map(({ index }) => index).filter((index) => index >= 0 && index < count));
  if (indexes.size > 0) return { kind: "remove", indexes, reason: "rejected_by_broker" };
  return count > 1 ? { kind: "split" } : { kind: "discard", reason: "rejected_by_broker", why };
}
