// The input thread: opens the sockets, says so, and serves them until it is told to stop.
import { openQueueWriter } from "../spool/queueWriter.ts";
import { InputLoop, memoryNeeded } from "./inputLoop.ts";
import { Memory, openLibc } from "./libc.ts";
import type { IngestFailure, InputMessage, StartOrder } from "./report.ts";
import { addressesOf, openSockets } from "./sockets.ts";

declare const self: Worker;

/** Milliseconds between two warnings that say the same. */
const WARNING_INTERVAL = 60_000;

const post = (message: InputMessage): void => self.postMessage(message);
const failed = (failure: IngestFailure): void => post({ type: "failed", failure });

self.onmessage = ({ data: order }: MessageEvent<StartOrder>) => {
  const result = openLibc();
  if ("failure" in result) {
    failed({ ...result.failure, path: "" });
    return;
  }
  const shell = { libc: result.libc, memory: new Memory(memoryNeeded(order)), warn: warner() };
  const opened = openSockets(shell.libc, shell.memory, order);
  if ("failure" in opened) {
    failed(opened.failure);
    return;
  }
  const queue = openQueueWriter(order.queue, {
    wake: () => post({ type: "readable" }),
    tell: (message) => post({ type: "queue", message }),
  });
  const loop = new InputLoop({ shell, queue, order, sockets: opened.sockets, post, clock: () => performance.now() });
  post({ type: "ready", addresses: addressesOf(opened.sockets) });
  try {
    loop.run(); // this thread never returns to its event loop before the end: it is told things through shared memory
  } catch (error) {
    failed({ kind: "system", message: `the input thread failed: ${String(error)}`, path: "" });
  }
};

function warner(): (message: string, fields: Record<string, unknown>) => void {
  const last = new Map<string, number>();
  return (message, fields) => {
    const now = performance.now();
    if (now - (last.get(message) ?? Number.NEGATIVE_INFINITY) < WARNING_INTERVAL) return;
    last.set(message, now);
    post({ type: "warning", message, fields });
  };
}
