// How long to wait before trying again: doubling, with jitter, so that many who failed together do not return together.

/** Milliseconds before attempt `attempt` (1 = the first retry): between half and all of base × 2^(attempt-1), capped. */
export function backoffDelay(attempt: number, base: number, max: number, random: () => number): number {
  const full = Math.min(max, base * 2 ** Math.min(attempt - 1, 30));
  return full * (0.5 + random() / 2);
}
