// Words in shared memory by which the main thread speaks to an input thread that never returns to its event loop.

/** Set to 1 by the main thread: stop. */
export const STOP = 0;
/** Set to 1 by the input thread when it posts a report, to 0 by the main thread when it has it. */
export const REPORT_OUT = 1;

/** The words, all 0. */
export function createControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(64);
}
