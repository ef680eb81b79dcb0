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

test("a full memory is not waited out: what can go is hurried, whatever lies open that cannot", async () => {
  await using it = await testPipeline((settings) => {
    settings.buffer.memory = 16 << 20;
    settings.batch.linger = 3_600_000;
    settings.batch.bytes = settings.batch.requestBytes = 1 << 20;
  });
  it.broker.createTopic("stuck", 2);
  for (const partition of [0, 1]) it.broker.setLeader("stuck", partition, -1);
  const some = { value: "x".repeat(900_000) };
  for (const partitionKey of [0, 1]) it.send({ ...some, topic: "stuck", partitionKey });
  await it.until(() => it.balance().received === 2 && (it.pipeline.topics.get("stuck")?.memory ?? 0) >= 2 << 20);
  for (let topic = 0; topic < 8; topic++) it.send({ ...some, topic: `live-${topic}` });
  await it.until(() => it.balance().delivered > 0);
});
