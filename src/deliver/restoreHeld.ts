// After a restart: what an earlier run left in held logs waits for its topics again.
import type { Log } from "../observe/log.ts";
import type { Topic } from "../route/topic.ts";
import type { HeldLogs } from "../spool/heldLogs.ts";

export interface RestoreHeldParts {
  held: HeldLogs;
  /** Finds or makes the topic; undefined when there are too many. */
  topic: (name: string) => Topic | undefined;
  log: Pick<Log, "warn">;
}

/** Called once, before anything is routed: what comes for the same topics waits behind. */
export function restoreHeld({ held, topic: find, log }: RestoreHeldParts): void {
  for (const { topic: name, partition, count, out } of held.all()) {
    // Also one of which all that is left is in a batch: that may come back.
    if (count + out === 0) continue;
    const topic = find(name);
    if (topic === undefined) {
      const why = "there are too many topics: raise buffer.max_topics";
      log.warn("messages stay where they are held", { topic: name, messages: count, why });
    } else topic.restoreWaiting(partition);
  }
}
