// The status as text: for a person at a terminal, and as lines of tab-separated fields for a pipe.
import type { createColors } from "picocolors";
import { printable } from "./logPrintable.ts";
import { newTable, textOf } from "./plainTable.ts";
import type { BrokerStatus, BufferStatus, DaemonStatus, TopicStatus } from "./status.ts";
import { bufferText, heldTexts } from "./statusBuffer.ts";
import { configTexts } from "./statusConfig.ts";
import { drainEstimate, type Rates } from "./statusRates.ts";
import { mostUrgent } from "./statusTopics.ts";
import { formatCount, formatRate, formatSize, formatTime } from "./statusUnits.ts";

type Colours = ReturnType<typeof createColors>;

export interface Screen {
  /** How many topics to list, the most urgent first. */
  maxTopics: number;
  /** Long names are shortened to fit; undefined when the width is not known. */
  columns: number | undefined;
  colours: Colours;
}

/** Columns that a table of topics needs beside the names. */
const BESIDE_NAMES = 85;
const MIN_NAME = 24;

/** Made for a terminal. Ends in a newline. */
export function terminalText(status: DaemonStatus, rates: Rates | undefined, screen: Screen): string {
  const { maxTopics, columns, colours: c } = screen;
  const maxName = columns === undefined ? Number.POSITIVE_INFINITY : Math.max(MIN_NAME, columns - BESIDE_NAMES);
  const shown = mostUrgent(status, maxTopics);
  const omitted = shown.topics_omitted ?? 0;
  const parts = [heading(status, c), `${ledger(status, rates, c)}\n${bufferLine(status.buffer, c)}`];
  if (shown.topics.length > 0) parts.push(topicTable(shown.topics, maxName, c));
  if (omitted > 0) parts.push(c.dim(`… and ${formatCount(omitted)} more topics (all with --json)`));
  if (status.brokers.length > 0) parts.push(brokerTable(status, c));
  else {
    const { last_updated: learned, reason } = status.metadata;
    const why = reason === undefined ? "" : `: ${printable(reason)}`;
    parts.push(c.yellow(learned === null ? `no brokers known yet${why}` : "no broker was needed yet"));
  }
  return `${parts.join("\n\n")}\n`;
}

function heading(status: DaemonStatus, c: Colours): string {
  const state = status.state === "running" ? c.green(status.state) : c.yellow(status.state);
  const up = formatTime(status.now - status.started_at);
  const rest = [`up ${up}`, `pid ${status.pid}`, `acks ${status.acks}`, `memory ${formatSize(status.memory.rss)}`];
  const line = `${c.bold("bruce")} ${printable(status.version)}  ${state}  ${c.dim(rest.join("  "))}`;
  return [line, ...configTexts(status).map(({ text, wrong }) => (wrong ? c.red : c.yellow)(`  ${text}`))].join("\n");
}

function ledger(status: DaemonStatus, rates: Rates | undefined, c: Colours): string {
  const { ledger: books } = status;
  const counts = [books.received, books.delivered, books.held, books.discarded].map(formatCount);
  const width = Math.max(...counts.map((text) => text.length));
  const notes = [
    rates === undefined ? "" : formatRate(rates.received),
    rates === undefined ? "" : formatRate(rates.delivered),
    drainText(status, rates),
    reasons(books.discards_by_reason),
  ];
  const names = ["received", "delivered", "held", "discarded"];
  const lines = names.map((name, i) => `  ${name.padEnd(10)} ${counts[i]?.padStart(width)}  ${c.dim(notes[i] ?? "")}`);
  lines.push(books.balanced ? c.green("  ✓ the ledger balances") : c.red("  ✗ the ledger does not balance"));
  if (books.possible_duplicates > 0) {
    lines.push(c.yellow(`  ${formatCount(books.possible_duplicates)} possible duplicates`));
  }
  if (status.acks === 0) lines.push(c.yellow("  acks = 0: delivered means written to the broker's socket, no more"));
  return lines.map((line) => line.trimEnd()).join("\n");
}

function bufferLine(buffer: BufferStatus, c: Colours): string {
  const text = `  ${"buffer".padEnd(10)} ${printable(bufferText(buffer))}`;
  if (buffer.mode === "degraded") return c.red(text);
  return buffer.full || buffer.unreadable !== null ? c.yellow(text) : text;
}

function reasons(byReason: Record<string, number>): string {
  const sorted = Object.entries(byReason).sort((a, b) => b[1] - a[1]);
  return sorted.map(([reason, count]) => `${printable(reason)} ${formatCount(count)}`).join(", ");
}

function drainText(status: DaemonStatus, rates: Rates | undefined): string {
  const oldest = Math.max(0, ...status.topics.map((topic) => topic.oldest_unsent_age ?? 0));
  const age = oldest > 0 ? `oldest ${formatTime(oldest)}` : "";
  if (rates === undefined) return age;
  const drain = drainEstimate(status, rates);
  const text = {
    empty: "",
    draining: drain.kind === "draining" ? `drained in about ${formatTime(drain.time)}` : "",
    growing: "not getting less",
    stuck: "nothing is delivered",
  }[drain.kind];
  return [age, text].filter((part) => part !== "").join(", ");
}

/** The middle goes first: names that are alike mostly differ at an end. */
function shorten(text: string, max: number): string {
  if (text.length <= max) return text;
  const tail = Math.floor((max - 1) / 2);
  return `${text.slice(0, max - 1 - tail)}…${text.slice(-tail)}`;
}

function topicTable(topics: TopicStatus[], maxName: number, c: Colours): string {
  const table = newTable(["TOPIC", "STATE", "RECEIVED", "DELIVERED", "HELD", "DISCARDED", "LAG", "OLDEST"], 2);
  for (const topic of topics) {
    const isHeld = topic.state === "held";
    table.push([
      shorten(printable(topic.name), maxName),
      isHeld ? c.yellow("held") : topic.state,
      // As in the ledger, what nobody has read yet was received, and is held.
      formatCount(topic.received + topic.unread),
      formatCount(topic.delivered),
      formatCount(topic.held + topic.unread),
      formatCount(topic.discarded),
      topic.lag_bytes === 0 ? "" : formatSize(topic.lag_bytes),
      topic.oldest_unsent_age === null ? "" : formatTime(topic.oldest_unsent_age),
    ]);
    if (isHeld) table.push([{ colSpan: 8, content: c.yellow(`  ↳ ${printable(topic.reason ?? "no reason given")}`) }]);
    for (const text of heldTexts(topic)) table.push([{ colSpan: 8, content: c.dim(`  ↳ ${printable(text)}`) }]);
  }
  return textOf(table);
}

function brokerTable(status: DaemonStatus, c: Colours): string {
  const table = newTable(["BROKER", "ADDRESS", "STATE", "IN FLIGHT"], 3);
  for (const broker of status.brokers) {
    const text = printable(brokerState(broker, status.now));
    table.push([
      String(broker.id),
      printable(broker.address),
      broker.state === "down" || broker.state === "refused" ? c.red(text) : text,
      String(broker.in_flight),
    ]);
  }
  return textOf(table);
}

function brokerState(broker: BrokerStatus, now: number): string {
  const { throttled_until: until, state, reason, slow_replicas: slow } = broker;
  const parts = [reason === undefined ? state : `${state}: ${reason}`];
  if (until !== null && until > now) parts.push(`throttled for ${formatTime(until - now)}`);
  if (slow.length > 0) parts.push(`slow copies on ${slow.map((ids) => ids.slice(1).join("+") || "itself").join(", ")}`);
  return parts.join(", ");
}

/** For pipes: each line a kind, then its fields, separated by tabs; numbers as they are. Ends in a newline. */
export function pipeText(status: DaemonStatus, rates: Rates | undefined): string {
  const { ledger: books, buffer } = status;
  const lines: (string | number)[][] = [
    ["bruce", status.version, status.state, `pid ${status.pid}`, `up ${formatTime(status.now - status.started_at)}`],
    ["received", books.received],
    ["delivered", books.delivered],
    ["held", books.held, drainText(status, rates)],
    ["discarded", books.discarded, reasons(books.discards_by_reason)],
    ["possible_duplicates", books.possible_duplicates],
    ["balanced", books.balanced ? "yes" : "no"],
    ["buffer", buffer.mode, buffer.used, buffer.limit, buffer.full ? "full" : "-", buffer.reason ?? ""],
    ...configTexts(status).map(({ text }) => ["config", text]),
  ];
  for (const topic of mostUrgent(status, status.topics.length).topics) {
    const { name, state, received, delivered, held, discarded, lag_bytes, oldest_unsent_age: age, reason } = topic;
    const oldest = age === null ? "-" : formatTime(age);
    lines.push(["topic", name, state, received, delivered, held, discarded, lag_bytes, oldest, reason ?? ""]);
    for (const { partition, messages, bytes, reason: why } of topic.held_logs ?? []) {
      lines.push(["held_log", name, partition ?? "-", messages, bytes, why ?? ""]);
    }
  }
  const { reason: trouble } = status.metadata;
  if (trouble !== undefined) lines.push(["metadata", trouble]);
  for (const broker of status.brokers) {
    lines.push(["broker", broker.id, broker.address, brokerState(broker, status.now), broker.in_flight]);
  }
  const text = (fields: (string | number)[]): string => fields.map((field) => printable(String(field))).join("\t");
  return `${lines.map((fields) => text(fields).trimEnd()).join("\n")}\n`;
}
