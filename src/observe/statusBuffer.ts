// What the buffer's part of the status says, in words.
import type { BufferStatus, TopicStatus } from "./status.ts";
import { formatCount, formatSize, formatTime } from "./statusUnits.ts";

/** Where messages wait, how much of it is used, and what that is worth. */
export function bufferText(buffer: BufferStatus): string {
  const { mode, full, path, used, limit, held_bytes: held, quarantined_bytes: damaged, synced_age: age } = buffer;
  const { unspooled, unreadable } = buffer;
  if (mode === "memory") return `memory only${full ? ", full" : ""}: what is held is lost with the process`;
  const parts = [`${formatSize(used)} of ${formatSize(limit)} in ${path}`];
  if (full) parts.push("full");
  if (held > 0) parts.push(`${formatSize(held)} of it held`);
  if (unspooled > 0) parts.push(`${formatCount(unspooled)} messages in memory alone`);
  if (damaged > 0) parts.push(`${formatSize(damaged)} damaged and set aside`);
  if (age !== null && age > 0) parts.push(`a power cut would take the last ${formatTime(age)}`);
  // An older daemon does not tell.
  if (unreadable !== null && unreadable !== undefined)
    parts.push(`some of it waits, since it cannot be read: ${unreadable}`);
  const text = parts.join(", ");
  if (mode === "disk") return text;
  return `degraded, new messages are in memory only: ${buffer.reason ?? "the disk takes none"} (${text})`;
}

/** One text for each log of its own that a topic has. */
export function heldTexts({ held_logs: logs = [], reason }: TopicStatus): string[] {
  return logs.map((log) => {
    const what = `${formatCount(log.messages)} on disk (${formatSize(log.bytes)})`;
    const where = log.partition === null ? what : `${what} for partition ${log.partition}`;
    if (log.reason === null) return `${where}, being delivered`;
    return log.reason === reason ? where : `${where}: ${log.reason}`;
  });
}
