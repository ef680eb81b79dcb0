// A lane gives up its connection for another without losing what is in flight: before its login ends, and on demand.
import { describe, expect, test } from "bun:test";
import { laneOnFakeClock } from "./laneOnFakeClock.ts";

describe("a lane whose login ends", () => {
  test("sends nothing more before, waits for what is in flight, and opens another connection then", async () => {
    const it = laneOnFakeClock();
    it.login.lasts = 60_000;
    const first = await it.opened();
    const flight = it.lane.wire?.begin([], new Set(), it.now);
    expect(it.nextTimer).toBeGreaterThan(30_000);
    expect(it.nextTimer).toBeLessThanOrEqual(58_000);
    expect(it.lane.connection()).toBe(first);
    it.pass(58_000);
    expect(it.lane.state.kind).toBe("draining");
    expect(it.lane.connection()).toBeUndefined();
    expect([first.destroyed, it.connections.length]).toEqual([false, 1]);
    const before = it.ready;
    if (flight !== undefined) it.lane.wire?.answered(flight, it.now);
    it.lane.succeeded();
    expect(first.destroyed).toBe(true);
    expect(it.ready).toBe(before + 1);
    const second = await it.opened();
    expect(second).not.toBe(first);
    expect(it.lane.connection()).toBe(second);
    expect(it.failures).toEqual([]);
  });

  test("has time for an answer that takes as long as the broker's usually do, and for more", async () => {
    const it = laneOnFakeClock({ patience: () => 5_000 });
    it.login.lasts = 60_000;
    await it.opened();
    expect(it.nextTimer).toBeLessThanOrEqual(50_000);
  });

  test.each([1, 100, 2_000])("of %d ms can still use it", async (lasts) => {
    const it = laneOnFakeClock();
    it.login.lasts = lasts;
    const connection = await it.opened();
    expect(it.lane.connection()).toBe(connection);
    expect(it.nextTimer).toBeGreaterThanOrEqual(0);
    expect(it.nextTimer).toBeLessThanOrEqual(lasts / 2);
    it.lane.wire?.begin([], new Set(), it.now);
    it.pass(lasts);
    expect(it.lane.state.kind).toBe("draining");
  });

  test("that lasts for longer than a timer can, or for ever, stays open", async () => {
    const it = laneOnFakeClock();
    it.login.lasts = 1e12;
    const connection = await it.opened();
    expect(it.nextTimer).toBeGreaterThan(1e9);
    expect(it.nextTimer).toBeLessThan(2 ** 31);
    expect(it.lane.connection()).toBe(connection);
    const eternal = laneOnFakeClock();
    await eternal.opened();
    expect(eternal.nextTimer).toBe(Number.POSITIVE_INFINITY);
  });

  test("and that has nothing in flight closes at once, and stays so until it is needed", async () => {
    const it = laneOnFakeClock();
    it.login.lasts = 10_000;
    const connection = await it.opened();
    it.pass(10_000);
    expect([connection.destroyed, it.lane.state.kind, it.connections.length]).toEqual([true, "closed", 1]);
  });

  test("while another lane has its connection is renewed there", async () => {
    const it = laneOnFakeClock();
    const other = laneOnFakeClock();
    it.login.lasts = 10_000;
    await it.opened();
    it.lane.wire?.begin([], new Set(), it.now);
    it.lane.swapWith(other.lane);
    expect([it.lane.state.kind, other.lane.state.kind]).toEqual(["closed", "open"]);
    it.pass(10_000);
    expect([it.lane.state.kind, other.lane.state.kind]).toEqual(["closed", "draining"]);
  });
});

describe("a lane that is to be renewed", () => {
  test("opens another connection in place of one that is being opened", async () => {
    const it = laneOnFakeClock();
    it.lane.connection();
    it.lane.renew();
    expect(it.connections[0]?.destroyed).toBe(true);
    await it.connections[0]?.opens();
    expect(it.lane.state.kind).toBe("closed");
    expect(it.lane.connection()).toBeUndefined();
    expect(it.connections.length).toBe(2);
  });

  test("tries at once what was refused, and is told of the next refusal", async () => {
    const it = laneOnFakeClock();
    it.lane.connection();
    await it.connections[0]?.refuses("authentication", "the login is wrong");
    expect(it.lane.state).toMatchObject({ kind: "backing off", failure: "authentication", why: "the login is wrong" });
    const before = it.ready;
    it.lane.renew();
    expect([it.lane.state.kind, it.ready, it.nextTimer]).toEqual(["closed", before + 1, Number.POSITIVE_INFINITY]);
    const connection = await it.opened();
    expect(it.lane.connection()).toBe(connection);
    expect(it.failures).toEqual(["the login is wrong"]);
  });

  test("and loses its connection with what is in flight opens another without a pause", async () => {
    const it = laneOnFakeClock();
    const connection = await it.opened();
    it.lane.wire?.begin([], new Set(), it.now);
    it.lane.renew();
    const before = it.ready;
    it.lane.lost(connection, "the broker closed the connection");
    expect([it.lane.state.kind, it.ready]).toEqual(["closed", before + 1]);
    expect(it.failures).toEqual([]);
  });
});

test("refusals are backed off with jitter, up to the most, for as long as they last", async () => {
  let random = 0;
  const delays: number[] = [];
  const it = laneOnFakeClock({ random: () => random, onFailure: (_, _why, delay) => delays.push(delay) });
  for (let attempt = 0; attempt < 8; attempt++) {
    random = attempt % 2;
    it.lane.connection();
    await it.connections.at(-1)?.refuses("authentication", "no");
    it.pass(1_000);
  }
  expect(delays).toEqual([50, 200, 200, 800, 500, 1_000, 500, 1_000]);
});
