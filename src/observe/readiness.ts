// Whether bruce takes messages and has room for them, as /readyz says it.
import type { BufferStatus, DaemonStatus, Readiness } from "./status.ts";
import { formatSize } from "./statusUnits.ts";

export function readiness(state: DaemonStatus["state"], buffer: BufferStatus): Readiness {
  if (state !== "running") return { ok: false, reason: `bruce is ${state}` };
  return buffer.full ? { ok: false, reason: whyFull(buffer) } : { ok: true };
}

function whyFull({ mode, reason, used, limit, path }: BufferStatus): string {
  switch (mode) {
    case "memory":
      return "the buffer is full";
    case "disk":
      return `the disk buffer is full: ${formatSize(used)} of ${formatSize(limit)} in ${path}`;
    case "degraded":
      return `memory is full, and the disk takes no messages: ${reason ?? "no reason given"}`;
  }
}
