// Collects garbage before there is too much of it: the engine paces itself by the memory of the whole machine.

/** What bruce may take beside buffer.memory, in bytes, before garbage is collected by hand; it promises 100 MB. */
const BESIDE = 70_000_000;
/** What must have come since the last time, in bytes: what a collection leaves is in use. */
const WORTHWHILE = 10_000_000;
/** How often to look, in milliseconds: a collection takes about 10 of them. */
const EVERY = 250;

/**
 * Looks after it until it is stopped, while there is something to do: as long as `progress` changes. `buffered`: bytes that
 * messages may take in memory.
 */
export function guardMemory(buffered: number, progress: () => number): { stop(): void } {
  let seen = progress();
  let left = 0;
  const timer = setInterval(() => {
    const now = progress();
    if (now === seen) return;
    seen = now;
    const used = process.memoryUsage.rss();
    if (used <= buffered + BESIDE || used < left + WORTHWHILE) return;
    Bun.gc(true);
    left = process.memoryUsage.rss();
  }, EVERY);
  return { stop: () => clearInterval(timer) };
}
