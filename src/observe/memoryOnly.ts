// What there is to tell of a buffer that is in memory alone.
import type { SpoolReport } from "./status.ts";

/**
 * Of memory that messages wait in, the share above which it is called full: what was full takes no more until it is down
 * to that.
 */
const NEARLY_FULL = 0.75;

/** Whether memory in which `bytes` of `capacity` wait is to be called full. */
export function memoryFull(bytes: number, capacity: number): boolean {
  return bytes > capacity * NEARLY_FULL;
}

/** `waiting`: messages that are neither delivered nor discarded. */
export function memoryOnly(full: boolean, waiting: number): SpoolReport {
  return {
    buffer: {
      mode: "memory",
      path: null,
      full,
      limit: 0,
      used: 0,
      held_bytes: 0,
      journal_bytes: 0,
      quarantined_bytes: 0,
      segments: 0,
      synced_age: null,
      sync_failures: 0,
      unreadable: null,
      unspooled: waiting,
    },
    unread: new Map(),
    held: [],
  };
}
