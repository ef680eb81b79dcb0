// Writes numbered blocks of many sizes into a ring; waits for room when there is none.
import { RingWriter } from "../../src/spool/ring.ts";

declare const self: Worker;

self.onmessage = (event: MessageEvent<{ memory: SharedArrayBuffer; room: Int32Array; messages: number }>) => {
  const { memory, room, messages } = event.data;
  const writer = new RingWriter(memory, () => self.postMessage("wake"));
  const bytes = Buffer.alloc(4000);
  for (let number = 1; number <= messages; ) {
    const count = Math.min(1 + (number % 7), messages + 1 - number);
    const length = 1 + (number % 400);
    bytes[length - 1] = number % 256;
    while (!writer.append(number, count, 1, 0, bytes, 0, length)) {
      Atomics.wait(room, 0, 0);
      Atomics.store(room, 0, 0);
    }
    number += count;
  }
};
