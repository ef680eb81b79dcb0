// What a broker's answer for one batch means: one of few outcomes. Pure; the dispatcher acts on it.
import { errorOf, explain, type Written } from "../kafka/errors.ts";
import type { DiscardReason } from "../observe/discards.ts";

/** What a broker said of one batch; as in a produce response. */
export interface PartitionAnswer {
  errorCode: number;
  errorMessage: string | null;
  recordErrors: readonly { index: number; message: string | null }[];
}

export type Outcome =
  | { kind: "delivered" }
  /** Send the same bytes again after a backoff; `refresh`: with fresh metadata. `written`: whether the broker may have it. */
  | { kind: "again"; refresh: boolean; written: Written; why: string }
  /** Send it in parts, because it is too large, or to find the records at fault. */
  | { kind: "split"; because: "size" | "fault"; why: string }
  /** Give up the records at `indexes`, send the others. */
  | { kind: "remove"; indexes: ReadonlySet<number>; reason: DiscardReason; why: string }
  /** Give up all of it. */
  | { kind: "discard"; reason: DiscardReason; why: string }
  /** The broker's memory of our producer id is gone: take a new one. */
  | { kind: "renew"; why: string }
  /** The topic cannot be written until somebody has seen to it. */
  | { kind: "hold"; unauthorized: boolean; written: Written; why: string };

/** `count` is the number of records of the batch. */
export function judge(answer: PartitionAnswer, count: number): Outcome {
  const error = errorOf(answer.errorCode);
  const { name, action, written } = error;
  const why = explain(error, answer.errorMessage);
  switch (action) {
    case "success":
      return { kind: "delivered" };
    case "retry":
      return { kind: "again", refresh: false, written, why };
    case "refresh":
      return { kind: "again", refresh: true, written, why };
    case "split":
      return count > 1 ? { kind: "split", because: "size", why } : { kind: "discard", reason: "too_large", why };
    case "records":
      return atFault(answer, count, why);
    case "renew":
      return { kind: "renew", why };
    case "hold":
      return { kind: "hold", unauthorized: name === "TOPIC_AUTHORIZATION_FAILED", written, why };
    case "discard":
      return { kind: "discard", reason: "bad_topic", why };
  }
}

/** The records the broker names; where it names none, halves are tried until only the bad ones are left. */
function atFault(answer: PartitionAnswer, count: number, why: string): Outcome {
  const named = answer.recordErrors.filter(({ index }) => index >= 0 && index < count);
  if (named.length > 0) {
    const said = named[0]?.message;
    const indexes = new Set(named.map(({ index }) => index));
    return { kind: "remove", indexes, reason: "rejected_by_broker", why: said ? `${why} (${said})` : why };
  }
  return count > 1 ? { kind: "split", because: "fault", why } : { kind: "discard", reason: "rejected_by_broker", why };
}
