// How far lines must have come before the client is content.
import { SyncLevel } from "../wire/receipts.ts";

/** `--wait`, in the order of what it asks of the daemon. */
export const WAITS = ["none", "spooled", "synced", "delivered"] as const;
export type Wait = (typeof WAITS)[number];

export function isWait(text: string): text is Wait {
  return (WAITS as readonly string[]).includes(text);
}

/** The level of receipts that says so; 0: none. */
export function levelOf(wait: Wait): SyncLevel | 0 {
  switch (wait) {
    case "none":
      return 0;
    case "spooled":
      return SyncLevel.Spooled;
    case "synced":
      return SyncLevel.Synced;
    case "delivered":
      return SyncLevel.Delivered;
  }
}
