// The table of Kafka's error codes in docs/delivery.md, from the one in src/kafka/errors.ts.
import { CLASSIFIED_CODES, type ErrorAction, errorOf, type KafkaError } from "../src/kafka/errors.ts";
import { withMadePart } from "./docsReference.ts";

/** What bruce does, in the order of the document. */
const ACTIONS: Record<ErrorAction, string> = {
  success: "**success**: delivered",
  retry: "**retry**: sent again after a backoff",
  refresh: "**refresh**: fresh metadata, then sent again",
  split: "**split**: sent in parts; a single message is discarded as `too_large`",
  records: "**records**: the records at fault are discarded as `rejected_by_broker`, the rest is sent again",
  renew: "**renew**: sent again under a new producer id, counted as possible duplicates",
  discard: "**discard**: discarded as `bad_topic`",
  hold: "**hold**: the topic is held until Kafka takes its messages",
};

const WRITTEN: Record<KafkaError["written"], string> = { no: "no", "acks all": "with acks all", perhaps: "perhaps" };

/** docs/delivery.md with the table of all codes. */
export function withErrorTable(text: string): string {
  const rows = Object.keys(ACTIONS).flatMap((action) =>
    CLASSIFIED_CODES.filter((code) => errorOf(code).action === action).map(row),
  );
  const head = [
    "| Code | What it means | What bruce does | Written? | What you can do |",
    "| --- | --- | --- | --- | --- |",
  ];
  return withMadePart(text, [...head, ...rows].join("\n"));
}

function row(code: number): string {
  const { name, action, why, written, todo = "" } = errorOf(code);
  const there = action === "success" ? "yes" : WRITTEN[written];
  return `| ${code} ${name} | ${why} | ${ACTIONS[action]} | ${there} | ${todo} |`;
}
