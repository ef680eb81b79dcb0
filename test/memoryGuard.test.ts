import { expect, spyOn, test } from "bun:test";
import { guardMemory } from "../src/memoryGuard.ts";

test("garbage is collected while more memory is used than may be, and not before", async () => {
  const collected = Promise.withResolvers<void>();
  const collect = spyOn(Bun, "gc").mockImplementation(() => collected.resolve());
  const used = spyOn(process.memoryUsage, "rss").mockReturnValue(128e6 + 59e6);
  const looked = Promise.withResolvers<void>();
  used.mockImplementation(() => {
    if (used.mock.calls.length > 2) looked.resolve();
    return 128e6 + 59e6;
  });
  const guard = guardMemory(128e6);
  try {
    await looked.promise;
    expect(collect).not.toHaveBeenCalled();
    used.mockReturnValue(128e6 + 61e6);
    await collected.promise;
  } finally {
    guard.stop();
    collect.mockRestore();
    used.mockRestore();
  }
});
