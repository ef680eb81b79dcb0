// How long to wait before trying again: doubling, with jitter, so that many who failed together do not return together.

/** Milliseconds before attempt `attempt` (1 = the first retry): between half and all of base × 2^(attempt-1), capped. */
export function backoffDelay(attempt: number, base: number, max: number, random: () => number): number {
  const full = Math.min(max, base * 2 ** Math.min(attempt - 1, 30));
  return full * (0.5 + random() / 2);
}

/**
 * Milliseconds after which a login that holds for `lifetime` is to be renewed, by a new connection: those of many hosts began
 * together, after an outage, and must not end together. What Kafka's own client takes: 85 to 95 %.
 */
export function renewAfter(lifetime: number, random: () => number): number {
  return lifetime * (0.85 + 0.1 * random());
}
