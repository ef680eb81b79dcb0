// Which of the partitions that can take a batch now gets a topic's next one.
import type { Partition } from "../route/topic.ts";

/**
 * sticky (and murmur2 for messages without a key): any at random. round-robin: the next one behind the partition at
 * index `last` of `all`. `free` is a part of `all`, in the same order, and not empty.
 */
export function choosePartition(
  partitioner: "sticky" | "round-robin" | "murmur2",
  all: readonly Partition[],
  free: readonly Partition[],
  last: number,
  random: () => number,
): Partition {
  if (partitioner !== "round-robin") return free[Math.floor(random() * free.length)] as Partition;
  return free.find((partition) => all.indexOf(partition) > last) ?? (free[0] as Partition);
}
