// What happens to the fleet: each act starts with one that is well, and returns from when to when it is looked at.
import type { Fleet, FleetOptions } from "./fleet.ts";

export interface Act {
  name: string;
  about: string;
  play: (fleet: Fleet) => Window[];
  options?: Partial<FleetOptions>;
  /** How long hosts could not send says nothing here. */
  recovers?: false;
}

export interface Window {
  name: string;
  from: number;
  to: number;
}

const SECOND = 1_000;
const MINUTE = 60_000;

export const ACTS: readonly Act[] = [
  {
    name: "start",
    about: "all hosts are started in the same second",
    play(fleet) {
      fleet.begin();
      for (const host of fleet.hosts) fleet.clock.after(SECOND * fleet.random(), () => host.start());
      fleet.wait(SECOND);
      const to = fleet.recovered(30 * MINUTE);
      return [{ name: "start", from: 0, to }];
    },
  },
  {
    name: "cut",
    about: "every connection is cut at the same instant, brokers stay up",
    play(fleet) {
      fleet.calm();
      return [everyone(fleet, () => {})];
    },
  },
  {
    name: "kill",
    about:
      "one broker is killed: its partitions have other leaders after 9 s, it is back after 30 s and leads again after 40 s",
    play(fleet) {
      fleet.calm();
      const from = fleet.clock.now();
      busy(fleet, [7]);
      fleet.cluster.stop(7, 9 * SECOND);
      fleet.wait(30 * SECOND);
      fleet.cluster.start(7, 10 * SECOND);
      fleet.wait(11 * SECOND);
      const to = fleet.recovered(10 * MINUTE);
      return [{ name: "kill", from, to }];
    },
  },
  {
    name: "rolling",
    about:
      "brokers are restarted one after the other, 20 s each; each gives its partitions away before and has them back 10 s after",
    play(fleet) {
      fleet.calm();
      const from = fleet.clock.now();
      for (const { id } of fleet.cluster.brokers.slice(0, 10)) {
        busy(fleet, [id]);
        fleet.cluster.stop(id, 0);
        fleet.wait(20 * SECOND);
        fleet.cluster.start(id, 10 * SECOND);
        fleet.wait(20 * SECOND);
      }
      const to = fleet.recovered(10 * MINUTE);
      return [{ name: "rolling", from, to }];
    },
  },
  {
    name: "split",
    about: "half of the hosts reach nobody for 5 min, and nobody tells them so",
    play(fleet) {
      fleet.calm();
      const from = fleet.clock.now();
      const half = fleet.networks
        .map((network, n) => ({ network, host: fleet.hosts[n] }))
        .filter((_, n) => n % 2 === 0);
      for (const { network, host } of half) {
        network.cut = true;
        fleet.clock.after(SECOND * fleet.random(), () => host?.kick(() => true));
      }
      const healed = fleet.wait(5 * MINUTE);
      for (const { network } of half) network.cut = false;
      fleet.begin();
      const to = fleet.recovered(30 * MINUTE);
      return [
        { name: "while cut off", from, to: healed },
        { name: "after", from: healed, to },
      ];
    },
  },
  {
    name: "outage",
    about: "all brokers are down for 10 min, and back at the same instant",
    play(fleet) {
      fleet.calm();
      let back = 0;
      const from = fleet.clock.now();
      const { to } = everyone(fleet, () => {
        back = fleet.wait(10 * MINUTE);
        fleet.begin();
      });
      return [
        { name: "while down", from, to: back },
        { name: "after", from: back, to },
      ];
    },
  },
  {
    name: "missing",
    about: "all hosts, started within a minute, send to one topic that does not exist",
    options: { missing: true },
    recovers: false,
    play(fleet) {
      fleet.calm();
      const from = fleet.clock.now();
      const later = fleet.wait(3 * MINUTE);
      const to = fleet.wait(3 * MINUTE);
      return [
        { name: "first 3 min", from, to: later },
        { name: "then", from: later, to },
      ];
    },
  },
];

/** There is something under way to each of these brokers. */
function busy(fleet: Fleet, brokers: readonly number[]): void {
  const ids = new Set(brokers);
  for (const host of fleet.hosts) host.kick(({ leader }) => ids.has(leader));
}

/** All brokers go, and come back. */
function everyone(fleet: Fleet, meanwhile: () => void): Window {
  const from = fleet.clock.now();
  const ids = fleet.cluster.brokers.map(({ id }) => id);
  busy(fleet, ids);
  for (const id of ids) fleet.cluster.stop(id, Number.MAX_SAFE_INTEGER);
  meanwhile();
  for (const id of ids) fleet.cluster.start(id, SECOND);
  const to = fleet.recovered(30 * MINUTE);
  return { name: "cut", from, to };
}
