// Collects garbage before there is too much of it: the engine paces itself by the memory of the whole machine.

/** What bruce may take beside buffer.memory, in bytes, before garbage is collected by hand; it promises 100 MB. */
const BESIDE = 60_000_000;
/** How often to look, in milliseconds: a collection takes about 10 of them. */
const EVERY = 250;

/** Looks after it until it is stopped. `buffered`: bytes that messages may take in memory. */
export function guardMemory(buffered: number): { stop(): void } {
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() > buffered + BESIDE) Bun.gc(true);
  }, EVERY);
  return { stop: () => clearInterval(timer) };
}
