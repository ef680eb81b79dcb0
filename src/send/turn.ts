// Giving the event loop its turn: the sender waits in poll(2), so signals and timers act only when it lets them.
import { setImmediate } from "node:timers/promises";

/** The longest wait in poll, ms: signals are noticed, and an idle connection is looked at, this often. */
export const SLICE = 100;

/** A busy sender lets the event loop in at least this often, ms. */
const BUSY = 20;
let last = 0;

/** Lets the event loop run once. */
export async function turn(): Promise<void> {
  await setImmediate();
  last = performance.now();
}

/** Whether the event loop had to wait for long. */
export function turnIsDue(): boolean {
  return performance.now() - last > BUSY;
}
