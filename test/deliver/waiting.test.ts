// Frames that wait for the cluster's first word may use up all memory by themselves, and by more than it: they get out.
import { expect, test } from "bun:test";
import { testPipeline } from "../support/testPipeline.ts";

test.each([10, 600])(
  "frames that came in blocks of %d and use up memory are delivered when it speaks",
  async (count) => {
    const answer = Promise.withResolvers<void>();
    await using it = await testPipeline((settings) => {
      settings.buffer.memory = 4 << 20;
      settings.kafka.requestTimeout = 30_000;
    });
    it.broker.faults.always("Metadata", () => ({ kind: "delay", until: answer.promise }));
    const { memory } = it.pipeline.around;
    const block = Array.from({ length: count }, (_, index) => ({ value: `${index} ${"x".repeat(1000)}` }));
    let sent = 0;
    while (it.send(...block)) {
      sent += count;
      await it.until(() => memory.full || it.balance().received === sent);
    }
    answer.resolve();
    await it.settled();
    expect(it.balance()).toMatchObject({ received: sent, delivered: sent, held: 0, agrees: true });
    expect(memory.used).toBe(0);
  },
);
