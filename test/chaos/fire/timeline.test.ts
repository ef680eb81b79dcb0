// The clockwork of the fire, before its figures are believed.
import { expect, test } from "bun:test";
import { Histogram } from "./histogram.ts";
import { Timeline } from "./timeline.ts";

test("quantiles of durations are right within 4 %, whatever their size", () => {
  const histogram = new Histogram();
  for (let value = 1; value <= 100_000; value++) histogram.add(value);
  for (const part of [0.001, 0.01, 0.5, 0.9, 0.99, 1]) {
    const ratio = histogram.quantile(part) / (part * 100_000);
    expect(ratio).toBeWithin(0.96, 1.04);
  }
  expect(histogram).toMatchObject({ count: 100_000, max: 100_000 });
  expect(new Histogram().quantile(0.5)).toBe(0);
});

/** A message each 10 ms from 0 to 20 s; from 5 to 8 s nothing comes in, then the backlog does within half a second. */
function withStall(): Timeline {
  const timeline = new Timeline();
  const append = (sentAt: number, at: number) => {
    timeline.add(sentAt, at);
    timeline.batch("a", at);
  };
  for (let sent = 0; sent < 5000; sent += 10) append(sent, sent + 20);
  for (let sent = 5000; sent < 8000; sent += 10) append(sent, 8000 + (sent - 5000) / 6);
  for (let sent = 8000; sent < 8500; sent += 10) append(sent, 8500 + (sent - 8000) / 10);
  for (let sent = 8550; sent < 20_000; sent += 10) append(sent, sent + 20);
  return timeline;
}

test("a stall is as long as nothing came in, and of no other time", () => {
  const timeline = withStall();
  expect(timeline.longestStall({ from: 4000, to: 12_000 })).toBeWithin(2900, 3100);
  expect(timeline.longestStall({ from: 9000, to: 20_000 })).toBe(0);
});

test("latency is that of what was sent meanwhile", () => {
  const timeline = withStall();
  expect(timeline.latency({ from: 0, to: 4500 })).toMatchObject({ max: 20 });
  expect(timeline.latency({ from: 4500, to: 8000 }).max).toBeGreaterThan(2000);
  expect(timeline.latency({ from: 10_000, to: 19_000 }, { from: 0, to: 4000 }).quantile(0.99)).toBe(20);
});

test("all is as before when the backlog is in and what comes is as fast as it was", () => {
  const timeline = withStall();
  expect(timeline.recovered(8000, 20_000, 40)).toBeWithin(500, 1001);
  expect(timeline.recovered(12_000, 20_000, 40)).toBeWithin(0, 251);
  expect(timeline.recovered(8000, 8500, 40)).toBeUndefined();
});
