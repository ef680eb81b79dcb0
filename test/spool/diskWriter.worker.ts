// Appends numbered messages to a queue on disk from a thread of its own; waits for room when there is none.
import type { QueueOrder } from "../../src/spool/queue.ts";
import { openQueueWriter } from "../../src/spool/queueWriter.ts";
import { frameFor } from "./logFixture.ts";

declare const self: Worker;

self.onmessage = (event: MessageEvent<{ order: QueueOrder; room: Int32Array; messages: number }>) => {
  const { order, room, messages } = event.data;
  const writer = openQueueWriter(order, {
    wake: () => self.postMessage({ type: "wake" }),
    tell: (message) => self.postMessage({ type: "tell", message }),
  });
  for (let number = 1; number <= messages; ) {
    const count = Math.min(1 + (number % 9), messages + 1 - number);
    const bytes = Buffer.concat(Array.from({ length: count }, (_, index) => frameFor(number + index, number % 300)));
    while (writer.append(1, 2, bytes, 0, bytes.length, count) === 0) {
      Atomics.wait(room, 0, 0);
      Atomics.store(room, 0, 0);
      writer.tend();
    }
    number += count;
  }
  self.postMessage({ type: "done" });
};
