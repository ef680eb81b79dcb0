// `bruce spool ls`: what is in the buffer's directory.
import { statSync } from "node:fs";
import { join } from "node:path";
import { createColors } from "picocolors";
import { printable } from "../observe/logPrintable.ts";
import { newTable, textOf } from "../observe/plainTable.ts";
import { formatCount, formatSize, formatTime } from "../observe/statusUnits.ts";
import { type Files, nodeFiles } from "../spool/files.ts";
import { EXIT, type SpoolSurroundings } from "./spoolIo.ts";
import { type Holder, lockHolder } from "./spoolLock.ts";
import { type LogView, readView, type SpoolView } from "./spoolView.ts";

interface Listing {
  directory: string;
  /** The daemon's; null when none is at work, or it is not known. */
  pid: number | null;
  running: boolean | null;
  checkpoint: { generation: number; written_at: number; clean: boolean } | null;
  /** Messages and bytes in all logs; bytes are those of the files. */
  waiting: number;
  bytes: number;
  /** Batches of which it is not known whether Kafka has them. */
  uncertain_batches: number;
  log: { file: string; bytes: number; messages: number; first_number: number; sealed: boolean }[];
  held: { topic: string; partition: number | null; reason: string; waiting: number; bytes: number; files: number }[];
  /** Messages of files that nobody has read yet, by topic, where an index says so. */
  unread_topics: Record<string, number>;
  quarantine: { file: string; bytes: number }[];
}

/** Rows shown on a terminal; --json and a pipe have all. */
const ROWS = 20;

export async function listSpool(directory: string, json: boolean, io: SpoolSurroundings): Promise<number> {
  const listing = list(nodeFiles, directory, readView(nodeFiles, directory), lockHolder(directory));
  if (json) io.stdout.write(`${JSON.stringify(listing, null, 2)}\n`);
  else io.stdout.write(io.stdout.isTTY === true ? terminalText(listing, io) : pipeText(listing));
  return EXIT.done;
}

function list(files: Files, directory: string, view: SpoolView, holder: Holder): Listing {
  const { checkpoint, logs, uncertain } = view;
  const [main, ...held] = logs;
  return {
    directory,
    pid: holder.state === "running" ? (holder.pid ?? null) : null,
    running: holder.state === "unknown" ? null : holder.state === "running",
    checkpoint:
      checkpoint === undefined
        ? null
        : { generation: checkpoint.generation, written_at: checkpoint.writtenAt, clean: checkpoint.clean },
    waiting: logs.reduce((sum, { waiting }) => sum + waiting, 0),
    bytes: logs.reduce((sum, log) => sum + bytesOf(log), 0),
    uncertain_batches: uncertain,
    log: main.segments.map(({ path, size, messages, firstNumber, sealed }) => {
      return { file: fileName(path), bytes: size, messages, first_number: firstNumber, sealed };
    }),
    held: held.map((log) => ({
      topic: log.topic ?? "",
      partition: log.partition,
      reason: log.reason,
      waiting: log.waiting,
      bytes: bytesOf(log),
      files: log.segments.length,
    })),
    unread_topics: unreadTopics(main),
    quarantine: files.list(join(directory, "quarantine")).map((file) => {
      return { file, bytes: sizeOf(join(directory, "quarantine", file)) };
    }),
  };
}

function bytesOf({ segments }: LogView): number {
  return segments.reduce((sum, { size }) => sum + size, 0);
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

function unreadTopics({ segments, readFrom }: LogView): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { firstNumber, index } of segments) {
    if (firstNumber < readFrom || index === undefined) continue;
    for (const [topic, count] of index.topics) counts.set(topic, (counts.get(topic) ?? 0) + count);
  }
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

function terminalText(listing: Listing, { env }: SpoolSurroundings): string {
  const c = createColors((env.NO_COLOR ?? "") === "" && env.TERM !== "dumb");
  const { waiting, bytes, log, held, quarantine, uncertain_batches: uncertain } = listing;
  const parts = [
    [
      `${c.bold(printable(listing.directory))}  ${daemonText(listing)}`,
      checkpointText(listing),
      `${formatCount(waiting)} ${waiting === 1 ? "message waits" : "messages wait"}, ${formatSize(bytes)} in files` +
        (uncertain === 0 ? "" : `; of ${formatCount(uncertain)} batches it is not known whether Kafka has them`),
    ].join("\n"),
  ];
  const topics = Object.entries(listing.unread_topics).map(([topic, count]) => [
    topic === "" ? "(others)" : printable(topic),
    formatCount(count),
  ]);
  parts.push(...tableOf(["UNREAD TOPIC", "MESSAGES"], 1, topics));
  const heldRows = held.map(({ topic, partition, reason, waiting: count, bytes: size }): Row => {
    const why = reason === "" ? "why is not known yet" : printable(reason);
    return {
      cells: [
        printable(partition === null ? topic : `${topic}, partition ${partition}`),
        formatCount(count),
        formatSize(size),
      ],
      below: c.yellow(`  ↳ ${why}`),
    };
  });
  parts.push(...tableOf(["HELD", "WAITING", "SIZE"], 1, heldRows));
  const logRows = log.map((each) => [
    each.file,
    each.sealed ? "complete" : "open",
    formatCount(each.first_number),
    formatCount(each.messages),
    formatSize(each.bytes),
  ]);
  parts.push(...tableOf(["LOG", "STATE", "FROM NUMBER", "MESSAGES", "SIZE"], 2, logRows));
  const damaged = quarantine.map(({ file, bytes: size }) => [c.red(printable(file)), formatSize(size)]);
  parts.push(...tableOf(["DAMAGED, SET ASIDE", "SIZE"], 1, damaged));
  return `${parts.join("\n\n")}\n`;
}

function daemonText({ running, pid }: Listing): string {
  if (running === null) return "(whether a daemon is at work is not known)";
  if (!running) return "no daemon is at work";
  return pid === null ? "a daemon is at work" : `a daemon is at work: process ${pid}`;
}

function checkpointText({ checkpoint, running }: Listing): string {
  if (checkpoint === null) return "no checkpoint: the next start reads all of it";
  const when = `checkpoint ${checkpoint.generation}, ${formatTime(Math.max(0, Date.now() - checkpoint.written_at))} old`;
  if (running === true) return when;
  return checkpoint.clean ? `${when}; the daemon was stopped cleanly` : `${when}; the daemon was not stopped cleanly`;
}

interface Row {
  cells: string[];
  /** In a line of its own: it is too long for a column. */
  below: string;
}

/** Nothing without rows. */
function tableOf(head: string[], firstNumber: number, rows: (Row | string[])[]): string[] {
  if (rows.length === 0) return [];
  const table = newTable(head, firstNumber);
  // The newest files, but the topics with the most messages.
  const shown = head[0] === "LOG" ? rows.slice(-ROWS) : rows.slice(0, ROWS);
  table.push(...shown.map((row) => (Array.isArray(row) ? row : row.cells)));
  const more = rows.length - shown.length;
  const lines = textOf(table).split("\n");
  // Put in here: the table would make its columns as wide as that.
  const text = lines.flatMap((line, i) => {
    const row = shown[i - 1];
    return row === undefined || Array.isArray(row) ? line : [line, row.below];
  });
  return [[...text, ...(more > 0 ? [`… and ${formatCount(more)} more (all with --json)`] : [])].join("\n")];
}

/** Each line a kind, then its fields, separated by tabs; numbers as they are. */
function pipeText(listing: Listing): string {
  const { directory, running, pid, checkpoint, waiting, bytes, log, held, quarantine } = listing;
  const state = running === null ? "unknown" : running ? `running ${pid ?? ""}` : "down";
  const lines: (string | number)[][] = [["spool", directory, state, waiting, bytes]];
  if (checkpoint !== null) {
    lines.push(["checkpoint", checkpoint.generation, checkpoint.written_at, checkpoint.clean ? "clean" : "-"]);
  }
  for (const [topic, count] of Object.entries(listing.unread_topics)) lines.push(["unread", topic, count]);
  for (const h of held) lines.push(["held", h.topic, h.partition ?? "-", h.waiting, h.bytes, h.reason]);
  for (const s of log) lines.push(["log", s.file, s.first_number, s.messages, s.bytes, s.sealed ? "complete" : "open"]);
  for (const q of quarantine) lines.push(["quarantine", q.file, q.bytes]);
  return lines
    .map(
      (fields) =>
        `${fields
          .map((field) => printable(String(field)))
          .join("\t")
          .trimEnd()}\n`,
    )
    .join("");
}
