// Opens the writing side of the queue, of whichever kind, on the input thread.
import { DiskWriter } from "./diskWriter.ts";
import { nodeFiles } from "./files.ts";
import { openMemoryQueueWriter } from "./memoryQueue.ts";
import type { QueueOrder, QueueWriter, WriterMessage } from "./queue.ts";

export interface WriterWays {
  /** Must reach `QueueLink.wake` on the other thread. */
  wake: () => void;
  /** Must reach `QueueLink.told` on the other thread, in order. */
  tell: (message: WriterMessage) => void;
}

export function openQueueWriter(order: QueueOrder, { wake, tell }: WriterWays): QueueWriter {
  if (order.kind === "memory") return openMemoryQueueWriter(order.memory, wake);
  const clock = () => performance.now();
  return new DiskWriter({ order, files: nodeFiles, wake, tell, clock, collect: () => Bun.gc(true) });
}
