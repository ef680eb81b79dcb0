// The results as Markdown tables, to be read in a terminal and pasted into docs/benchmarks.md.
import type { Missing } from "./contender.ts";
import { medianOf, type Result } from "./rounds.ts";

/** Something bruce has to reach. */
export interface Goal {
  what: string;
  /** As shown. */
  wanted: string;
  measured: string;
  /** undefined: it could not be measured. */
  met: boolean | undefined;
}

const NOTHING = "–";

export function resultTable(scenario: string, results: Result[], missing: Missing[]): string {
  const head = [scenario, "messages/s (median)", "lowest – highest", "CPU µs/message", "of the client", "peak memory"];
  const rows = results.map((result) => {
    const rates = result.rounds.map(({ rate }) => rate);
    return [
      result.contender.name,
      thousands(medianOf(result, "rate") ?? Number.NaN),
      `${thousands(Math.min(...rates))} – ${thousands(Math.max(...rates))}`,
      microseconds(medianOf(result, "cpu")),
      microseconds(medianOf(result, "clientCpu")),
      result.peak === undefined ? NOTHING : megabytes(result.peak),
    ];
  });
  for (const { name, install } of missing) rows.push([name, `not installed: ${install}`, "", "", "", ""]);
  return table([head, ...rows]);
}

export function goalTable(goals: Goal[]): string {
  const verdict = ({ met }: Goal) => (met === undefined ? "not measured" : met ? "met" : "missed");
  return table([
    ["goal", "wanted", "measured", ""],
    ...goals.map((goal) => [goal.what, goal.wanted, goal.measured, verdict(goal)]),
  ]);
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function microseconds(value: number | undefined): string {
  return value === undefined ? NOTHING : value.toFixed(2);
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MB`;
}

/** The first row is the head. */
function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...rest] = rows;
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rest.map(line)].join("\n");
}
