// What bruce has to reach, and whether it did.
import { defaultSettings } from "../../src/config/settings.ts";
import { MEMORY_ONLY } from "./bruce.ts";
import type { ScenarioName } from "./options.ts";
import { type Goal, megabytes, microseconds } from "./report.ts";
import { cpuRatio, medianOf, type Result, ratio } from "./rounds.ts";

const LEAST = { datagrams: 3, lines: 0.6 };
const PEER = { datagrams: "rsyslog", lines: "kcat" };
/** Microseconds for each datagram. */
const MOST_CPU = 2.5;
/** The disk buffer beside memory only: rate, and CPU of the forwarder. */
const DISK = { rate: 0.9, cpu: 1.2 };
/** Beside buffer.memory, in bytes. */
const MOST_MEMORY = 100 * 1024 ** 2;

export function goalsOf(scenario: ScenarioName, results: Result[]): Goal[] {
  const bruce = results.find(({ contender }) => contender.name.startsWith("bruce"));
  const peers = results.filter(({ contender }) => contender.name.startsWith(PEER[scenario]));
  // Where there are several set-ups of it, the fastest is the one to beat.
  const [peer] = peers.toSorted((a, b) => (medianOf(b, "rate") ?? 0) - (medianOf(a, "rate") ?? 0));
  const inMemory = results.find(({ contender }) => contender.name.endsWith(MEMORY_ONLY));
  if (bruce === undefined) return [];
  return [
    rateGoal(scenario, bruce, peer),
    ...(inMemory === undefined ? [] : diskGoals(scenario, bruce, inMemory)),
    ...(scenario === "datagrams" ? [cpuGoal(bruce)] : []),
    memoryGoal(scenario, bruce),
  ];
}

function rateGoal(scenario: ScenarioName, bruce: Result, peer: Result | undefined): Goal {
  const least = LEAST[scenario];
  const what = `${scenario}: rate beside ${PEER[scenario]}`;
  const wanted = `at least ${least.toFixed(1)} ×`;
  if (peer === undefined) return { what, wanted, measured: `${PEER[scenario]} is not installed`, met: undefined };
  const measured = ratio(bruce, peer);
  return { what, wanted, measured: `${measured.toFixed(2)} ×`, met: measured >= least };
}

function diskGoals(scenario: ScenarioName, bruce: Result, inMemory: Result): Goal[] {
  const rate = ratio(bruce, inMemory);
  const cpu = cpuRatio(bruce, inMemory);
  return [
    {
      what: `${scenario}: rate beside memory only`,
      wanted: `at least ${DISK.rate} ×`,
      measured: `${rate.toFixed(2)} ×`,
      met: rate >= DISK.rate,
    },
    {
      what: `${scenario}: CPU beside memory only`,
      wanted: `at most ${DISK.cpu} ×`,
      measured: `${cpu.toFixed(2)} ×`,
      met: cpu <= DISK.cpu,
    },
  ];
}

function cpuGoal(bruce: Result): Goal {
  const used = medianOf(bruce, "cpu") ?? Number.NaN;
  return {
    what: "datagrams: CPU of bruce serve for each message",
    wanted: `at most ${MOST_CPU} µs`,
    measured: `${microseconds(used)} µs`,
    met: used <= MOST_CPU,
  };
}

function memoryGoal(scenario: ScenarioName, { peak = Number.NaN }: Result): Goal {
  const most = defaultSettings().buffer.memory + MOST_MEMORY;
  return {
    what: `${scenario}: peak memory of bruce serve`,
    wanted: `at most ${megabytes(most)} (buffer.memory + 100 MB)`,
    measured: megabytes(peak),
    met: peak <= most,
  };
}
