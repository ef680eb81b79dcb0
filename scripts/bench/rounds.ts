// Rounds in which the contenders take turns, and what comes out of them.
import { spawnSync } from "node:child_process";
import type { Contender, Measured } from "./contender.ts";

export interface Result {
  contender: Contender;
  /** One for each counted round. */
  rounds: Measured[];
  /** After the last round, in bytes. */
  peak: number | undefined;
}

/** One round for warming up, which does not count, then the others; who is first changes from round to round. */
export async function runRounds(
  contenders: Contender[],
  rounds: number,
  report: (round: number, name: string, measured: Measured) => void,
): Promise<Result[]> {
  const results = contenders.map((contender): Result => ({ contender, rounds: [], peak: undefined }));
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < results.length; turn++) {
      const result = results[(round + turn) % results.length] as Result;
      // What Kafka wrote for the one before goes to the disk now, and not in the time of the next.
      spawnSync("sync");
      const measured = await result.contender.round();
      report(round, result.contender.name, measured);
      if (round > 0) result.rounds.push(measured);
    }
  }
  for (const result of results) result.peak = result.contender.peak();
  return results;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? Number.NaN)) / 2 : upper;
}

/** The median of the ratios within each round: what disturbs a machine for a while disturbs both. */
export function ratio(one: Result, other: Result): number {
  return median(one.rounds.map(({ rate }, round) => rate / (other.rounds[round]?.rate ?? Number.NaN)));
}

/** The same of the forwarder's CPU. */
export function cpuRatio(one: Result, other: Result): number {
  return median(one.rounds.map(({ cpu = Number.NaN }, round) => cpu / (other.rounds[round]?.cpu ?? Number.NaN)));
}

/** The median of what was measured in each round; undefined where it was not. */
export function medianOf(result: Result, what: keyof Measured): number | undefined {
  const values = result.rounds.map((measured) => measured[what]).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values);
}
