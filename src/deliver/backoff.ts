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

/**
 * Milliseconds that a broker may take to answer the first packet of a connection, after so many failures. A broker that has
 * too many clients at the door leaves packets unanswered, and the system would send them again after 1, 3 and 7 s, each
 * time for all clients at once. It grows because the name server may be what is slow.
 */
export function tcpPatience(failures: number): number {
  return 1_000 * 2 ** Math.min(failures, 10);
}

/**
 * Milliseconds within which hosts open connections that they had not before, each at a time of its own. A large cluster has
 * many clients, and one of its brokers matters little to each of them; with a small one it is the other way round.
 */
export function connectSpread(brokers: number): number {
  return Math.min(30 * brokers, 1_000);
}
