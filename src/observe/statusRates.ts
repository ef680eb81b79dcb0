// What two statuses of the same daemon say about speed.
import type { DaemonStatus } from "./status.ts";

/** Messages per second. */
export interface Rates {
  received: number;
  delivered: number;
  discarded: number;
}

/** The mean rates between two statuses; undefined when the daemon was started anew between them, or no time went by. */
export function ratesBetween(earlier: DaemonStatus, later: DaemonStatus): Rates | undefined {
  const seconds = (later.now - earlier.now) / 1000;
  if (seconds <= 0 || earlier.started_at !== later.started_at || earlier.pid !== later.pid) return undefined;
  const rate = (field: keyof Rates): number => (later.ledger[field] - earlier.ledger[field]) / seconds;
  return { received: rate("received"), delivered: rate("delivered"), discarded: rate("discarded") };
}

export type Drain =
  /** Nothing is held. */
  | { kind: "empty" }
  /** Gone in `time` (ms), if things go on as they do. */
  | { kind: "draining"; time: number }
  /** As much comes in as goes out, or more. */
  | { kind: "growing" }
  /** Nothing was delivered at all. */
  | { kind: "stuck" };

/** When the messages held will be gone. */
export function drainEstimate(status: DaemonStatus, rates: Rates): Drain {
  const { held } = status.ledger;
  if (held === 0) return { kind: "empty" };
  const out = rates.delivered + rates.discarded;
  if (out <= 0) return { kind: "stuck" };
  const gain = out - rates.received;
  return gain <= 0 ? { kind: "growing" } : { kind: "draining", time: (held / gain) * 1000 };
}
