// What bruce has to reach, and whether it did.
import { defaultSettings } from "../../src/config/settings.ts";
import type { ScenarioName } from "./options.ts";
import { type Goal, megabytes, microseconds } from "./report.ts";
import { medianOf, type Result, ratio } from "./rounds.ts";

const LEAST = { datagrams: 3, lines: 0.6 };
const PEER = { datagrams: "rsyslog", lines: "kcat" };
/** Microseconds for each datagram. */
const MOST_CPU = 2.5;
/** Beside buffer.memory, in bytes. */
const MOST_MEMORY = 100 * 1024 ** 2;

export function goalsOf(scenario: ScenarioName, results: Result[]): Goal[] {
  const bruce = results.find(({ contender }) => contender.name.startsWith("bruce"));
  const peers = results.filter(({ contender }) => contender.name.startsWith(PEER[scenario]));
  // Where there are several set-ups of it, the fastest is the one to beat.
  const [peer] = peers.toSorted((a, b) => (medianOf(b, "rate") ?? 0) - (medianOf(a, "rate") ?? 0));
  if (bruce === undefined) return [];
  return [
    rateGoal(scenario, bruce, peer),
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
