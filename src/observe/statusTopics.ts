// Chooses the topics worth looking at first: there may be 10,000, and a page or a terminal shows some.
import type { DaemonStatus, TopicStatus } from "./status.ts";

/** Held topics first, then what lags most, then what received most; names make the order stable. */
function byUrgency(a: TopicStatus, b: TopicStatus): number {
  if (a.state !== b.state) return a.state === "held" ? -1 : 1;
  const held = b.held + b.unread - a.held - a.unread;
  return b.lag_bytes - a.lag_bytes || held || b.received - a.received || (a.name < b.name ? -1 : 1);
}

/** The same status with at most `limit` topics, the most urgent first. */
export function mostUrgent(status: DaemonStatus, limit: number): DaemonStatus {
  const topics = [...status.topics].sort(byUrgency).slice(0, limit);
  const omitted = status.topics.length - topics.length + (status.topics_omitted ?? 0);
  return { ...status, topics, topics_omitted: omitted };
}
