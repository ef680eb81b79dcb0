import { expect, test } from "bun:test";
import { memoryFull, memoryOnly } from "../../src/observe/memoryOnly.ts";
import { readiness } from "../../src/observe/readiness.ts";
import { bufferText, heldTexts } from "../../src/observe/statusBuffer.ts";
import { sampleStatus, topic } from "./sampleStatus.ts";

const { buffer } = sampleStatus();

test("bruce is ready while it runs and has room, also when the room is in memory alone", () => {
  expect(readiness("running", buffer)).toEqual({ ok: true });
  expect(readiness("running", { ...buffer, mode: "degraded", reason: "no space left" })).toEqual({ ok: true });
  expect(readiness("running", memoryOnly(false, 0).buffer)).toEqual({ ok: true });
  expect(readiness("starting", buffer)).toEqual({ ok: false, reason: "bruce is starting" });
  expect(readiness("stopping", buffer)).toEqual({ ok: false, reason: "bruce is stopping" });
});

test("when it is full it says what of", () => {
  expect(readiness("running", { ...buffer, full: true })).toEqual({
    ok: false,
    reason: "the disk buffer is full: 1.0 GiB of 4.0 GiB in /var/lib/bruce",
  });
  expect(readiness("running", { ...buffer, full: true, mode: "degraded", reason: "no space left" })).toEqual({
    ok: false,
    reason: "memory is full, and the disk takes no messages: no space left",
  });
  expect(readiness("running", memoryOnly(true, 0).buffer)).toEqual({ ok: false, reason: "the buffer is full" });
});

test("memory that was full takes no more until it is down to three quarters, and is called full until then", () => {
  expect([memoryFull(0, 100), memoryFull(75, 100), memoryFull(76, 100)]).toEqual([false, false, true]);
});

test("the buffer is told in words, worst first", () => {
  expect(bufferText(memoryOnly(false, 0).buffer)).toBe("memory only: what is held is lost with the process");
  expect(bufferText({ ...buffer, held_bytes: 0, quarantined_bytes: 0, full: true, unspooled: 0 })).toBe(
    "1.0 GiB of 4.0 GiB in /var/lib/bruce, full, a power cut would take the last 0.4 s",
  );
  const idle = { held_bytes: 0, quarantined_bytes: 0, synced_age: 0 };
  expect(bufferText({ ...buffer, ...idle, mode: "degraded", reason: "ENOSPC" })).toBe(
    "degraded, new messages are in memory only: ENOSPC (1.0 GiB of 4.0 GiB in /var/lib/bruce, 3 messages in memory alone)",
  );
});

test("a topic's own logs are told with their partition and reason, the topic's own reason once", () => {
  const log = { partition: null, messages: 1234, bytes: 2048, oldest_age: 1, reason: "why" };
  const held = [log, { ...log, partition: 3, reason: "no leader" }, { ...log, partition: 4, reason: null }];
  expect(heldTexts(topic("t", 1, 0, { reason: "why", held_logs: held }))).toEqual([
    "1,234 on disk (2.0 KiB)",
    "1,234 on disk (2.0 KiB) for partition 3: no leader",
    "1,234 on disk (2.0 KiB) for partition 4, being delivered",
  ]);
});
