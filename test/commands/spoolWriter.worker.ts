// Writes to a buffer's directory as a daemon does, without a pause, until it is told to stop: blocks, indexes, deletions,
// and checkpoints.
import { join } from "node:path";
import { encodeCheckpoint } from "../../src/spool/checkpointFormat.ts";
import { nodeFiles, writeAll } from "../../src/spool/files.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { checkpointOf, encodeBlock, messages } from "./spoolDirectory.ts";

declare const self: Worker;

const BLOCKS = 20;
const SEGMENTS = 5;

self.onmessage = ({ data }: MessageEvent<{ directory: string; shared: SharedArrayBuffer }>) => {
  const { directory, shared } = data;
  // [told to stop, segments written]
  const words = new Int32Array(shared);
  const slots = ["checkpoint.0", "checkpoint.1"].map((name) => nodeFiles.open(join(directory, name), "wx+"));
  const paths: string[] = [];
  let number = 1;
  for (let ordinal = 1; Atomics.load(words, 0) === 0; ordinal++) {
    const start = { directory: join(directory, "log"), ordinal, firstNumber: number, previousEnd: number };
    const writer = SegmentWriter.create(nodeFiles, { ...start, directoryId: "00".repeat(16) });
    for (let block = 0; block < BLOCKS; block++) {
      const count = 1 + ((ordinal * 31 + block * 17) % 400);
      const bytes = encodeBlock(messages("t", number, count), false, writer.seed);
      writer.append(bytes, 0, bytes.length);
      number += count;
    }
    writer.seal();
    writer.close();
    paths.push(writer.path);
    const at = { number, segment: ordinal, offset: writer.offset };
    const bytes = encodeCheckpoint({
      ...checkpointOf({ clean: true, log: { read: at, head: at } }),
      generation: ordinal,
      writtenAt: 1,
    });
    writeAll(nodeFiles, slots[ordinal % 2] ?? 0, bytes, 0, bytes.length, 0);
    if (paths.length > SEGMENTS) nodeFiles.remove(paths.shift() ?? "");
    Atomics.add(words, 1, 1);
    Atomics.notify(words, 1);
  }
  for (const fd of slots) nodeFiles.close(fd);
  self.postMessage("stopped");
};
