// Opens the writing side of the queue, of whichever kind, on the input thread.
import { openMemoryQueueWriter } from "./memoryQueue.ts";
import type { QueueOrder, QueueWriter, WriterMessage } from "./queue.ts";

export interface WriterWays {
  /** Must reach `QueueLink.wake` on the other thread. */
  wake: () => void;
  /** Must reach `QueueLink.told` on the other thread. */
  tell: (message: WriterMessage) => void;
}

export function openQueueWriter(order: QueueOrder, { wake }: WriterWays): QueueWriter {
  if (order.kind === "memory") return openMemoryQueueWriter(order.memory, wake);
  throw new Error("the disk queue is not built yet");
}
