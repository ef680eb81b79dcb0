import { describe, expect, test } from "bun:test";
import type { Outbox } from "../../src/deliver/outbox.ts";
import { laneOnFakeClock } from "./laneOnFakeClock.ts";

const waiting = {} as Outbox;

/** How long the lane waits after each of these: an open connection breaks, then one after the other cannot be made. */
async function waits(randoms: number[]): Promise<number[]> {
  const delays: number[] = [];
  let random = 0.5;
  const it = laneOnFakeClock({ random: () => random, onFailure: (_, _why, delay) => delays.push(delay) });
  const connection = await it.opened();
  it.lane.line.push(waiting);
  for (const [at, each] of randoms.entries()) {
    random = each;
    if (at === 0) it.lane.lost(connection, "it closed");
    else await it.connections.at(-1)?.refuses("connect", "nothing listens there");
    it.pass(delays.at(-1) as number);
    it.lane.connection();
  }
  return delays;
}

describe("a connection that was in use and breaks", () => {
  test("is tried again within ten times the backoff, at a time of its own", async () => {
    const first = await Promise.all([0, 0.25, 0.5, 0.75].map(async (random) => (await waits([random]))[0]));
    expect(first).toEqual([0, 250, 500, 750]);
  });

  test("is then backed off as ever", async () => {
    expect(await waits([0.5, 0, 0, 0, 0])).toEqual([500, 100, 200, 400, 500]);
  });
});

test("a first connection waits its part of what the cluster's size suggests, and none after a backoff", async () => {
  const it = laneOnFakeClock({ spread: () => 900 });
  let connects = 0;
  const counted = () => {
    for (const connection of it.connections) {
      const { connect } = connection;
      connection.connect = () => {
        connects++;
        return connect();
      };
    }
  };
  it.lane.connection();
  counted();
  expect([it.lane.state.kind, connects, it.nextTimer]).toEqual(["connecting", 0, 450]);
  it.lane.line.push(waiting);
  it.pass(450);
  expect(connects).toBe(1);
  await it.connections[0]?.refuses("connect", "nothing listens there");
  expect(it.lane.state.kind).toBe("backing off");
  it.pass(100);
  it.lane.connection();
  expect(it.nextTimer).toBe(Number.POSITIVE_INFINITY);
});

test("a lane that is stopped while it waits connects no more", () => {
  const it = laneOnFakeClock({ spread: () => 900 });
  it.lane.connection();
  it.lane.stop();
  expect([it.lane.state.kind, it.connections[0]?.destroyed]).toEqual(["closed", true]);
  it.pass(1_000);
  expect(it.lane.state.kind).toBe("closed");
});

test("failures of long ago make nobody wait who comes later", async () => {
  const delays: number[] = [];
  const it = laneOnFakeClock({ random: () => 0, onFailure: (_, _why, delay) => delays.push(delay) });
  for (let tries = 0; tries < 6; tries++) {
    it.lane.connection();
    await it.connections.at(-1)?.refuses("connect", "nothing listens there");
    it.pass(delays.at(-1) as number);
  }
  expect(delays.at(-1)).toBe(500);
  it.pass(60_000);
  it.lane.connection();
  await it.connections.at(-1)?.refuses("connect", "nothing listens there");
  expect(delays.at(-1)).toBe(100);
  expect(it.lane.failing).toBe(true);
});
