// Waiting for one input and one socket at once, as poll(2) does.
import { ptr } from "bun:ffi";
import { errno, lastErrno, libc } from "./libc.ts";

export const POLLIN = 0x001;
export const POLLOUT = 0x004;

// One long-lived block: the C library must never see memory that the collector may move.
const memory = new ArrayBuffer(64 * 1024);
const fields = new DataView(memory);
const address = ptr(memory);

/** What poll said last of the input and of the socket: its event bits, 0 for nothing. */
export const ready = { input: 0, socket: 0 };

/**
 * Waits until the input can be read, or the socket has one of `events` (or has ended), at most `timeout` ms.
 * An fd of -1 is left out. The answer is in `ready`; a signal ends the wait early.
 */
export function waitFor(input: number, socket: number, events: number, timeout: number): void {
  fields.setInt32(0, input, true);
  fields.setInt32(4, POLLIN, true);
  fields.setInt32(8, socket, true);
  fields.setInt32(12, events, true);
  const count = libc().poll(address, 2, timeout);
  if (count < 0) {
    const error = lastErrno();
    if (error !== errno.EINTR) throw new Error(`poll failed with error ${error}`);
  }
  ready.input = count > 0 ? fields.getInt16(6, true) : 0;
  ready.socket = count > 0 ? fields.getInt16(14, true) : 0;
}
