// The short form of `npm run fleet`. Its clock and its chance are not real: the same comes out on every machine.
import { describe, expect, test } from "bun:test";
import { ACTS, type Window } from "../../scripts/fleet/acts.ts";
import { DEFAULTS, Fleet, type FleetOptions } from "../../scripts/fleet/fleet.ts";
import { quantile } from "../../scripts/fleet/meter.ts";

/** As many hosts to what a broker can accept as there, where they are 10,000. */
const SMALL: FleetOptions = { ...DEFAULTS, hosts: 200, acceptRate: 10, backlog: 1, metadataCost: 10, produceCost: 5 };

function play(name: string, options: Partial<FleetOptions> = {}) {
  const act = ACTS.find((each) => each.name === name);
  if (act === undefined) throw new Error(`there is no act ${name}`);
  const fleet = new Fleet({ ...SMALL, ...options, ...act.options });
  const windows = act.play(fleet);
  const { from, to } = windows.at(-1) as Window;
  const { total } = fleet.meter.ofOne("accepted", from, to, "total");
  return {
    fleet,
    windows,
    /** What the busiest broker would need if all came in turn. ms */
    atBest: (total / SMALL.acceptRate) * 1_000,
    all: quantile(fleet.stalls, 1),
    most: quantile(fleet.stalls, 0.99),
    connections: fleet.meter.ofAll("connections", from, to),
    worst: fleet.meter.ofOne("connections", from, to),
    metadata: windows.map((window) => fleet.meter.ofAll("metadata", window.from, window.to)),
  };
}

describe("a fleet of hosts, each with its own chance", () => {
  test("is back soon after all connections were cut, and much sooner than without jitter", () => {
    const { fleet, all, atBest } = play("cut");
    expect(fleet.whole).toBe(true);
    expect(all / atBest).toBeLessThan(2);
    expect(play("cut", { jitter: "none" }).all / all).toBeGreaterThan(2);
  });

  test("can be started in the same second", () => {
    const { fleet, all, atBest } = play("start");
    expect(fleet.whole).toBe(true);
    expect(all / atBest).toBeLessThan(1.75);
  });

  test("comes back evenly from an outage", () => {
    const { fleet, all, connections, worst } = play("outage");
    expect(fleet.whole).toBe(true);
    expect(all).toBeLessThan(13_000);
    expect(connections.peak / connections.mean).toBeLessThan(2);
    // The busiest of thirty, in its busiest second.
    expect(worst.peak / worst.mean).toBeLessThan(5);
  });

  test("finds the new leaders of a broker that was killed as soon as there are any", () => {
    const { fleet, most } = play("kill");
    expect(fleet.whole).toBe(true);
    // They are elected after 9 s.
    expect(most).toBeLessThan(9_000 + 4_000);
  });

  test("goes back to brokers that lead again without a rush", () => {
    const { fleet, most } = play("rolling");
    expect(fleet.whole).toBe(true);
    expect(most).toBeLessThan(10_000);
    expect(play("rolling", { jitter: "none" }).most / most).toBeGreaterThan(2);
  });

  test("asks for a topic that does not exist at most every 5 s for each host, in the long run every 30 s", () => {
    const { windows, metadata } = play("missing");
    const each = metadata.map(({ total }, at) => {
      const { from, to } = windows[at] as Window;
      return total / SMALL.hosts / ((to - from) / 1_000);
    });
    expect(each[0]).toBeLessThan(1 / 5);
    // The periodical refresh, every 300 s, comes on top.
    expect(each[1]).toBeLessThan(1 / 25);
    expect((metadata[1]?.peak as number) / (metadata[1]?.mean as number)).toBeLessThan(4);
  });

  test("does the same again with the same seed, and something else with another", () => {
    const figures = (seed: number) => {
      const { fleet, connections } = play("cut", { seed });
      return JSON.stringify([fleet.stalls, connections]);
    };
    expect(figures(7)).toBe(figures(7));
    expect(figures(7)).not.toBe(figures(8));
  });
});
